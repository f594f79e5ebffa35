"""The import rule: what works without torch, without OpenCV, and in which direction imports go."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from support.imports import (
    TORCH,
    run_without,
)

import mot
from mot.cli import cli

PACKAGE = Path(mot.__file__).parent


def modules_under(part: str) -> list[str]:
    files = sorted((PACKAGE / part).rglob("*.py"))
    names = (file.relative_to(PACKAGE.parent).with_suffix("").as_posix() for file in files)
    return [name.replace("/", ".").removesuffix(".__init__") for name in names]


def test_the_block_blocks():
    assert "numpy is blocked" in run_without(["numpy"], "import numpy").stderr


@pytest.mark.parametrize("part", ["trackers", "evaluation"])
def test_needs_neither_torch_nor_opencv(part):
    modules = modules_under(part)
    assert modules
    blocked = [*TORCH, "cv2", "av", "rich", "matplotlib"]
    run = run_without(blocked, "\n".join(f"import {m}" for m in modules))
    assert run.returncode == 0, run.stderr


def imported_at_once_by(module: str) -> set[str]:
    """The modules that it imports when it is imported itself."""
    path = PACKAGE.parent / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    names: set[str] = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def needing_torch() -> set[str]:
    """By themselves, or through another one."""
    imported = {name: imported_at_once_by(name) for name in modules_under(".")}
    found = {
        name
        for name, others in imported.items()
        if {each.split(".")[0] for each in others} & set(TORCH)
    }
    while more := {name for name, others in imported.items() if others & found} - found:
        found |= more
    return found


def test_torch_is_imported_in_the_network_parts_alone():
    with_torch = needing_torch()
    assert with_torch
    assert {name.split(".")[1] for name in with_torch} <= {
        "detectors",
        "reid",
        "runtime",
        "training",
    }


def test_everything_else_imports_without_torch():
    modules = [name for name in modules_under(".") if name != "mot.__main__"]
    with_torch = needing_torch()
    modules = [name for name in modules if name not in with_torch]
    assert len(modules) > 20
    run = run_without(TORCH, "\n".join(f"import {m}" for m in modules))
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("verb", [[], *([name] for name in cli.commands)])
def test_help_is_light(verb):
    code = f"""
from mot.cli import main
try:
    main({[*verb, "--help"]!r})
except SystemExit as end:
    heavy = [m for m in ("numpy", "scipy", "cv2", "av", "rich") if m in sys.modules]
    sys.exit(f"imports {{heavy}}" if heavy else end.code)
"""
    run = run_without(TORCH, code)
    assert run.returncode == 0, run.stderr
    assert "Usage:" in run.stdout


def test_import_mot_is_light_and_small():
    code = "import mot; assert not {'numpy', 'cv2', 'av', 'torch'} & set(sys.modules)"
    assert run_without(TORCH, code).returncode == 0
    assert len(mot.__all__) <= 12
    assert all(getattr(mot, name) is not None for name in mot.__all__)


def imported_by(file: Path) -> set[str]:
    """The mot modules that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name for name in names if name.startswith("mot.")}


FORBIDDEN = {
    "evaluation": ["detectors", "trackers", "reid", "video", "render", "pipeline", "cli"],
    "reports": ["detectors", "trackers", "reid", "pipeline", "config", "cli"],
    "formats": ["detectors", "trackers", "video", "render", "pipeline", "config", "cli"],
    "trackers": ["detectors", "reid", "runtime", "training", "video", "render", "pipeline", "cli"],
    "detectors": ["trackers", "evaluation", "video", "render", "pipeline", "cli"],
    "video": ["trackers", "detectors", "render", "pipeline", "config", "cli", "synthetic"],
    "synthetic": ["trackers", "detectors", "pipeline", "config", "cli"],
    "motfile.py": ["trackers", "detectors", "video", "render", "pipeline", "config", "cli"],
    "boxes.py": ["motfile", "trackers", "detectors", "video", "render", "pipeline", "config"],
    "types.py": ["boxes", "motfile", "trackers", "detectors", "video", "render", "pipeline"],
}


@pytest.mark.parametrize("part", FORBIDDEN)
def test_imports_point_one_way(part):
    path = PACKAGE / part
    for file in [path] if path.is_file() else path.rglob("*.py"):
        wrong = {
            name
            for name in imported_by(file)
            for bad in FORBIDDEN[part]
            if name.split(".")[1] == bad
        }
        assert not wrong, f"{file}: {wrong}"
