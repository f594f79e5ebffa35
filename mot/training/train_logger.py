"""What becomes of a training, told to the person, to `log.jsonl` and to TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from mot.errors import as_user_error
from mot.files import plain
from mot.training.logs import BOARD, LOG, whole_lines
from mot.training.state import Progress
from mot.training.task import Measured
from mot.training.tensorboard import Board


class Watch(Protocol):
    """Who looks on: a bar on a terminal, or nobody."""

    def begin(self, steps: int, done: int) -> None: ...

    def step(self, progress: Progress, told: Mapping[str, float]) -> None: ...

    def epoch(self, progress: Progress, measured: Mapping[str, float]) -> None: ...

    def end(self) -> None: ...


class TrainLogger:
    """On resuming, what was written after the checkpoint is taken back."""

    def __init__(self, folder: Path, watch: Watch, progress: Progress, steps: int) -> None:
        self._watch = watch
        watch.begin(steps, progress.step)
        self._board = Board(folder / BOARD)
        path = folder / LOG
        lines = whole_lines(path) if path.is_file() else []
        kept = [line for line in lines if json.loads(line)["step"] <= progress.step]
        path.write_text("".join(kept), "utf-8")
        self._file = path.open("a", encoding="utf-8")

    def step(self, progress: Progress, told: Mapping[str, float]) -> None:
        self._write({"step": progress.step, "epoch": progress.epoch, **told})
        self._watch.step(progress, told)
        self._board.numbers("train", told, progress.step)

    def epoch(self, progress: Progress, measured: Measured, headline: tuple[str, ...]) -> None:
        figures = {name: round(value, 5) for name, value in measured.figures.items()}
        self._write({"step": progress.step, "epoch": progress.epoch, "val": figures})
        self._watch.epoch(progress, {name: figures[name] for name in headline})
        self._board.numbers("val", figures, progress.step)
        self._board.pictures("val", measured.drawn, progress.step)

    def close(self) -> None:
        self._watch.end()
        self._file.close()
        self._board.close()

    def _write(self, record: Mapping[str, Any]) -> None:
        try:
            self._file.write(json.dumps(plain(record)) + "\n")
            self._file.flush()
        except OSError as error:
            raise as_user_error(error, Path(self._file.name)) from error
