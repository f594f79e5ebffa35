"""What is to be done: each tracker on each sequence, and all that its result depends on."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from mot import __version__
from mot.benchmark.cache import digest_of, digest_of_seen, file_path
from mot.config import build_detector, build_tracker, default_conf, detector_settings_for
from mot.errors import MotError
from mot.evaluation.loading import split_frames
from mot.home import home
from mot.model_zoo import SHIPPED
from mot.motfile import Sequence, find_sequences
from mot.pipeline import embedder_for, min_embedding_score
from mot.reid import DEFAULT_EMBEDDER
from mot.reid.open import file_of
from mot.settings import load_toml, settings_of
from mot.video.sequence_frames import pictures_of
from mot.video.sources import Window
from mot.video.streams import SequenceSource, StreamSource, detections_file

Record = dict[str, Any]  # what JSON can hold


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for, as a person says it."""

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
class TrackerPlan:
    """A tracker with all its settings, which need no file any more."""

    name: str  # of its results
    tracker: str  # of `TRACKERS`
    settings: dict[str, Any]
    conf: float | None = None  # the least score of the detections that it gets


@dataclass(frozen=True, slots=True)
class DetectorPlan:
    """A detector, and all that its answers depend on, but for the pictures."""

    spec: str  # as `build_detector` takes it
    settings: dict[str, Any]  # over its own
    identity: Record


@dataclass(frozen=True, slots=True)
class EmbedderPlan:
    """An embedder, and all that its answers depend on, but for the pictures."""

    file: Path
    least: float  # score of those that it looks at
    anew: bool  # also at those that a detector tells the looks of
    identity: Record


