"""Helpers of several tests: cli."""

from __future__ import annotations

from pathlib import Path

import pytest

from mot.cli import main


def mot(*words: object) -> int:
    """Run the command in this process; the exit code."""
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    return int(end.value.code or 0)


def complaint(capsys: pytest.CaptureFixture[str], *words: object, code: int = 2) -> str:
    """Run what must fail; its one line."""
    capsys.readouterr()
    assert mot(*words) == code
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("mot: ")
    return lines[0]


def final_files(folder: Path) -> list[str]:
    """What stands under a final name."""
    return sorted(p.name for p in folder.rglob("*") if p.is_file() and ".partial" not in p.name)
