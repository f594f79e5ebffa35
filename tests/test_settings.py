"""Settings from untrusted values: each error names the setting and its mend."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from mot.errors import MotError
from mot.settings import bounds, build_settings, parse_overrides, settings_of


@dataclass(frozen=True)
class Example:
    share: float = 0.5
    count: int = 3
    wanted: bool = True
    name: str = "street"
    words: tuple[str, ...] = ()
    overlap: float = field(default=0.5, metadata=bounds(max=1))
    offset: float = field(default=0.0, metadata=bounds(min=-10, max=10))

    def __post_init__(self) -> None:
        if self.count > 99:
            raise ValueError("count must be at most 99")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, Example()),
        ({"share": 1}, Example(share=1.0)),
        ({"offset": -2}, Example(offset=-2.0)),
        ({"share": 0.25, "count": 7}, Example(share=0.25, count=7)),
        ({"wanted": False, "name": ""}, Example(wanted=False, name="")),
        ({"words": ["a", "b"]}, Example(words=("a", "b"))),
    ],
)
def test_given_values_replace_defaults(values, expected) -> None:
    made = build_settings(Example, values, "here")
    assert made == expected
    assert type(made.share) is float


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"coutn": 3}, "unknown setting 'coutn': did you mean 'count'?"),
        (
            {"zzz": 3},
            "unknown setting 'zzz': known: count, name, offset, overlap, share, wanted, words",
        ),
        ({"__class__": 3}, "unknown setting"),
        ({"share": "much"}, "share = 'much' must be a number"),
        ({"share": float("nan")}, "share = nan must be a number"),
        ({"share": True}, "share = True must be a number"),
        ({"share": None}, "share = None must be a number"),
        ({"share": [0.5]}, "share = [0.5] must be a number"),
        ({"share": 10**400}, "share"),
        ({"count": 2.5}, "count = 2.5 must be an integer"),
        ({"count": 2.0}, "count = 2.0 must be an integer"),
        ({"count": "2"}, "count = '2' must be an integer"),
        ({"count": False}, "count = False must be an integer"),
        ({"wanted": 1}, "wanted = 1 must be true or false"),
        ({"name": 1}, "name = 1 must be a string"),
        ({"words": "a"}, "words = 'a' must be a list of strings"),
        ({"words": [1]}, "words = [1] must be a list of strings"),
        ({"count": 100}, "count must be at most 99"),
        ({"share": -0.1}, "share = -0.1 must lie between 0 and inf"),
        ({"overlap": 1.5}, "overlap = 1.5 must lie between 0 and 1"),
        ({"offset": -11}, "offset = -11 must lie between -10 and 10"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_invalid_value_is_named_in_the_error(values, fault) -> None:
    message = refusal(build_settings, Example, values, "here")
    assert message.startswith("here: ")
    assert fault in message


def refusal(make, *args, **kwargs) -> str:
    """The message of one line with which it is refused."""
    with pytest.raises(MotError) as caught:
        make(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


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
def test_overrides_are_toml_values_or_strings(text, value) -> None:
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
