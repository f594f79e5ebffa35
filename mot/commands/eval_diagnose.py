"""The folder of `mot eval --errors`: each mistake, its likely cause, pictures and plots."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mot.cli.eval import Options
from mot.commands.console import refuse_existing, tell
from mot.errors import MotError
from mot.evaluation.diagnosis.with_gt.diagnosis import Event, as_csv, causes, diagnose
from mot.evaluation.loading import Loaded
from mot.evaluation.score import Matches
from mot.evaluation.series import by_frame
from mot.evaluation.summary import Summary
from mot.files import write_text
from mot.reports.error_sheets import draw_events
from mot.reports.plots import plot_hota, plot_over_time, plot_track_lengths


class ErrorReport:
    """Filled sequence by sequence; `finish` writes what is about all of them."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._folder = Path(options.errors or "").expanduser()
        self._events: dict[str, list[Event]] = {}
        self._table = self._folder / "errors.csv"
        if self._folder.is_file():
            raise MotError(f"--errors {self._folder}: is a file: name a folder")
        refuse_existing([self._table], options.overwrite)

    def add(self, loaded: Loaded, matches: dict[str, Matches]) -> None:
        several = len(matches) > 1
        for label, found in matches.items():
            name = f"{loaded.entry.name}-{label}" if several else loaded.entry.name
            events = diagnose(loaded, found)
            self._draw(name, loaded, found, events)
            self._events[name] = [_in_the_whole(event, loaded.first - 1) for event in events]

    def _draw(self, name: str, loaded: Loaded, matches: Matches, events: list[Event]) -> None:
        scene, fps = matches.scene, loaded.entry.truth.fps
        frames = Path(self._options.frames).expanduser() if self._options.frames else None
        plot_over_time(by_frame(matches), fps, self._folder / f"{name}-time.png")
        lengths = scene.truth.boxes_of_people, scene.result.boxes_of_people
        plot_track_lengths(*lengths, fps, self._folder / f"{name}-lengths.png")
        drawn = draw_events(loaded, events, self._folder / "pictures", frames)
        if not drawn:
            tell(f"{name}: no frames to draw the mistakes in (--frames)", self._options.quiet)

    def finish(self, summary: Summary) -> None:
        write_text(self._table, as_csv(self._events))
        plot_hota(summary.curves, self._folder / "hota.png")
        every = [event for events in self._events.values() for event in events]
        _show(causes(every))
        tell(f"  {self._folder}", self._options.quiet)


def _in_the_whole(event: Event, before: int) -> Event:
    """Its frames counted from the start of the sequence, as pictures and videos are."""
    first, last = event.first_frame + before, event.last_frame + before
    return replace(event, first_frame=first, last_frame=last)


def _show(counts: dict[str, dict[str, int]]) -> None:
    """How many of each kind, and of what cause."""
    for kind, of_causes in counts.items():
        parts = ", ".join(f"{cause} {count}" for cause, count in of_causes.items())
        print(f"{kind:11} {sum(of_causes.values()):5}: {parts}")
