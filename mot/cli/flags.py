"""Flags that several verbs share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

from mot.detectors import BY_SUFFIX, DEFAULT_DETECTOR, DETECTORS
from mot.trackers import DEFAULT_TRACKER, TRACKERS

Command = TypeVar("Command", bound=Callable[..., Any])

CAMERA_METHODS = ("flow", "ecc", "orb")
POST_STEPS = ("merge", "linear", "gsi", "short")


class _Fraction(click.FloatRange):
    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        fraction = float(super().convert(value, param, ctx))
        if math.isnan(fraction):  # which is within every range
            self.fail(f"{value!r} is not a number.", param, ctx)
        return fraction


def parse_size(
    context: click.Context, option: click.Parameter, text: str | None
) -> tuple[int, int] | None:
    """(width, height); of a single number the other side is 0, which the network chooses."""
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


def several_of(known: tuple[str, ...]) -> Callable[..., tuple[str, ...]]:
    """A callback that reads known names with commas between them."""

    def parse(context: click.Context, option: click.Parameter, text: str | None) -> tuple[str, ...]:
        if text is None:
            return ()
        names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
        if not names or any(name not in known for name in names):
            raise click.BadParameter(
                f"{text!r} is not one of {', '.join(known)}, or several of them"
            )
        return names

    return parse


_DETECTOR = click.option(
    "--detector",
    metavar="NAME|FILE",
    help=f"Detector: {', '.join(DETECTORS)}, or a file: "
    f"{', '.join([*BY_SUFFIX, '.toml'])}. [default: {DEFAULT_DETECTOR}]",
)
_NETWORK = (
    click.option("--weights", metavar="FILE", help="Weights of the detector's network."),
    click.option(
        "--partial", is_flag=True, help="Load the weights that fit; the rest stays untrained."
    ),
    click.option(
        "--imgsz",
        callback=parse_size,
        metavar="WIDTHxHEIGHT",
        help="Network input size, or its longer side. [default: the network's own]",
    ),
    click.option("--conf", type=_Fraction(0, 1), help="Minimum detection score."),
    click.option("--iou", type=_Fraction(0, 1), help="Maximum overlap of two detections (NMS)."),
    click.option(
        "--classes",
        callback=_parse_classes,
        metavar="NAME,...",
        help="Classes to keep, by name or number. [default: person]",
    ),
    click.option("--batch", type=click.IntRange(1), help="Images per batch. [default: 1]"),
    click.option("--device", metavar="cpu|cuda|cuda:1|auto", help="Device. [default: auto]"),
    click.option("--half", is_flag=True, help="Half precision, where the device supports it."),
    click.option("--max-det", type=click.IntRange(1), help="Maximum detections per image."),
    click.option(
        "--tiles",
        metavar="COLUMNSxROWS",
        help="Detection in parts of the image too, for small objects in large images.",
    ),
)
embedder_flag = click.option(
    "--embedder",
    metavar="FILE|NAME",
    help="Re-ID model: .onnx, .safetensors, none. [default: the built-in one if the tracker "
    "requires embeddings, or can use them and a detector runs]",
)
camera_flag = click.option(
    "--camera",
    metavar=f"{'|'.join(CAMERA_METHODS)}|FILE",
    help="Camera-motion compensation: method or file.",
)
post_flag = click.option(
    "--post",
    callback=several_of(POST_STEPS),
    metavar="STEP,...",
    help=f"Post-processing of finished tracks: {', '.join(POST_STEPS)} (in this order).",
)
_FRAME_RANGE = (
    click.option("--start", type=float, metavar="SECONDS", help="Start time."),
    click.option("--end", type=float, metavar="SECONDS", help="End time, exclusive."),
    click.option(
        "--every", type=click.IntRange(1), default=1, metavar="N", help="Every N-th frame only."
    ),
)


def set_flag(groups: tuple[str, ...]) -> Callable[[Command], Command]:
    """`--set`, which may be repeated."""
    return click.option(
        "--set",
        "settings",
        multiple=True,
        metavar=f"{'|'.join(groups)}.KEY=VALUE",
        help=f"A setting of the {' or '.join(groups)}, as in its TOML file.",
    )


def detector_flags(command: Command) -> Command:
    """The flags of `DetectorOptions`, except --set."""
    return _DETECTOR(network_flags(command))


def network_flags(command: Command) -> Command:
    """The flags of `DetectorOptions`, except --detector and --set."""
    return _apply(_NETWORK, command)


def frame_range_flags(command: Command) -> Command:
    return _apply(_FRAME_RANGE, command)


def tracking_flags(command: Command) -> Command:
    """The flags of `TrackingOptions`."""
    tracker_flag = click.option(
        "--tracker",
        default=DEFAULT_TRACKER,
        metavar="NAME|FILE.toml",
        show_default=True,
        help=f"Tracker: {', '.join(TRACKERS)}.",
    )
    flags = (
        click.option(
            "--detections", metavar="FILE|DIR|NAME", help="MOT detections, instead of a detector."
        ),
        click.option(
            "--embeddings", metavar="FILE", help="Embeddings of the detections: .npy, .npz."
        ),
        embedder_flag,
        detector_flags,
        tracker_flag,
        camera_flag,
        set_flag(("tracker", "detector")),
        frame_range_flags,
    )
    return _apply(flags, command)


def _apply(options: tuple[Callable[[Command], Command], ...], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command
