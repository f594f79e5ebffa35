"""Model zoo: known models, where their files lie, and downloads of them.

Downloads resume where they broke off, and redirects may not leave https. Pooch 1.9 does neither:
measured on a server that closes at half a file, it removes what it received and starts over. It
also takes 160 ms to import, or 270 ms with the requests it needs, against 80 ms of the standard
library here.
"""

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

from mot.errors import MachineError, MotError, as_user_error, suggest
from mot.files import cache_dir, partial_path

SHIPPED = Path(str(resources.files("mot").joinpath("weights")))  # files that ship with mot
OnProgress = Callable[[str, int, int], None]  # file name, bytes so far, total bytes (0: unknown)
TIMEOUT = 30.0  # seconds without a byte
_CHUNK = 1 << 16  # bytes read at a time
_LOCAL = frozenset(("localhost", "127.0.0.1", "::1"))


@dataclass(frozen=True, slots=True)
class ModelFile:
    name: str
    url: str = ""  # empty: to be downloaded by hand
    size: int = 0  # bytes; 0: unknown
    sha256: str = ""
    sha256_prefix: str = ""  # first digits, if no more are known


@dataclass(frozen=True, slots=True)
class Model:
    """A model of one or more files; a detector or embedder opens the first."""

    name: str
    about: str
    kind: str  # detector, embedder
    source: str  # page of its authors
    licence: str
    trained_on: str
    input: tuple[int, int]  # width, height
    megabytes: float  # approximate
    files: tuple[ModelFile, ...]


@cache
def known_models() -> dict[str, Model]:
    """All known models by name."""
    text = resources.files("mot").joinpath("configs", "models.toml").read_text("utf-8")
    models = {}
    for name, values in tomllib.loads(text).items():
        width, height = values.pop("input")
        files = tuple(ModelFile(**file) for file in values.pop("files"))
        models[name] = Model(name, input=(width, height), files=files, **values)
    return models


def find_model(name: str) -> Model:
    """The known model of this name."""
    models = known_models()
    if name not in models:
        raise MotError(f"unknown model {name!r}: {suggest(name, models)}")
    return models[name]


def how_to_get(name: str) -> str:
    """Hint at the end of an error about a missing file; empty if no model has this name."""
    return f": mot models get {name}" if name in known_models() else ""


def models_dir() -> Path:
    """Folder of the files of all models."""
    return cache_dir() / "models"


def model_path(model: Model) -> Path:
    """Path of its first file, which may not exist."""
    return models_dir() / model.files[0].name


def is_installed(model: Model) -> bool:
    """Whether all of its files exist in full size; a hash of large files would take seconds."""
    for file in model.files:
        path = models_dir() / file.name
        if not path.is_file() or (file.size and path.stat().st_size != file.size):
            return False
    return True


def installed_file(name: str) -> Path | None:
    """First file of an installed model of this name."""
    model = known_models().get(name)
    return model_path(model) if model and is_installed(model) else None


def download(model: Model, on_progress: OnProgress, force: bool = False) -> dict[str, str]:
    """Downloads missing files, or all with `force`; returns the SHA-256 of each file by name."""
    present = {file for file in model.files if not force and (models_dir() / file.name).is_file()}
    digests = {file.name: _check_file(model, file) for file in present}
    missing = [file for file in model.files if file not in present]
    if not all(file.url for file in missing):
        paths = [f"{models_dir() / file.name} (sha256 {_expected(file)})" for file in missing]
        raise MotError(
            f"{model.name}: has no download link: see {model.source} and place by hand "
            f"{', '.join(paths)}"
        )
    for file in missing:
        digests[file.name] = _download(file, models_dir() / file.name, on_progress)
    return digests


def _check_file(model: Model, file: ModelFile) -> str:
    """SHA-256 of an existing file; raises if it is wrong."""
    path = models_dir() / file.name
    try:
        digest = _start_hash(path, path.stat().st_size).hexdigest()
    except OSError as error:
        raise MotError(f"{path}: cannot be read ({error.strerror})") from None
    if _is_expected(file, digest):
        return digest
    mend = f"mot models get {model.name} --force" if file.url else f"see {model.source}"
    raise MotError(
        f"{path}: is not the file of {model.name}: its sha256 is {digest}, not "
        f"{_expected(file)}: {mend}"
    )


