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
    assert len(mot.__all__) <= 20
    assert all(getattr(mot, name) is not None for name in mot.__all__)


# From the top floor down: a room imports from the rooms below it alone.
ROOMS = (
    "cli",
    "commands",
    "training",
    "benchmark",
    "reports",
    "api",
    "pipeline",
    "config",
    "reid",
    "detectors",
    "runtime",
    "evaluation",
    "datasets",
    "formats",
    "video",
    "trackers",
    "camera_motion",
    "synthetic",
)
GROUND = (
    *("boxes", "embeddings", "errors", "files", "image_size", "model_zoo", "motfile", "opencv"),
    *("render", "rowreader", "settings", "types"),
)
# Rooms that may not know each other, though one lies above the other.
STRANGERS = {"detectors": {"trackers", "synthetic"}, "evaluation": {"video", "trackers"}}


def room_of(module: str) -> str:
    """The first name below `mot`."""
    return module.split(".")[1] if "." in module else ""


def imported_by(module: str) -> set[str]:
    """The modules of mot that a module imports, also within functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file_of(module).read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {part if part in MODULES else node.module for part in parts}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name for name in names if name in MODULES and name != module}


def file_of(module: str) -> Path:
    path = PACKAGE.parent / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


MODULES = {name for name in modules_under(".") if name != "mot.__main__"}
INNER = sorted(name for name in MODULES if name != "mot")


def test_every_package_and_module_has_its_room():
    assert {room_of(name) for name in INNER} == {*ROOMS, *GROUND}


@pytest.mark.parametrize("module", INNER)
def test_imports_point_down(module):
    room = room_of(module)
    above = set(ROOMS[: ROOMS.index(room)]) if room in ROOMS else set(ROOMS)
    wrong = {
        name
        for name in imported_by(module)
        if room_of(name) in above | STRANGERS.get(room, set()) and room_of(name) != room
    }
    assert not wrong


def test_no_modules_import_each_other():
    """Packages' __init__ files hand names on, and are left out as targets."""
    packages = {name for name in MODULES if file_of(name).name == "__init__.py"}
    below = {name: imported_by(name) - packages for name in MODULES}
    reached: dict[str, set[str]] = {}
    for start in MODULES:
        seen, waiting = set(), list(below[start])
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting.extend(below[name])
        reached[start] = seen
    circles = {(a, b) for a in MODULES for b in reached[a] if a in reached[b]}
    assert not circles
