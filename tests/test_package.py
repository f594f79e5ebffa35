"""What is installed is what is here: built, installed into an empty environment, compared."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LISTING = """
import mot, pathlib
root = pathlib.Path(mot.__file__).parent
print(*(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()), sep="\\n")
"""


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def shipped(names: list[str]) -> set[str]:
    return {name for name in names if "__pycache__" not in name and not name.endswith(".pyc")}


def source_files() -> set[str]:
    package = ROOT / "mot"
    files = [path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()]
    return shipped(files)


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the sdist and the wheel, the wheel made from the sdist."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT, cwd=out)
    return out


@pytest.mark.slow
def test_sdist_holds_the_package(built):
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = archive.getnames()
    inside = {name.split("/mot/", 1)[1] for name in names if "/mot/" in name}
    assert source_files() <= inside
    assert any(name.endswith("/LICENSE") for name in names)


@pytest.mark.slow
def test_wheel_in_an_empty_environment(built, tmp_path):
    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv/bin/python"
    wheel = next(built.glob("*.whl"))
    run(python, "-m", "pip", "install", "--no-deps", "--no-index", wheel, cwd=tmp_path)
    assert shipped(run(python, "-c", LISTING, cwd=tmp_path).split()) == source_files()
    metadata = (
        "import importlib.metadata as m; print(m.metadata('mot-tracking')['License-Expression'])"
    )
    assert run(python, "-c", metadata, cwd=tmp_path).strip() == "Apache-2.0"
    assert (tmp_path / "venv/bin/mot").is_file()
