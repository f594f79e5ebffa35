"""Known models: which there are, where their files lie, and how they come there."""

from __future__ import annotations

import hashlib
import http
import http.client
import os
import re
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mot.errors import MachineError, MotError, as_user_error, nearest
from mot.files import partial_path
from mot.home import home

SHIPPED = Path(str(resources.files("mot").joinpath("weights")))  # what comes with mot
OnProgress = Callable[[str, int, int], None]  # a file's name, bytes so far, and in all (0: unknown)
_PIECE = 1 << 16  # bytes read at a time
PATIENCE = 30.0  # seconds without a byte
_LOCAL = frozenset(("localhost", "127.0.0.1", "::1"))


@dataclass(frozen=True, slots=True)
class ModelFile:
    name: str
    url: str = ""  # none: fetched by hand
    size: int = 0  # bytes; 0: not known for certain
    sha256: str = ""
    sha256_prefix: str = ""  # its first digits, where no more is known


@dataclass(frozen=True, slots=True)
class Model:
    """The first file is what a detector or embedder is given; the others lie beside it."""

    name: str
    about: str
    kind: str  # detector, embedder
    source: str  # the page of those who made it
    licence: str
    trained_on: str
    input: tuple[int, int]  # width, height
    megabytes: float  # about
    files: tuple[ModelFile, ...]


@cache
def known_models() -> dict[str, Model]:
    """By name."""
    text = resources.files("mot").joinpath("configs", "models.toml").read_text("utf-8")
    return {name: _model(name, values) for name, values in tomllib.loads(text).items()}


def how_to_get(name: str) -> str:
    """To be said after what is missing; nothing of an unknown model."""
    return f": mot models get {name}" if name in known_models() else ""


def _model(name: str, values: dict[str, Any]) -> Model:
    width, height = values.pop("input")
    files = tuple(ModelFile(**file) for file in values.pop("files"))
    return Model(name, input=(width, height), files=files, **values)


def find(name: str) -> Model:
    models = known_models()
    if name not in models:
        raise MotError(f"unknown model {name!r}: {nearest(name, models)}")
    return models[name]


def folder() -> Path:
    """Of all files of all models."""
    return home() / "models"


def path_of(model: Model) -> Path:
    """Where its first file lies, or is to be placed."""
    return folder() / model.files[0].name


def is_installed(model: Model) -> bool:
    return all(_is_there(file) for file in model.files)


def installed_file(name: str) -> Path | None:
    """The first file of a model of this name, where all of its files are there."""
    model = known_models().get(name)
    return path_of(model) if model and is_installed(model) else None


def _is_there(file: ModelFile) -> bool:
    """By its size alone: to hash a large file takes a second."""
    path = folder() / file.name
    return path.is_file() and path.stat().st_size == (file.size or path.stat().st_size)


def download(model: Model, on_progress: OnProgress, again: bool = False) -> dict[str, str]:
    """Fetch the files that are not there yet, or all `again`; the sha256 of each, by name."""
    present = {file for file in model.files if not again and (folder() / file.name).is_file()}
    found = {file.name: _check_present(model, file) for file in present}
    missing = [file for file in model.files if file not in present]
    if not all(file.url for file in missing):
        raise MotError(f"{model.name}: {_by_hand(model, missing)}")
    for file in missing:
        found[file.name] = _fetch(file, folder() / file.name, on_progress)
    return found


def _check_present(model: Model, file: ModelFile) -> str:
    path = folder() / file.name
    try:
        digest = _hash_of(path, path.stat().st_size).hexdigest()
    except OSError as error:
        raise MotError(f"{path}: cannot be read ({error.strerror})") from None
    if _is_right(file, digest):
        return digest
    mend = f"mot models get {model.name} --force" if file.url else f"see {model.source}"
    raise MotError(
        f"{path}: is not the file that {model.name} has: its sha256 is {digest}, not "
        f"{_expected(file)}: {mend}"
    )


def _by_hand(model: Model, files: list[ModelFile]) -> str:
    wanted = ", ".join(f"{folder() / file.name} (sha256 {_expected(file)})" for file in files)
    return f"no download of it is known: see {model.source} and place by hand {wanted}"


def _place(file: ModelFile, path: Path) -> str:
    return f"fetch it elsewhere and place it at {path} (sha256 {_expected(file)})"


