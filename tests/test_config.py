"""Settings: what is wrong is named with its mend, what is shipped is what is documented."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest

from mot.config import build_detector, build_tracker, detector_settings_for, shipped
from mot.detectors import DETECTORS
from mot.errors import MotError
from mot.settings import build_settings, load_toml, parse_overrides, settings_of
from mot.trackers import DEFAULT_TRACKER, TRACKERS


@dataclass(frozen=True)
class Example:
    share: float = 0.5
    count: int = 3
    wanted: bool = True
    name: str = "street"
    words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.count > 99:
            raise ValueError("count must be at most 99")


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "mine.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refusal(make, *args, **kwargs) -> str:
    """The message of one line with which it is refused."""
    with pytest.raises(MotError) as caught:
        make(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, Example()),
        ({"share": 1}, Example(share=1.0)),
        ({"share": 0.25, "count": 7}, Example(share=0.25, count=7)),
        ({"wanted": False, "name": ""}, Example(wanted=False, name="")),
        ({"words": ["a", "b"]}, Example(words=("a", "b"))),
    ],
)
def test_values_are_taken_and_the_rest_is_default(values, expected) -> None:
    made = build_settings(Example, values, "here")
    assert made == expected
    assert type(made.share) is float


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"coutn": 3}, "unknown setting 'coutn': did you mean 'count'?"),
        ({"zzz": 3}, "unknown setting 'zzz': known: count, name, share, wanted, words"),
        ({"__class__": 3}, "unknown setting"),
        ({"share": "much"}, "share = 'much' must be a number"),
        ({"share": float("nan")}, "share = nan must be a number"),
        ({"share": True}, "share = True must be a number"),
        ({"share": None}, "share = None must be a number"),
        ({"share": [0.5]}, "share = [0.5] must be a number"),
        ({"share": 10**400}, "share"),
        ({"count": 2.5}, "count = 2.5 must be a whole number"),
        ({"count": 2.0}, "count = 2.0 must be a whole number"),
        ({"count": "2"}, "count = '2' must be a whole number"),
        ({"count": False}, "count = False must be a whole number"),
        ({"wanted": 1}, "wanted = 1 must be true or false"),
        ({"name": 1}, "name = 1 must be a text"),
        ({"words": "a"}, "words = 'a' must be a list of texts"),
        ({"words": [1]}, "words = [1] must be a list of texts"),
        ({"count": 100}, "count must be at most 99"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_value_is_named(values, fault) -> None:
    message = refusal(build, Example, values, "here")
    assert message.startswith("here: ")
    assert fault in message


@pytest.mark.parametrize("name", TRACKERS)
def test_the_shipped_file_says_what_the_defaults_are(name) -> None:
    module, _, settings_name = TRACKERS[name]
    defaults = getattr(import_module(module), settings_name)()
    assert shipped("trackers", name) == dataclasses.asdict(defaults)
    assert settings_of(build_tracker(name)) == dataclasses.asdict(defaults)


def test_every_settings_file_belongs_to_a_tracker() -> None:
    folder = Path(import_module("mot").__file__).parent / "configs" / "trackers"
    assert {path.stem for path in folder.glob("*.toml")} == set(TRACKERS)


@pytest.mark.parametrize("name", DETECTORS)
def test_the_shipped_file_of_a_detector_says_what_the_defaults_are(name) -> None:
    module, _, settings_name = DETECTORS[name]
    kind = getattr(pytest.importorskip(module, exc_type=ImportError), settings_name)
    shipped_values = shipped("detectors", name)
    assert set(shipped_values) == {field.name for field in dataclasses.fields(kind)}
    assert build_settings(kind, shipped_values, name) == kind()


def test_every_detector_has_a_settings_file() -> None:
    folder = Path(import_module("mot").__file__).parent / "configs" / "detectors"
    assert {path.stem for path in folder.glob("*.toml")} == set(DETECTORS)


def test_the_defaults_are_registered() -> None:
    assert type(build_tracker()) is type(build_tracker(DEFAULT_TRACKER))
    assert build_tracker() is not build_tracker()
    assert build_detector() is not build_detector()


def test_overrides_reach_the_tracker() -> None:
    settings = settings_of(build_tracker("sort", min_hits=1, track_buffer=2))
    assert (settings["min_hits"], settings["track_buffer"]) == (1, 2.0)
    assert settings["iou_threshold"] == shipped("trackers", "sort")["iou_threshold"]


def test_a_file_names_its_tracker_and_overrides_win(tmp_path) -> None:
    path = write(tmp_path, 'tracker = "sort"\nmin_hits = 7\niou_threshold = 0.5\n')
    settings = settings_of(build_tracker(str(path), min_hits=1))
    assert (settings["min_hits"], settings["iou_threshold"]) == (1, 0.5)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("min_hits = 1", 'names no tracker: add tracker = "'),
        ('tracker = ""', "names no tracker"),
        ('tracker = "sort"\nmin_hit = 1', "unknown setting 'min_hit': did you mean 'min_hits'?"),
        ('tracker = "sort"\nmin_hits = "one"', "min_hits = 'one' must be a whole number"),
        ('tracker = "sort"\ntrack_buffer = nan', "track_buffer = nan must be a number"),
        ("tracker = ", "not a TOML file"),
        ("]", "not a TOML file"),
        (b"\xff\xfe\x00", "not a TOML file"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, content, fault) -> None:
    path = write(tmp_path, content)
    message = refusal(build_tracker, str(path))
    assert message.startswith(f"{path}: ")
    assert fault in message


@pytest.mark.parametrize("name", ['"srot"', "5"])
def test_a_file_with_an_unknown_tracker_is_refused(tmp_path, name) -> None:
    assert "unknown tracker" in refusal(build_tracker, str(write(tmp_path, f"tracker = {name}")))


@pytest.mark.parametrize("make", [None, Path.mkdir], ids=["missing", "folder"])
def test_what_is_no_file_is_named(tmp_path, make) -> None:
    path = tmp_path / "gone.toml"
    if make:
        make(path)
    assert refusal(load_toml, path).startswith(f"{path}: ")
    assert refusal(build_tracker, str(path)).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("make", "names"), [(build_tracker, TRACKERS), (build_detector, DETECTORS)]
)
def test_an_unknown_name_is_answered_with_the_nearest(make, names) -> None:
    for name in names:
        assert f"did you mean {name!r}?" in refusal(make, name + "x")
    assert all(name in refusal(make, "@@@") for name in names)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("0.5", 0.5),
        ("-3", -3),
        ("1e-3", 0.001),
        ("true", True),
        ("[1, 2]", [1, 2]),
        ('"quoted"', "quoted"),
        ("plain", "plain"),
        ("a=b", "a=b"),
        ("True", "True"),
        ("", ""),
        ("  7 ", 7),
    ],
)
def test_overrides_are_read_as_toml_or_as_text(text, value) -> None:
    assert parse_overrides((f"tracker.key={text}",), ("tracker",)) == {"tracker": {"key": value}}


def test_later_overrides_win() -> None:
    pairs = ("tracker.min_hits=1", " tracker.track_buffer = 2 ", "tracker.min_hits=5")
    assert parse_overrides(pairs, ("tracker",))["tracker"] == {"min_hits": 5, "track_buffer": 2}
    assert parse_overrides((), ("tracker", "detector")) == {"tracker": {}, "detector": {}}


def test_overrides_of_several_groups_are_kept_apart() -> None:
    pairs = ("detector.nms=soft-gaussian", "tracker.min_hits=1", "detector.max_det=5")
    found = parse_overrides(pairs, ("tracker", "detector"))
    assert found["detector"] == {"nms": "soft-gaussian", "max_det": 5}
    assert found["tracker"] == {"min_hits": 1}


@pytest.mark.parametrize(
    ("pair", "fault"),
    [
        ("tracker.min_hits", "write it as --set tracker.key=value"),
        ("min_hits=1", "write it as --set tracker.key=value"),
        ("tracker.=1", "write it as --set tracker.key=value"),
        ("=", "write it as --set tracker.key=value"),
        ("", "write it as --set tracker.key=value"),
        ("traker.min_hits=1", "unknown group 'traker': did you mean 'tracker'?"),
        ("camera.method=flow", "unknown group 'camera': known: detector, tracker"),
    ],
)
def test_a_wrong_override_is_named(pair, fault) -> None:
    message = refusal(parse_overrides, (pair,), ("tracker", "detector"))
    assert message.startswith(f"--set {pair}: ")
    assert fault in message


def test_a_component_without_settings_has_none() -> None:
    assert settings_of(object()) == {}


def test_what_a_class_of_settings_knows_is_no_setting() -> None:
    with pytest.raises(MotError, match=r"unknown setting 'SURE': (?!.*known: SURE)"):
        build_detector("person", SURE=0.4)


def test_a_detector_tells_the_low_scores_that_a_tracker_makes_use_of(tmp_path) -> None:
    low, high = settings_of(build_tracker("bytetrack")), settings_of(build_tracker("sort"))
    assert detector_settings_for(low, "person", {"width": 320}) == {"width": 320, "conf": 0.1}
    assert detector_settings_for(high, "person", {}) == {"conf": 0.5}, "from which it is sure"
    assert detector_settings_for(high, "person", {"conf": 0.3}) == {"conf": 0.3}
    assert detector_settings_for(high, "retinanet", {}) == {}, "which does not tell when it is"
    assert detector_settings_for(low, "person", {"conf": 0.4}) == {"conf": 0.4}
    assert detector_settings_for(low, "motion", {}) == {}, "which has no scores to choose from"
    file = tmp_path / "sure.toml"
    file.write_text('detector = "person"\nconf = 0.5\n')
    assert (
        detector_settings_for(low, str(file), {})
        == detector_settings_for(high, str(file), {})
        == {}
    )
    file.write_text('detector = "person"\nwidth = 320\n')
    assert detector_settings_for(low, str(file), {}) == {"conf": 0.1}
