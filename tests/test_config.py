"""Trackers and detectors by name: shipped files hold the defaults, errors name the mend."""

from __future__ import annotations

import dataclasses
from importlib import import_module
from pathlib import Path

import pytest

from mot.config import as_tracker, build_detector, build_tracker, load_shipped
from mot.detectors import DETECTORS, import_name
from mot.errors import MotError
from mot.settings import build_settings, load_toml, settings_of
from mot.trackers import DEFAULT_TRACKER, TRACKERS


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


@pytest.mark.parametrize("name", TRACKERS)
def test_a_shipped_tracker_file_holds_the_defaults(name) -> None:
    module, _, settings_name = TRACKERS[name]
    defaults = getattr(import_module(module), settings_name)()
    assert load_shipped("trackers", name) == dataclasses.asdict(defaults)
    assert settings_of(build_tracker(name)) == dataclasses.asdict(defaults)


def test_every_settings_file_belongs_to_a_tracker() -> None:
    folder = Path(import_module("mot").__file__).parent / "configs" / "trackers"
    assert {path.stem for path in folder.glob("*.toml")} == set(TRACKERS)


@pytest.mark.parametrize("name", DETECTORS)
def test_a_shipped_detector_file_holds_the_defaults(name) -> None:
    kind = import_name(DETECTORS[name].settings)
    shipped_values = load_shipped("detectors", name)
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
    assert settings["iou_threshold"] == load_shipped("trackers", "sort")["iou_threshold"]


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
        ('tracker = "sort"\nmin_hits = "one"', "min_hits = 'one' must be an integer"),
        ('tracker = "sort"\ntrack_buffer = nan', "track_buffer = nan must be a number"),
        ("tracker = ", "not a readable TOML file"),
        ("]", "not a readable TOML file"),
        (b"\xff\xfe\x00", "not a readable TOML file"),
    ],
)
def test_an_invalid_file_is_named_in_the_error(tmp_path, content, fault) -> None:
    path = write(tmp_path, content)
    message = refusal(build_tracker, str(path))
    assert message.startswith(f"{path}: ")
    assert fault in message


@pytest.mark.parametrize("name", ['"srot"', "5"])
def test_a_file_with_an_unknown_tracker_is_refused(tmp_path, name) -> None:
    assert "unknown tracker" in refusal(build_tracker, str(write(tmp_path, f"tracker = {name}")))


@pytest.mark.parametrize("make", [None, Path.mkdir], ids=["missing", "folder"])
def test_a_missing_file_is_named(tmp_path, make) -> None:
    path = tmp_path / "gone.toml"
    if make:
        make(path)
    assert refusal(load_toml, path).startswith(f"{path}: ")
    assert refusal(build_tracker, str(path)).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("make", "names"), [(build_tracker, TRACKERS), (build_detector, DETECTORS)]
)
def test_an_unknown_name_suggests_the_nearest(make, names) -> None:
    for name in names:
        assert f"did you mean {name!r}?" in refusal(make, name + "x")
    assert all(name in refusal(make, "@@@") for name in names)


def test_a_class_variable_is_not_a_setting() -> None:
    with pytest.raises(MotError, match=r"unknown setting 'SURE': (?!.*known: SURE)"):
        build_detector("person", SURE=0.4)


def test_a_tracker_is_built_from_a_name_settings_or_an_object() -> None:
    from mot.trackers import ByteTrack, ByteTrackSettings

    settings = ByteTrackSettings(track_buffer=2.0)
    from_settings = as_tracker(settings)
    assert isinstance(from_settings, ByteTrack)
    assert settings_of(from_settings)["track_buffer"] == 2.0
    assert isinstance(as_tracker("bytetrack"), ByteTrack)
    assert as_tracker(from_settings) is from_settings
    assert as_tracker(None) is None
    with pytest.raises(TypeError, match="int: settings of no tracker"):
        as_tracker(7)
