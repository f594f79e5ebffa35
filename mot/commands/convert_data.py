"""The work of `mot convert` with data sets of pictures."""

from __future__ import annotations

from pathlib import Path

from mot.cli.convert import DATA_SETS, DETECTION, FORMATS
from mot.commands.console import refuse_existing, tell
from mot.commands.convert import files_in, holds_sequences
from mot.datasets.load import DataSettings, guess, load
from mot.datasets.voc import is_voc
from mot.datasets.write_coco import coco_lines, folder_of
from mot.errors import MotError
from mot.files import written_beside
from mot.settings import build_settings

_NAMES = {DETECTION: "coco"}


def is_data_set(source: Path, name: str | None, images: Path | None, to: str) -> bool:
    """What can be read as tracks is read so, unless --from, --to or --images says otherwise."""
    if to == DETECTION:
        return True
    if images and name in FORMATS:
        raise MotError(f"--images goes with a data set of pictures, --from {name} with tracks")
    if name or images:
        return bool(images) or name in DATA_SETS
    if not source.is_dir():
        return source.suffix.lower() == ".odgt"
    files = [] if holds_sequences(source) else files_in(source, None)
    return is_voc(files[0]) if files else guess(source) not in ("", "mot")


def convert_data_set(
    given: tuple[Path, str | None, Path | None], out: Path, to: str, overwrite: bool
) -> str:
    """Of the source, the name of its format and the folder of its pictures; what to say of it."""
    source, name, images = given
    path = _plan_output(source, out.expanduser(), to)
    refuse_existing([path], overwrite, [source])
    told = {"annotations": str(source), "images": str(images or ""), "format": name or ""}
    told["format"] = _NAMES.get(told["format"], told["format"])
    data, problems = load(build_settings(DataSettings, told, "mot convert"), sizes=True)
    for line in problems.lines():
        tell(f"warning: {line}")
    folder = images.expanduser() if images else folder_of(data)
    with written_beside(path) as file:
        file.writelines(coco_lines(data, folder))
    ignored = int(data.annotations.ignored.sum())
    people = len(data.annotations) - ignored
    return f"{path}: {len(data)} pictures in {folder}, {people} boxes, {ignored} ignored"


def _plan_output(source: Path, out: Path, to: str) -> Path:
    if to not in ("coco", DETECTION):
        raise MotError(f"--to {to} holds tracks: a data set of pictures becomes COCO: --to coco")
    return out if out.suffix and not out.is_dir() else out / f"{source.absolute().stem}.json"
