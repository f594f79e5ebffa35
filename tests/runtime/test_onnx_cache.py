"""The cache of exported networks: what its keys depend on."""

from __future__ import annotations

import ast
import hashlib
from pathlib import Path

import pytest

import mot
from mot.errors import MotError
from mot.runtime import onnx_cache
from mot.runtime.onnx_cache import CACHE_SCHEMA, digest, export_to_cache, exported_path

PACKAGE = Path(mot.__file__).parent
# Code that determines the content of exported files, and its digest at this schema.
SOURCES = (
    "detectors/darknet/cfg.py",
    "detectors/darknet/layers.py",
    "detectors/darknet/model.py",
    "detectors/darknet/trainable.py",
    "detectors/export.py",
    "detectors/models/*.py",
    "reid/backbones.py",
    "reid/export.py",
    "reid/networks.py",
    "reid/osnet.py",
    "runtime/export.py",
    "runtime/onnx_metadata.py",
    "runtime/pad_channels.py",
    "runtime/preprocess.py",
    "runtime/torch_layers.py",
)
SCHEMA = 1
SOURCE_DIGEST = "47bbbe6c421082d8"


def code(node: ast.AST) -> str:
    """The syntax tree as text, without docstrings, equal in all versions of Python."""
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
        node.body = node.body[ast.get_docstring(node) is not None :]
    parts = [type(node).__name__]
    for name, value in ast.iter_fields(node):
        for each in value if isinstance(value, list) else [value]:
            if each is not None:
                parts.append(f"{name}={code(each) if isinstance(each, ast.AST) else repr(each)}")
    return f"({' '.join(parts)})"


def test_cache_schema_changes_with_the_exporting_code() -> None:
    files = [file for pattern in SOURCES for file in sorted(PACKAGE.glob(pattern))]
    assert len(files) > len(SOURCES)
    total = hashlib.sha256()
    for file in files:
        total.update(code(ast.parse(file.read_text("utf-8"))).encode())
    assert (CACHE_SCHEMA, total.hexdigest()[:16]) == (SCHEMA, SOURCE_DIGEST), (
        "the code of exported networks changed: raise CACHE_SCHEMA in mot/runtime/onnx_cache.py if "
        "their outputs or metadata changed, then store both values here"
    )


def test_comments_and_docstrings_are_no_code() -> None:
    one, other = 'def f(x):\n    """Doc."""\n    return x  # same\n', "def f(x):\n  return x\n"
    assert code(ast.parse(one)) == code(ast.parse(other)) != code(ast.parse("def f(x): return 1"))


def test_digest(tmp_path, monkeypatch) -> None:
    file = tmp_path / "net.weights"
    file.write_bytes(b"1")
    first = digest((file,), "person", True)
    assert digest((file,), "person", True) == first
    assert digest((file,), "person", False) != first
    assert digest((), "person", True) != first
    monkeypatch.setattr(onnx_cache, "CACHE_SCHEMA", CACHE_SCHEMA + 1)
    assert digest((file,), "person", True) != first
    monkeypatch.undo()
    file.write_bytes(b"2")
    assert digest((file,), "person", True) != first
    with pytest.raises(MotError, match="none: no such file"):
        digest((tmp_path / "none",))


def test_failed_export_leaves_no_cached_file(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MOT_HOME", str(tmp_path))
    path = exported_path("key")

    def fail(file: Path) -> None:
        assert file != path
        raise MotError("cannot be exported")

    with pytest.raises(MotError, match="cannot be exported"):
        export_to_cache(path, fail)
    assert not path.exists()
