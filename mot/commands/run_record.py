"""`run.json`: what was run, with which settings and versions, and how long it took."""

from __future__ import annotations

import json
import platform
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from mot import __version__
from mot.files import write_text

_PACKAGES = ("numpy", "scipy", "opencv-python", "opencv-python-headless", "av", "torch")


def write_run(folder: Path, record: dict[str, Any]) -> Path:
    """Write `run.json`; records of other results in the folder are kept under `earlier`."""
    path = folder / "run.json"
    record = {
        "mot": __version__,
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": _versions(),
        **record,
    }
    names = {source["name"] for source in record["sources"]}
    earlier = [old for old in _earlier(path) if not names & _names_in(old)]
    if earlier:
        record["earlier"] = earlier
    write_text(path, json.dumps(record, indent=2) + "\n")
    return path


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _earlier(path: Path) -> list[dict[str, Any]]:
    """The records in the file that is there; one that is broken holds none."""
    try:
        last = json.loads(path.read_text("utf-8"))
        records = [*last.pop("earlier", []), last]
        return [record for record in records if _names_in(record)]
    except (OSError, ValueError, AttributeError, TypeError):
        return []


def _names_in(record: dict[str, Any]) -> set[str]:
    return {source["name"] for source in record.get("sources", []) if "name" in source}
