"""The tasks of a benchmark: each tracker on each sequence, and all that its result depends on."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from mot import __version__
from mot.benchmark.cache import digest_of, digest_of_images, file_path
from mot.camera_motion import METHODS, open_camera
from mot.config import build_detector, build_tracker, score_range
from mot.errors import MotError
from mot.evaluation.loading import split_frames
from mot.files import cache_dir
from mot.model_zoo import SHIPPED
from mot.motfile import Sequence, find_sequences
from mot.pipeline import resolve
from mot.reid import DEFAULT_EMBEDDER
from mot.reid.open import embedder_path
from mot.settings import load_toml, settings_of
from mot.video.sources import FrameRange
from mot.video.streams import SequenceSource, StreamSource, detections_file, image_files

Record = dict[str, Any]  # what JSON can hold


@dataclass(frozen=True, slots=True)
class BenchmarkConfig:
    """What the user asks for."""

    trackers: tuple[str, ...]  # names or TOML files
    settings: Mapping[str, Any]  # of every tracker, over its own
    split: str = "all"
    detections: str | None = None
    embeddings: str | None = None
    detector: str | None = None
    detector_settings: Mapping[str, Any] = field(default_factory=dict)  # over its own
    embedder: str | None = None
    camera: str | None = None
    conf: float | None = None
    post: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrackerSpec:
    """A tracker with all its settings; files are not needed any more."""

    name: str  # of its results
    tracker: str  # of `TRACKERS`
    settings: dict[str, Any]
    conf: float | None = None  # minimum score of the detections that it gets


@dataclass(frozen=True, slots=True)
class DetectorSpec:
    """A detector, and all that its results depend on, besides the images."""

    spec: str  # as `build_detector` takes it
    settings: dict[str, Any]  # over its own
    identity: Record


@dataclass(frozen=True, slots=True)
class EmbedderSpec:
    """An embedder, and all that its results depend on, besides the images."""

    file: Path
    min_score: float  # of the detections that get an embedding
    recompute: bool  # replaces embeddings that a detector gives
    identity: Record


@dataclass(frozen=True, slots=True)
class SequenceSpec:
    """The frames of a sequence to track, and their detections: of a file, or of a detector.

    The detector's results for the full sequence are kept in `cache`; with the embedder's, if there
    is one, in `embedding_cache`.
    """

    sequence: Sequence
    first: int
    last: int
    file: Path | None = None
    embeddings: Path | None = None
    detector: DetectorSpec | None = None
    cache: Path | None = None
    embedder: EmbedderSpec | None = None
    embedding_cache: Path | None = None
    camera: str | None = None  # a method, or the absolute path of a file

    @property
    def title(self) -> str:
        name = Path(self.detector.spec).name if self.detector else ""
        return f"{name} {self.sequence.name}".strip()

    @property
    def is_cached(self) -> bool:
        """Whether results for its images are cached."""
        return self.cache is not None or self.embedding_cache is not None

    @property
    def estimates_camera(self) -> bool:
        """Whether camera motion is estimated in the images."""
        return self.camera is not None and not Path(self.camera).is_absolute()

    def __len__(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class TrackTask:
    """One tracker on one sequence."""

    tracker: TrackerSpec
    sequence: SequenceSpec
    post: tuple[str, ...]
    signature: str  # digest of all that the result depends on

    @property
    def title(self) -> str:
        return f"{self.tracker.name} {self.sequence.sequence.name}"


@dataclass(frozen=True, slots=True)
class BenchmarkPlan:
    """All tasks, and the record of all that their results depend on."""

    tasks: list[TrackTask]
    record: Record

    @property
    def trackers(self) -> list[str]:
        return list(self.record["trackers"])

    @property
    def sequences(self) -> list[SequenceSpec]:
        return list({task.sequence.sequence.name: task.sequence for task in self.tasks}.values())

    @property
    def inputs(self) -> list[Path]:
        files = [
            part for s in self.sequences for part in (s.file, s.embeddings, s.sequence.ground_truth)
        ]
        return [path for path in files if path]


def make_plan(dataset: Path, config: BenchmarkConfig) -> BenchmarkPlan:
    """Plan the tasks; what cannot be done is refused here."""
    trackers = [_tracker(spec, config.settings) for spec in dict.fromkeys(config.trackers)]
    sequences = find_sequences(dataset.absolute())
    _refuse_duplicates("trackers", (tracker.name for tracker in trackers))
    _refuse_duplicates("sequences", (sequence.name for sequence in sequences))
    if len(sequences) > 1 and config.detections and Path(config.detections).is_file():
        raise MotError("--detections is one file for several sequences: give a folder of files")
    trackers = [replace(tracker, conf=config.conf) for tracker in trackers]
    detector = None
    if config.detector:
        trackers, settings = _with_low_scores(trackers, config.detector, config.detector_settings)
        detector = _detector(config.detector, settings)
    embedder = _embedder(config, trackers)
    specs = [_sequence(sequence, config, detector, embedder) for sequence in sequences]
    record: Record = {
        "mot": __version__,
        "split": config.split,
        "conf": config.conf,
        "camera": config.camera,
        "post": list(config.post),
        "trackers": {t.name: asdict(t) for t in trackers},
        "sequences": {spec.sequence.name: _identity(spec) for spec in specs},
    }
    return BenchmarkPlan(list(_tasks(trackers, specs, config, record)), record)


def _tasks(
    trackers: list[TrackerSpec], specs: list[SequenceSpec], config: BenchmarkConfig, record: Record
) -> Iterator[TrackTask]:
    for tracker in trackers:
        for spec in specs:
            part = record | {
                "trackers": record["trackers"][tracker.name],
                "sequences": record["sequences"][spec.sequence.name],
            }
            yield TrackTask(tracker, spec, config.post, digest_of(part))


def _tracker(spec: str, overrides: Mapping[str, Any]) -> TrackerSpec:
    settings = settings_of(build_tracker(spec, **overrides))
    if not spec.endswith(".toml"):
        return TrackerSpec(spec, spec, settings)
    return TrackerSpec(Path(spec).stem, str(load_toml(Path(spec))["tracker"]), settings)


def _with_low_scores(
    trackers: list[TrackerSpec], detector: str, given: Mapping[str, Any]
) -> tuple[list[TrackerSpec], dict[str, Any]]:
    """Objects are detected once; each tracker gets the scores that it uses."""
    built = [build_tracker(each.tracker, **each.settings) for each in trackers]
    settings = [resolve(each, detector, given).detector_settings for each in built]
    if all(each == settings[0] for each in settings):
        return trackers, settings[0]
    default_conf = score_range(detector, given).conf
    confs = [float(each.get("conf") or default_conf or 0.0) for each in settings]
    filtered = [replace(each, conf=conf) for each, conf in zip(trackers, confs, strict=True)]
    return filtered, {**given, "conf": min(confs)}


def _detector(spec: str, overrides: Mapping[str, Any]) -> DetectorSpec:
    spec = str(Path(spec).absolute()) if Path(spec).is_file() else spec
    settings = {**overrides, **settings_of(build_detector(spec, **overrides))}
    values = {"detector": spec} | settings
    files = {key: Path(v) for key, v in values.items() if isinstance(v, str) and Path(v).is_file()}
    identity = values | {key: path.name for key, path in files.items()}
    read = [part for path in files.values() for part in _files_of_network(path)]
    identity["files"] = {path.name: _hash(path) for path in read or SHIPPED.iterdir()}
    return DetectorSpec(spec, dict(overrides), identity)


def _embedder(config: BenchmarkConfig, trackers: list[TrackerSpec]) -> EmbedderSpec | None:
    """Objects are embedded once, for all trackers that use embeddings."""
    if config.embeddings and not config.embedder:
        return None
    built = [build_tracker(each.tracker, **each.settings) for each in trackers]
    needs = [resolve(each, config.detector, {}, config.embedder) for each in built]
    needs = [each for each in needs if each.embedder is not None]
    if not needs:
        return None
    name, min_score = str(needs[0].embedder), min(each.min_embedding_score for each in needs)
    file, recompute = embedder_path(name).absolute(), needs[0].recompute
    if not file.is_file():
        raise MotError(f"{file}: no such file")
    identity: Record = {
        "embedder": name if name == DEFAULT_EMBEDDER else file.name,
        "hash": _hash(file),
    }
    identity |= {"min_score": min_score, "recompute": recompute}
    return EmbedderSpec(file, min_score, recompute, identity)


def _files_of_network(path: Path) -> list[Path]:
    """A network file and the weights beside it, which have the same name."""
    return [p for p in path.parent.iterdir() if p.stem == path.stem and p.is_file()]


def _refuse_duplicates(what: str, names: Iterable[str]) -> None:
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise MotError(f"two {what} are called {name!r}, and so would be their results")


def _sequence(
    sequence: Sequence,
    config: BenchmarkConfig,
    detector: DetectorSpec | None,
    embedder: EmbedderSpec | None,
) -> SequenceSpec:
    first, last = split_frames(sequence.length, config.split)
    if last < first:
        raise MotError(f"{sequence.name}: has {sequence.length} frames: none of {config.split}")
    camera = _camera(sequence, config.camera) if config.camera else None
    images = image_files(sequence) if detector or embedder else []
    if detector:
        if not images:
            raise MotError(f"{sequence.name}: has no images for --detector: give --detections")
        cache = file_path(cache_dir(), digest_of_images(detector.identity, images))
        spec = SequenceSpec(sequence, first, last, detector=detector, cache=cache, camera=camera)
    else:
        file = _detections(sequence, config.detections)
        vectors = _embeddings(sequence, config.embeddings) if config.embeddings else None
        spec = SequenceSpec(sequence, first, last, file, vectors, camera=camera)
    if config.embedder and embedder and not images:
        raise MotError(f"{sequence.name}: has no images for --embedder")
    return _embedded(spec, embedder, images) if embedder and images else spec


def _embedded(spec: SequenceSpec, embedder: EmbedderSpec, images: list[Path]) -> SequenceSpec:
    source = spec.cache or spec.file
    assert source
    detections = source.stem if spec.cache else _hash(source)
    identity = {"embedder": embedder.identity, "detections": detections}
    cache = file_path(cache_dir(), digest_of_images(identity, images))
    return replace(spec, embedder=embedder, embedding_cache=cache)


def _detections(sequence: Sequence, name: str | None) -> Path:
    opened = partial(SequenceSource, sequence, FrameRange())
    file = detections_file(StreamSource(sequence.name, opened, sequence), name)
    if file is None:
        raise MotError(
            f"{sequence.name}: has no detections: give --detections, or --detector for its images"
        )
    return file.absolute()


def _embeddings(sequence: Sequence, name: str) -> Path:
    """A file in the folder of the sequence, beside its detections."""
    candidates = [sequence.folder / "det" / name, sequence.folder / name]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        raise MotError(f"--embeddings {name}: no such file in {sequence.folder / 'det'}")
    return found


def _camera(sequence: Sequence, name: str) -> str:
    """A method's name, or the path of a file, which is read here so that a bad one fails early."""
    open_camera(name, sequence.folder)
    if name in METHODS:
        if not image_files(sequence):
            raise MotError(f"--camera {name}: {sequence.name} has no images")
        return name
    beside = sequence.folder / name
    return str(beside if beside.is_file() else Path(name).absolute())


