"""Docs: snippets and examples run, links lead somewhere, and the language is the field's."""

from __future__ import annotations

import doctest
import importlib
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mot
from mot.cli import cli
from mot.opencv import cv2
from mot.types import Frame

ROOT = Path(mot.__file__).resolve().parents[1]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
SNIPPETS = re.findall(r"```python\n(.*?)```", (ROOT / "docs/python.md").read_text(), re.S)
DOCTESTED = (
    *("mot", "mot.api", "mot.config", "mot.detectors.custom", "mot.pipeline"),
    *("mot.trackers", "mot.types"),
)

# Retired words, and where a word is meant otherwise.
RETIRED = (
    *("looks", "told", "whole", "anew", "least", "places", "eyes", "looker", "begun", "mended"),
    *("picture", "pictures", "nobody", "somebody"),
)
ALLOWED = {
    r"at least": "the plain phrase of a lower bound",
    r"\"(whole|picture|looks|least score|anew|told|eyes|looker)\"": "the glossary names them",
}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that snippets and examples name."""
    folder = tmp_path_factory.mktemp("docs")
    with mot.open_writer(folder / "video.mp4", 25.0) as writer:
        for index in range(1, 31):
            image = np.full((180, 320, 3), 90, np.uint8)
            cv2.rectangle(image, (20 + 4 * index, 60), (60 + 4 * index, 150), (255, 255, 255), -1)
            writer.write(Frame(image, index, (index - 1) / 25))
    rows = "".join(f"{n},1,{10 + n},10,20,50,1,1,1\n" for n in range(1, 11))
    (folder / "gt.txt").write_text(rows)
    (folder / "results.txt").write_text(rows)
    sequence = folder / "walk"
    (sequence / "gt").mkdir(parents=True)
    (sequence / "det").mkdir()
    (sequence / "gt/gt.txt").write_text(rows)
    (sequence / "det/det.txt").write_text(rows.replace(",1,1,1\n", ",0.9,-1,-1\n"))
    (sequence / "seqinfo.ini").write_text("[Sequence]\nname=walk\nseqLength=10\nframeRate=25\n")
    return folder


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_a_snippet_of_the_python_page_runs(workplace, monkeypatch, number) -> None:
    monkeypatch.chdir(workplace)
    exec(compile(SNIPPETS[number], f"docs/python.md, snippet {number}", "exec"), {})


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("own_detector", "video.mp4"),
        ("own_loop", "video.mp4"),
        ("arrays_to_table", "tracks.csv"),
        ("count_line", "video.mp4"),
        ("evaluate_trackers", "walk"),
    ],
)
def test_an_example_runs(workplace, monkeypatch, capsys, name, argument) -> None:
    monkeypatch.chdir(workplace)
    monkeypatch.setattr(sys, "argv", [name, argument])
    runpy.run_path(str(ROOT / "examples" / f"{name}.py"), run_name="__main__")
    assert capsys.readouterr().out or Path(argument).stat().st_size > 100


def test_every_example_is_run() -> None:
    assert {path.stem for path in (ROOT / "examples").glob("*.py")} == {
        *("own_detector", "own_loop", "arrays_to_table", "count_line", "evaluate_trackers")
    }


@pytest.mark.parametrize("name", DOCTESTED)
def test_docstring_examples_hold(name) -> None:
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_paths_exist(page) -> None:
    text = page.read_text()
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    missing = [link for link in links if not (page.parent / link).exists()]
    paths = re.findall(r"`((?:mot|scripts|tests|configs|examples)/[\w/.-]+\.\w+)`", text)
    named = [path for path in paths if not re.search("NAME|VERB|ROOM", path)]
    missing += [path for path in named if not (ROOT / path).exists()]
    assert not missing


def retired_in(text: str) -> list[str]:
    """The lines with retired words."""
    for phrase in ALLOWED:
        text = re.sub(phrase, "", text, flags=re.I)
    pattern = re.compile(rf"(?<![\w-])({'|'.join(RETIRED)})(?![\w-])", re.I)
    return [line.strip() for line in text.splitlines() if pattern.search(line)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_speak_the_fields_language(page) -> None:
    assert not retired_in(page.read_text())


@pytest.mark.parametrize("room", sorted({p.parent for p in (ROOT / "mot").rglob("*.py")}), ids=str)
def test_code_speaks_the_fields_language(room) -> None:
    found = {path.name: retired_in(path.read_text()) for path in room.glob("*.py")}
    assert not {name: lines for name, lines in found.items() if lines}


@pytest.mark.parametrize("verb", ["", *cli.commands])
def test_help_speaks_the_fields_language(verb) -> None:
    words = [sys.executable, "-m", "mot", *([verb] if verb else []), "--help"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0
    assert not retired_in(done.stdout)
