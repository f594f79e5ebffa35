"""A detector as the command line asks for it."""

from __future__ import annotations

from dataclasses import dataclass

from mot.cli.detector_flags import FLAGS, DetectorOptions, settings_of_flags
from mot.config import build_detector, detector_settings, detector_settings_for
from mot.detectors import DEFAULT_DETECTOR, DETECTORS
from mot.errors import MotError
from mot.pipeline import Detect, from_images, only, workers_of
from mot.settings import settings_of
from mot.types import Detector, Tracker

_FILTERS = ("conf", "classes")  # that any detector's results can be put through


@dataclass(frozen=True, slots=True)
class OpenDetector:
    detector: Detector
    detect: Detect
    names: tuple[str, ...]  # of its classes; none where it knows none
    batch: int
    workers: int


def open_detector(options: DetectorOptions, tracker: Tracker | None = None) -> OpenDetector:
    """As the flags say; where they are silent, as the tracker wants it."""
    name = options.detector or DEFAULT_DETECTOR
    values = detector_settings_for(settings_of(tracker), name, settings_of_flags(options))
    known = detector_settings(name)
    flags = [key for key in values if key not in known and key not in options.overrides("detector")]
    filters = {key: values.pop(key) for key in _FILTERS if key in flags}
    strange = next((key for key in flags if key in FLAGS), None)
    if strange and name in DETECTORS:
        raise MotError(f"{FLAGS[strange]}: is for networks, and {name} is none: leave it out")
    detector = build_detector(name, **values)
    names = tuple(getattr(getattr(detector, "network", None), "names", ()))
    labels = class_numbers(filters.get("classes"))
    detect = only(from_images(detector), filters.get("conf"), labels)
    batch = options.batch or int(getattr(getattr(detector, "settings", None), "batch", 1))
    return OpenDetector(detector, detect, names, batch, workers_of(detector))


# A file without classes has 0 for its people, MOTChallenge's ground truth has 1.
_PEOPLE = {"person": (0, 1)}


def class_numbers(words: tuple[str, ...] | None) -> tuple[int, ...] | None:
    """Of detections that know their classes by number alone."""
    if words is None:
        return None
    for word in words:
        if word not in _PEOPLE and not word.isdecimal():
            raise MotError(f"--classes {word}: give class numbers, or person")
    return tuple(label for word in words for label in _PEOPLE.get(word) or (int(word),))
