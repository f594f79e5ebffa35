"""The flags of every verb that runs a detector, and the settings that they stand for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import click

from mot.detectors import BY_SUFFIX, DEFAULT_DETECTOR, DETECTORS

Command = TypeVar("Command", bound=Callable[..., Any])


class _Share(click.FloatRange):
    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        share = float(super().convert(value, param, ctx))
        if math.isnan(share):  # which lies in every range
            self.fail(f"{value!r} is not a number.", param, ctx)
        return share


def parse_size(
    context: click.Context, option: click.Parameter, text: str | None
) -> tuple[int, int] | None:
    """(width, height); of one number the other side is 0, which the network chooses."""
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise click.BadParameter(f"{text!r}: give WIDTHxHEIGHT, or the longer side: 960x544, 640")
    return int(sides[0]), int(sides[1]) if len(sides) == 2 else 0


def _parse_classes(
    context: click.Context, option: click.Parameter, text: str | None
) -> tuple[str, ...] | None:
    if text is None:
        return None
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    if not words:
        raise click.BadParameter("give names or numbers with commas between them")
    return words


_DETECTOR = click.option(
    "--detector",
    metavar="NAME|FILE",
    help=f"What finds the people: {', '.join(DETECTORS)}, or a file: "
    f"{', '.join([*BY_SUFFIX, '.toml'])}. [default: {DEFAULT_DETECTOR}]",
)
_OPTIONS = (
    click.option("--weights", metavar="FILE", help="Of the detector's network."),
    click.option(
        "--partial", is_flag=True, help="Read what fits of the weights; the rest stays untrained."
    ),
    click.option(
        "--imgsz",
        callback=parse_size,
        metavar="WIDTHxHEIGHT",
        help="That the network runs at, or the longer side. [default: the network's own]",
    ),
    click.option("--conf", type=_Share(0, 1), help="Leave out detections of a lower score."),
    click.option(
        "--iou",
        type=_Share(0, 1),
        help="Detections that overlap by more are taken for one.",
    ),
    click.option(
        "--classes",
        callback=_parse_classes,
        metavar="NAME,...",
        help="Only these, by name or number. [default: people]",
    ),
    click.option("--batch", type=click.IntRange(1), help="Pictures at a time. [default: 1]"),
    click.option("--device", metavar="cpu|cuda|cuda:1|auto", help="[default: auto]"),
    click.option("--half", is_flag=True, help="In 16 bits, where the device has them."),
    click.option("--max-det", type=click.IntRange(1), help="At most, of a picture."),
    click.option(
        "--tiles",
        metavar="COLUMNSxROWS",
        help="Look at parts of the picture, for small people in large pictures.",
    ),
)


@dataclass(frozen=True, slots=True)
class DetectorOptions:
    """The flags of a detector, as given."""

    groups: ClassVar[tuple[str, ...]] = ("detector",)  # that --set knows

    detector: str | None
    weights: str | None
    partial: bool
    imgsz: tuple[int, int] | None  # the second is 0 where only one was given
    conf: float | None
    iou: float | None
    classes: tuple[str, ...] | None
    batch: int | None
    device: str | None
    half: bool
    max_det: int | None
    tiles: str | None
    settings: tuple[str, ...]  # GROUP.KEY=VALUE

    def overrides(self, group: str) -> dict[str, Any]:
        """What --set says of a group."""

        from mot.settings import parse_overrides

        return parse_overrides(self.settings, self.groups)[group]


def set_flag(groups: tuple[str, ...]) -> Callable[[Command], Command]:
    """`--set`, which is given as often as there are settings."""
    return click.option(
        "--set",
        "settings",
        multiple=True,
        metavar=f"{'|'.join(groups)}.KEY=VALUE",
        help=f"A setting of the {' or '.join(groups)}, as in its TOML file.",
    )


def detector_flags(command: Command) -> Command:
    return _DETECTOR(network_flags(command))


def network_flags(command: Command) -> Command:
    """All but --detector."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


# Which flag a setting of a network comes from.
FLAGS = {
    "weights": "--weights",
    "partial": "--partial",
    "width": "--imgsz",
    "height": "--imgsz",
    "nms_iou": "--iou",
    "batch": "--batch",
    "device": "--device",
    "half": "--half",
    "max_det": "--max-det",
}


def settings_of_flags(options: DetectorOptions) -> dict[str, Any]:
    """What was given on the command line, as the settings of a detector; flags win over --set."""
    width, height = options.imgsz or (None, None)
    given = {
        "weights": options.weights,
        "partial": options.partial or None,
        "width": width,
        "height": height,
        "conf": options.conf,
        "nms_iou": options.iou,
        "classes": options.classes,
        "batch": options.batch,
        "device": options.device,
        "half": options.half or None,
        "max_det": options.max_det,
        "tiles": options.tiles,
    }
    flags = {key: value for key, value in given.items() if value is not None}
    return {**options.overrides("detector"), **flags}