def _identity(spec: SequenceSpec) -> Record:
    """What a sequence's results depend on, wherever its files lie."""
    identity: Record = {"length": spec.sequence.length, "fps": spec.sequence.fps}
    if spec.detector and spec.cache:
        name = spec.detector.identity["detector"]
        identity["detections"] = {"detector": name, "hash": spec.cache.stem}
    elif spec.file:
        identity["detections"] = {"file": spec.file.name, "hash": _hash(spec.file)}
    if spec.embedder:
        identity["embedder"] = spec.embedder.identity
    if spec.embeddings:
        identity["embeddings"] = _hash(spec.embeddings)
    if spec.estimates_camera:
        images = image_files(spec.sequence)
        identity["camera"] = digest_of_images({"camera": spec.camera}, images)
    elif spec.camera:
        identity["camera"] = _hash(Path(spec.camera))
    return identity


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def difference(old: Record, new: Record) -> str | None:
    """How two records differ, in words: the first difference of each part; None if they do not."""
    before, now = _flat(old), _flat(new)
    keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    first = {key.split(".")[0]: key for key in reversed(keys)}  # of each part, the first
    parts = [
        f"{key} was {_short(before.get(key))}, now {_short(now.get(key))}"
        for key in sorted(first.values(), key=keys.index)
    ]
    return "; ".join(parts) or None


def _flat(record: Record, prefix: str = "") -> Record:
    """The values by dotted key, after the names of the trackers and sequences."""
    flat: Record = {}
    if not prefix:
        flat = {part: ", ".join(record[part]) for part in ("trackers", "sequences")}
    for key, value in record.items():
        inner = isinstance(value, dict)
        flat |= _flat(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
    return flat


def _short(value: object) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:12]}..."
