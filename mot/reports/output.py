"""Pictures that stand under their name only when they are complete."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from mot.errors import explain
from mot.files import partial_path


def write_bytes(path: Path, data: bytes) -> None:
    partial = partial_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        os.replace(partial, path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise explain(error, path) from error
