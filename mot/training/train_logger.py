"""The files of a training run, and the log of its steps and validations.

Nothing here needs PyTorch, save the writer of TensorBoard's files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mot.errors import MotError, as_user_error
from mot.files import json_safe
from mot.training.tensorboard import TensorBoardWriter

if TYPE_CHECKING:
    from mot.training.task import ValidationResult

LAST, BEST, LOG = "last.safetensors", "best.safetensors", "log.jsonl"
TENSORBOARD = "tensorboard"  # a folder


@dataclass(slots=True)
class Progress:
    epoch: int = 0  # of the next batch
    batch: int = 0  # the next one of the epoch
    step: int = 0  # of the optimizer
    best: float = -1.0  # score
    best_epoch: int = -1
    seconds: float = 0.0


class Callback(Protocol):
    """Reports the progress of a training, for example by a progress bar."""

    def begin(self, steps: int, done: int) -> None: ...

    def step(self, progress: Progress, losses: Mapping[str, float]) -> None: ...

    def epoch(self, progress: Progress, metrics: Mapping[str, float]) -> None: ...

    def end(self) -> None: ...


class TrainLogger:
    """Logs to `log.jsonl`, to TensorBoard and to a callback. On resuming, lines after the
    checkpoint are removed."""

    def __init__(self, folder: Path, callback: Callback, progress: Progress, steps: int) -> None:
        """`steps`: of the complete training."""
        self._callback = callback
        callback.begin(steps, progress.step)
        self._tensorboard = TensorBoardWriter(folder / TENSORBOARD)
        path = folder / LOG
        lines = _complete_lines(path) if path.is_file() else []
        kept = [line for line in lines if json.loads(line)["step"] <= progress.step]
        path.write_text("".join(kept), "utf-8")
        self._file = path.open("a", encoding="utf-8")

    def step(self, progress: Progress, losses: Mapping[str, float]) -> None:
        self._write({"step": progress.step, "epoch": progress.epoch, **losses})
        self._callback.step(progress, losses)
        self._tensorboard.add_scalars("train", losses, progress.step)

    def epoch(
        self, progress: Progress, result: ValidationResult, headline: tuple[str, ...]
    ) -> None:
        metrics = {name: round(value, 5) for name, value in result.metrics.items()}
        self._write({"step": progress.step, "epoch": progress.epoch, "val": metrics})
        self._callback.epoch(progress, {name: metrics[name] for name in headline})
        self._tensorboard.add_scalars("val", metrics, progress.step)
        self._tensorboard.add_images("val", result.draw, progress.step)

    def close(self) -> None:
        self._callback.end()
        self._file.close()
        self._tensorboard.close()

    def _write(self, record: Mapping[str, Any]) -> None:
        try:
            self._file.write(json.dumps(json_safe(record)) + "\n")
            self._file.flush()
        except OSError as error:
            raise as_user_error(error, Path(self._file.name)) from error


def read_log(path: Path) -> list[dict[str, Any]]:
    """One dict for each step and each validation."""
    if not path.is_file():
        raise MotError(f"{path}: no such file: give a folder that `mot train` wrote")
    try:
        return [json.loads(line) for line in _complete_lines(path)]
    except ValueError:
        raise MotError(f"{path}: not the log of a training") from None


def _complete_lines(path: Path) -> list[str]:
    """Without half a line that a killed process may have left."""
    return [line for line in path.read_text("utf-8").splitlines(True) if line.endswith("}\n")]