@dataclass(frozen=True, slots=True)
class Stream:
    """The frames of a sequence that are tracked, and where its detections come from: a file, or a
    detector, whose detections of the whole sequence are kept in `cache`. With what they look like,
    where an embedder sees that, they are kept in `looks`."""

    sequence: Sequence
    first: int
    last: int
    file: Path | None = None
    embeddings: Path | None = None
    detector: DetectorPlan | None = None
    cache: Path | None = None
    embedder: EmbedderPlan | None = None
    looks: Path | None = None
    camera: str | None = None  # a method, or the whole path of a file

    @property
    def title(self) -> str:
        name = Path(self.detector.spec).name if self.detector else ""
        return f"{name} {self.sequence.name}".strip()

    @property
    def is_kept(self) -> bool:
        """Something that was seen in pictures is."""
        return self.cache is not None or self.looks is not None

    @property
    def sees_camera(self) -> bool:
        """The camera's motion is seen in the pictures."""
        return self.camera is not None and not Path(self.camera).is_absolute()

    def __len__(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Task:
    """One tracker on one sequence."""

    tracker: TrackerPlan
    stream: Stream
    post: tuple[str, ...]
    signature: str  # of all that the result depends on

    @property
    def title(self) -> str:
        return f"{self.tracker.name} {self.stream.sequence.name}"


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything, and its record: another record, another result."""

    tasks: list[Task]
    record: Record

    @property
    def trackers(self) -> list[str]:
        return list(self.record["trackers"])

    @property
    def streams(self) -> list[Stream]:
        return list({task.stream.sequence.name: task.stream for task in self.tasks}.values())

    @property
    def inputs(self) -> list[Path]:
        streams = self.streams
        files = [part for s in streams for part in (s.file, s.embeddings, s.sequence.ground_truth)]
        return [path for path in files if path]


def make_plan(dataset: Path, wanted: Wanted) -> Plan:
    """Refuse what cannot be done; read nothing that the work will read."""
    trackers = [_tracker(spec, wanted.settings) for spec in dict.fromkeys(wanted.trackers)]
    sequences = find_sequences(dataset.absolute())
    _refuse_twins("trackers", (tracker.name for tracker in trackers))
    _refuse_twins("sequences", (sequence.name for sequence in sequences))
    if len(sequences) > 1 and wanted.detections and Path(wanted.detections).is_file():
        raise MotError("--detections is one file for several sequences: give a folder of files")
    trackers = [replace(tracker, conf=wanted.conf) for tracker in trackers]
    detector = None
    if wanted.detector:
        trackers, settings = _with_low_scores(trackers, wanted.detector, wanted.detector_settings)
        detector = _detector(wanted.detector, settings)
    embedder = _embedder(wanted, trackers)
    streams = [_stream(sequence, wanted, detector, embedder) for sequence in sequences]
    record: Record = {
        "mot": __version__,
        "split": wanted.split,
        "conf": wanted.conf,
        "camera": wanted.camera,
        "post": list(wanted.post),
        "trackers": {t.name: asdict(t) for t in trackers},
        "sequences": {stream.sequence.name: _identity(stream) for stream in streams},
    }
    return Plan(list(_tasks(trackers, streams, wanted, record)), record)


def _tasks(
    trackers: list[TrackerPlan], streams: list[Stream], wanted: Wanted, record: Record
) -> Iterator[Task]:
    for tracker in trackers:
        for stream in streams:
            part = record | {
                "trackers": record["trackers"][tracker.name],
                "sequences": record["sequences"][stream.sequence.name],
            }
            yield Task(tracker, stream, wanted.post, digest_of(part))


def _tracker(spec: str, overrides: Mapping[str, Any]) -> TrackerPlan:
    settings = settings_of(build_tracker(spec, **overrides))
    if not spec.endswith(".toml"):
        return TrackerPlan(spec, spec, settings)
    return TrackerPlan(Path(spec).stem, str(load_toml(Path(spec))["tracker"]), settings)


def _with_low_scores(
    trackers: list[TrackerPlan], spec: str, given: Mapping[str, Any]
) -> tuple[list[TrackerPlan], dict[str, Any]]:
    """People are detected once; each tracker gets the scores that it makes use of."""
    told = [detector_settings_for(tracker.settings, spec, given) for tracker in trackers]
    if all(each == told[0] for each in told):
        return trackers, told[0]
    usual = default_conf(spec)
    confs = [each.get("conf", usual) for each in told]
    floored = [replace(each, conf=conf) for each, conf in zip(trackers, confs, strict=True)]
    return floored, {**given, "conf": min(confs)}


def _detector(spec: str, overrides: Mapping[str, Any]) -> DetectorPlan:
    spec = str(Path(spec).absolute()) if Path(spec).is_file() else spec
    settings = {**overrides, **settings_of(build_detector(spec, **overrides))}
    values = {"detector": spec} | settings
    files = {key: Path(v) for key, v in values.items() if isinstance(v, str) and Path(v).is_file()}
    identity = values | {key: path.name for key, path in files.items()} | {"mot": __version__}
    read = [part for path in files.values() for part in _of_one_stem(path)]
    identity["files"] = {path.name: _hash(path) for path in read or SHIPPED.iterdir()}
    return DetectorPlan(spec, dict(overrides), identity)


def _embedder(wanted: Wanted, trackers: list[TrackerPlan]) -> EmbedderPlan | None:
    """People are looked at once, for all trackers that have a use for it."""
    if wanted.embeddings and not wanted.embedder:
        return None
    built = [build_tracker(each.tracker, **each.settings) for each in trackers]
    detects = wanted.detector is not None
    named = [(embedder_for(each, wanted.embedder, detects), each) for each in built]
    looking = [(name, min_embedding_score(each)) for name, each in named if name]
    if not looking:
        return None
    (name, _), least = looking[0], min(least for _, least in looking)
    file, anew = file_of(name).absolute(), wanted.embedder is not None
    if not file.is_file():
        raise MotError(f"{file}: no such file")
    identity = {"embedder": name if name == DEFAULT_EMBEDDER else file.name, "hash": _hash(file)}
    return EmbedderPlan(file, least, anew, identity | {"least": least, "anew": anew})


def _of_one_stem(path: Path) -> list[Path]:
    """The weights of a network lie beside the file that names its layers."""
    return [p for p in path.parent.iterdir() if p.stem == path.stem and p.is_file()]


def _refuse_twins(what: str, names: Iterable[str]) -> None:
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise MotError(f"two {what} are called {name!r}, and so would be their results")


def _stream(
    sequence: Sequence,
    wanted: Wanted,
    detector: DetectorPlan | None,
    embedder: EmbedderPlan | None,
) -> Stream:
    first, last = split_frames(sequence.length, wanted.split)
    if last < first:
        raise MotError(f"{sequence.name}: has {sequence.length} frames: none of {wanted.split}")
    camera = _camera(sequence, wanted.camera) if wanted.camera else None
    pictures = pictures_of(sequence) if detector or embedder else []
    if detector:
        if not pictures:
            raise MotError(f"{sequence.name}: has no pictures for --detector: give --detections")
        cache = file_path(home(), digest_of_seen(detector.identity, pictures))
        stream = Stream(sequence, first, last, detector=detector, cache=cache, camera=camera)
    else:
        file = _detections(sequence, wanted.detections)
        looks = _embeddings(sequence, wanted.embeddings) if wanted.embeddings else None
        stream = Stream(sequence, first, last, file, looks, camera=camera)
    if wanted.embedder and embedder and not pictures:
        raise MotError(f"{sequence.name}: has no pictures for --embedder")
    return _looked_at(stream, embedder, pictures) if embedder and pictures else stream


def _looked_at(stream: Stream, embedder: EmbedderPlan, pictures: list[Path]) -> Stream:
    source = stream.cache or stream.file
    assert source
    detections = source.stem if stream.cache else _hash(source)
    seen_by = {"embedder": embedder.identity, "detections": detections}
    looks = file_path(home(), digest_of_seen(seen_by, pictures))
    return replace(stream, embedder=embedder, looks=looks)


def _detections(sequence: Sequence, name: str | None) -> Path:
    opened = partial(SequenceSource, sequence, Window())
    file = detections_file(StreamSource(sequence.name, opened, sequence), name)
    if file is None:
        raise MotError(
            f"{sequence.name}: has no detections: give --detections, or --detector for pictures"
        )
    return file.absolute()


def _embeddings(sequence: Sequence, name: str) -> Path:
    """A file in the folder of the sequence, beside its detections."""
    places = [sequence.folder / "det" / name, sequence.folder / name]
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        raise MotError(f"--embeddings {name}: no such file in {sequence.folder / 'det'}")
    return found


def _camera(sequence: Sequence, name: str) -> str:
    """A method's name, or the path of a file, which is read here to refuse a bad one early."""
    from mot.camera_motion import METHODS, open_camera

    open_camera(name, sequence.folder)
    if name in METHODS:
        if not pictures_of(sequence):
            raise MotError(f"--camera {name}: {sequence.name} has no pictures to see it in")
        return name
    beside = sequence.folder / name
    return str(beside if beside.is_file() else Path(name).absolute())


def _identity(stream: Stream) -> Record:
    """Of what a sequence's results depend on, wherever its files lie."""
    found: Record = {"length": stream.sequence.length, "fps": stream.sequence.fps}
    if stream.detector and stream.cache:
        name = stream.detector.identity["detector"]
        found["detections"] = {"detector": name, "hash": stream.cache.stem}
    elif stream.file:
        found["detections"] = {"file": stream.file.name, "hash": _hash(stream.file)}
    if stream.embedder:
        found["embedder"] = stream.embedder.identity
    if stream.embeddings:
        found["embeddings"] = _hash(stream.embeddings)
    if stream.sees_camera:
        pictures = pictures_of(stream.sequence)
        found["camera"] = digest_of_seen({"camera": stream.camera}, pictures)
    elif stream.camera:
        found["camera"] = _hash(Path(stream.camera))
    return found


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def difference(old: Record, new: Record) -> str | None:
    """What two records differ in, in words: of each part the first thing."""
    before, now = _flat(old), _flat(new)
    keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    first = {key.split(".")[0]: key for key in reversed(keys)}  # of each part, the first
    told = [
        f"{key} was {_short(before.get(key))}, now {_short(now.get(key))}"
        for key in sorted(first.values(), key=keys.index)
    ]
    return "; ".join(told) or None


def _flat(record: Record, place: str = "") -> Record:
    """The values by their whole names, after the names of the trackers and sequences."""
    flat: Record = {}
    if not place:
        flat = {part: ", ".join(record[part]) for part in ("trackers", "sequences")}
    for key, value in record.items():
        inner = isinstance(value, dict)
        flat |= _flat(value, f"{place}{key}.") if inner else {f"{place}{key}": value}
    return flat


def _short(value: object) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:12]}..."
