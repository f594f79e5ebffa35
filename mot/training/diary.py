"""What becomes of a training, told to the person, to `log.jsonl` and to TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from mot.training.data.dataset import DataSet
from mot.training.data.pictures import read_picture
from mot.training.logs import LOG, whole_lines
from mot.training.metrics.scores import Scores
from mot.training.state import Progress
from mot.types import Detections, Frame

_SHOWN = 8  # pictures of an epoch
_LEAST_SHOWN = 0.3  # score


class Watch(Protocol):
    """Who looks on: a bar on a terminal, or nobody."""

    def begin(self, steps: int, done: int) -> None: ...

    def step(self, progress: Progress, told: Mapping[str, float]) -> None: ...

    def epoch(self, progress: Progress, measured: Mapping[str, float]) -> None: ...

    def end(self) -> None: ...


class Diary:
    """On resuming, what was written after the checkpoint is taken back."""

    def __init__(self, folder: Path, watch: Watch, progress: Progress, steps: int) -> None:
        self._watch = watch
        watch.begin(steps, progress.step)
        self._board = _board(folder)
        path = folder / LOG
        lines = whole_lines(path) if path.is_file() else []
        kept = [line for line in lines if json.loads(line)["step"] <= progress.step]
        path.write_text("".join(kept), "utf-8")
        self._file = path.open("a", encoding="utf-8")

    def step(self, progress: Progress, told: Mapping[str, float]) -> None:
        self._write({"step": progress.step, "epoch": progress.epoch, **told})
        self._watch.step(progress, told)
        for name, value in told.items() if self._board else ():
            self._board.add_scalar(f"train/{name}", value, progress.step)

    def epoch(
        self, progress: Progress, scores: Scores, found: Sequence[Detections], data: DataSet
    ) -> None:
        measured = {name: round(value, 5) for name, value in scores.as_dict().items()}
        self._write({"step": progress.step, "epoch": progress.epoch, "val": measured})
        self._watch.epoch(progress, measured)
        if self._board:
            for name, value in measured.items():
                self._board.add_scalar(f"val/{name}", value, progress.step)
            for place in range(min(_SHOWN, len(data))):
                image = _drawn(data, place, found[place])
                self._board.add_image(f"val/{place}", image, progress.step, dataformats="HWC")

    def close(self) -> None:
        self._watch.end()
        self._file.close()
        if self._board:
            self._board.close()

    def _write(self, record: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()


def _drawn(data: DataSet, place: int, found: Detections) -> Any:
    from mot.render import draw_detections

    image = read_picture(data[place])
    sure = found[found.scores >= _LEAST_SHOWN]
    return draw_detections(Frame(image, 1, 0.0), sure, data.names)[..., ::-1].copy()


def _board(folder: Path) -> Any:
    """TensorBoard's writer, where it is installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"))