def _by_hand(file: ModelFile, path: Path) -> str:
    return f"download it by other means and place it at {path} (sha256 {_expected(file)})"


def _expected(file: ModelFile) -> str:
    prefix = f"{file.sha256_prefix}..." if file.sha256_prefix else "unknown"
    return file.sha256 or prefix


def _is_expected(file: ModelFile, digest: str) -> bool:
    return digest.startswith(file.sha256 or file.sha256_prefix)


def _download(file: ModelFile, path: Path, on_progress: OnProgress) -> str:
    """SHA-256 of the file. A partial file stays beside the path, and the next call resumes it."""
    partial = partial_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = _receive(file, path, partial, on_progress)
        if not _is_expected(file, digest):
            partial.unlink()
            raise MachineError(
                f"{file.url}: wrong file, removed again (its sha256 is {digest}): "
                f"{_by_hand(file, path)}"
            )
        os.replace(partial, path)
    except OSError as error:
        raise as_user_error(error, path) from error
    return digest


def _receive(file: ModelFile, path: Path, partial: Path, on_progress: OnProgress) -> str:
    start = partial.stat().st_size if partial.is_file() else 0
    with _request(file, path, start) as response:
        done, total = _extent(response)
        if file.size and total not in (0, file.size):
            fault = f"has {total} bytes, not {file.size}"
            raise MachineError(f"{file.url}: {fault}: {_by_hand(file, path)}")
        digest = _start_hash(partial, done)
        with partial.open("ab" if done else "wb") as out:
            for chunk in _chunks(response, file, path):
                out.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                on_progress(file.name, done, total)
    if done < total:
        fault = f"broke off after {done} of {total} bytes"
        raise MachineError(f"{file.url}: {fault}: try again to resume, or {_by_hand(file, path)}")
    return digest.hexdigest()


def _start_hash(path: Path, size: int) -> hashlib._Hash:
    """SHA-256 of the first `size` bytes, to be continued."""
    digest = hashlib.sha256()
    if size:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    return digest


def _request(file: ModelFile, path: Path, start: int) -> http.client.HTTPResponse:
    """Requests the file from byte `start` on, or all of it if the server cannot resume."""
    with _network_errors(file, path):
        rest = _request_rest(file.url, start) if start else None
        return rest or _open(file.url, {})


def _request_rest(url: str, start: int) -> http.client.HTTPResponse | None:
    """None if the server cannot resume there."""
    try:
        response = _open(url, {"Range": f"bytes={start}-"})
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        error.close()
        return None
    if response.status == http.HTTPStatus.PARTIAL_CONTENT and _extent(response)[0] != start:
        response.close()
        return None
    return response


def _chunks(
    response: http.client.HTTPResponse, file: ModelFile, path: Path
) -> Generator[bytes, None, None]:
    with _network_errors(file, path):
        while chunk := response.read1(_CHUNK):
            yield chunk


def _extent(response: http.client.HTTPResponse) -> tuple[int, int]:
    """Position of the response in the file, and size of the file (0: unknown)."""
    match = re.match(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
    if match and response.status == http.HTTPStatus.PARTIAL_CONTENT:
        return int(match[1]), int(match[2])
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else 0


@contextmanager
def _network_errors(file: ModelFile, path: Path) -> Iterator[None]:
    """Turns errors of the network into one line with a way around them."""
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        raise MachineError(f"{file.url}: {_reason(error)}: {_by_hand(file, path)}") from None


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        return f"the server answers {error.code} {error.reason}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"no answer within {TIMEOUT:g} s"
    text = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return f"cannot be downloaded ({' '.join(text.split())})"


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> urllib.request.Request | None:
        _, response, *_, url = args
        try:
            _check_scheme(url)
        except MotError:
            response.close()
            raise
        return super().redirect_request(*args)


def _open(url: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    _check_scheme(url)
    request = urllib.request.Request(url, headers={"User-Agent": "mot", **headers})
    opener = urllib.request.build_opener(_SafeRedirects)
    response: http.client.HTTPResponse = opener.open(request, timeout=TIMEOUT)
    return response


def _check_scheme(url: str) -> None:
    """Only https is safe against changes on the way; this machine may serve plain http."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOCAL):
        raise MotError(f"{url}: models are only downloaded over https")