def _expected(file: ModelFile) -> str:
    prefix = f"{file.sha256_prefix}..." if file.sha256_prefix else "not known"
    return file.sha256 or prefix


def _is_right(file: ModelFile, digest: str) -> bool:
    return digest.startswith(file.sha256 or file.sha256_prefix)


def _fetch(file: ModelFile, path: Path, on_progress: OnProgress) -> str:
    """Its sha256. What has come stays beside it, and the next try goes on from there."""
    partial = partial_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = _receive(file, path, partial, on_progress)
        if not _is_right(file, digest):
            partial.unlink()
            raise MachineError(
                f"{file.url}: not the right file, and removed again (its sha256 is {digest}): "
                f"{_place(file, path)}"
            )
        os.replace(partial, path)
    except OSError as error:
        raise as_user_error(error, path) from error
    return digest


def _receive(file: ModelFile, path: Path, partial: Path, on_progress: OnProgress) -> str:
    begun = partial.stat().st_size if partial.is_file() else 0
    with _ask(file, path, begun) as answer:
        done, total = _extent(answer)
        if file.size and total not in (0, file.size):
            fault = f"holds {total} bytes, not {file.size}"
            raise MachineError(f"{file.url}: {fault}: {_place(file, path)}")
        digest = _hash_of(partial, done)
        with partial.open("ab" if done else "wb") as out:
            for piece in _pieces(answer, file, path):
                out.write(piece)
                digest.update(piece)
                done += len(piece)
                on_progress(file.name, done, total)
    if done < total:
        fault = f"broke off after {done} of {total} bytes"
        raise MachineError(f"{file.url}: {fault}: try again to go on, or {_place(file, path)}")
    return digest.hexdigest()


def _hash_of(path: Path, size: int) -> hashlib._Hash:
    """Of the first `size` bytes, to be gone on with."""
    digest = hashlib.sha256()
    if size:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
    return digest


def _ask(file: ModelFile, path: Path, begun: int) -> http.client.HTTPResponse:
    """For what is missing, else for all."""
    with _network(file, path):
        rest = _ask_for_rest(file.url, begun) if begun else None
        return rest or _open(file.url, {})


def _ask_for_rest(url: str, begun: int) -> http.client.HTTPResponse | None:
    """None where the server cannot go on from there."""
    try:
        answer = _open(url, {"Range": f"bytes={begun}-"})
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        error.close()
        return None
    if answer.status == http.HTTPStatus.PARTIAL_CONTENT and _extent(answer)[0] != begun:
        answer.close()
        return None
    return answer


def _pieces(
    answer: http.client.HTTPResponse, file: ModelFile, path: Path
) -> Generator[bytes, None, None]:
    with _network(file, path):
        while piece := answer.read1(_PIECE):
            yield piece


def _extent(answer: http.client.HTTPResponse) -> tuple[int, int]:
    """Where in the file the answer begins, and how long the file is; 0 if that is not told."""
    told = re.match(r"bytes (\d+)-\d+/(\d+)", answer.headers.get("Content-Range", ""))
    if told and answer.status == http.HTTPStatus.PARTIAL_CONTENT:
        return int(told[1]), int(told[2])
    length = answer.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else 0


@contextmanager
def _network(file: ModelFile, path: Path) -> Iterator[None]:
    """What goes wrong outside this machine, in one line."""
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        raise MachineError(f"{file.url}: {_reason(error)}: {_place(file, path)}") from None


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        return f"the server answers {error.code} {error.reason}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"no answer within {PATIENCE:g} s"
    told = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return f"cannot be fetched ({' '.join(told.split())})"


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> urllib.request.Request | None:
        _, answer, *_, url = args
        try:
            _check_scheme(url)
        except MotError:
            answer.close()
            raise
        return super().redirect_request(*args)


def _open(url: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    _check_scheme(url)
    request = urllib.request.Request(url, headers={"User-Agent": "mot", **headers})
    opener = urllib.request.build_opener(_SafeRedirects)
    answer: http.client.HTTPResponse = opener.open(request, timeout=PATIENCE)
    return answer


def _check_scheme(url: str) -> None:
    """Nobody between may read or change what comes; this machine itself may serve without."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOCAL):
        raise MotError(f"{url}: models are fetched with https alone")
