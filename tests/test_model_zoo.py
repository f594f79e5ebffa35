"""Model zoo: the table of models, and downloads from servers that work, lie or break off."""

from __future__ import annotations

import hashlib
import re
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from mot import model_zoo as models
from mot.cli import main
from mot.errors import MotError
from mot.files import cache_dir
from mot.model_zoo import Model, ModelFile

CONTENT = np.random.default_rng(0).bytes(300_000)
HALF = len(CONTENT) // 2
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Server:
    """Files of a server, its behavior, and the requests it received."""

    port: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)  # path, Range
    breaks_off: bool = False
    has_ranges: bool = True
    sends_length: bool = True
    shift: int = 0  # of the start of a range

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}"


class Handler(BaseHTTPRequestHandler):
    state: Server

    def do_GET(self) -> None:
        server, wanted = self.state, self.headers.get("Range")
        server.requests.append((self.path, wanted))
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", self.path.partition("?")[2])
            self.end_headers()
            return
        data = server.files.get(self.path.lstrip("/"))
        if data is None:
            self.send_error(404)
            return
        begin = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted else 0
        if begin and server.has_ranges:
            if begin >= len(data):
                self.send_error(416)
                return
            begin -= server.shift
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        else:
            begin = 0
            self.send_response(200)
        if server.sends_length:
            self.send_header("Content-Length", str(len(data) - begin))
        self.end_headers()
        end = len(data) // 2 if server.breaks_off else len(data)
        self.wfile.write(data[begin:end])

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    handler = type("BoundHandler", (Handler,), {"state": server})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        server.port = running.server_port
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            running.shutdown()
            thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Server(files={"net.weights": CONTENT})) as running:
        yield running


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """Folder of the models, without a proxy to the local server."""
    monkeypatch.setenv("MOT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    return tmp_path / "home" / "models"


def model_of(*files: ModelFile) -> Model:
    return Model("net", "a net", "detector", "https://x.org/net", "MIT", "COCO", (9, 9), 0.3, files)


def weights(server: Server, **changes: object) -> ModelFile:
    file = ModelFile("net.weights", server.url("net.weights"), len(CONTENT), SHA256)
    return replace(file, **changes)


def fetch(model: Model, force: bool = False) -> dict[str, str]:
    return models.download(model, lambda name, done, total: None, force)


def refusal(model: Model, force: bool = False) -> str:
    with pytest.raises(MotError) as caught:
        fetch(model, force)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# The table.


@pytest.mark.parametrize("model", models.known_models().values(), ids=lambda model: model.name)
def test_entries_of_the_table_are_complete(model) -> None:
    assert model.about and model.licence and model.trained_on
    assert model.source.startswith("https://")
    assert model.kind in ("detector", "embedder")
    assert min(model.input) > 0 and model.megabytes > 0
    assert model.files
    for file in model.files:
        assert Path(file.name).name == file.name
        assert not file.url or file.url.startswith("https://")
        assert not file.url or urlsplit(file.url).path.endswith("/" + file.name)
        assert re.fullmatch(r"([0-9a-f]{64})?", file.sha256)
        assert re.fullmatch(r"([0-9a-f]{8})?", file.sha256_prefix)
        assert file.url or (file.sha256 and file.size), "files to be placed by hand can be checked"
    if all(file.size for file in model.files):
        assert sum(file.size for file in model.files) / 1e6 == pytest.approx(
            model.megabytes, abs=0.05
        )


def test_file_names_of_the_table_are_unique() -> None:
    names = [file.name for model in models.known_models().values() for file in model.files]
    assert len(names) == len(set(names))


def test_darknet_weights_have_the_name_of_their_network() -> None:
    pairs = [model.files for model in models.known_models().values() if len(model.files) > 1]
    assert len(pairs) == 6
    for network, trained in pairs:
        assert Path(network.name).suffix == ".cfg"
        assert Path(network.name).with_suffix(".weights").name == trained.name


def test_torchvision_file_names_contain_their_hash() -> None:
    files = [model.files[0] for model in models.known_models().values()]
    prefixed = [file for file in files if file.sha256_prefix]
    assert len(prefixed) == 6
    assert all(file.name.endswith(f"-{file.sha256_prefix}.pth") for file in prefixed)


def test_torchvision_urls_are_those_of_torchvision() -> None:
    torchvision = pytest.importorskip("torchvision.models", reason="torchvision is not installed")
    for model in models.known_models().values():
        if model.files[0].sha256_prefix:
            theirs = torchvision.get_model_weights(model.name).DEFAULT
            assert model.files[0].url == theirs.url
            assert model.megabytes == pytest.approx(theirs.meta["_file_size"] * 1.048576, abs=0.1)


def test_real_files_match_the_table(shared, home) -> None:
    home.mkdir(parents=True)
    by_hand = [m for m in models.known_models().values() if not m.files[0].url]
    assert len(by_hand) == 4
    for model in by_hand:
        assert models.installed_file(model.name) is None
        for file in model.files:
            (home / file.name).symlink_to((shared / "data/weights" / file.name).resolve())
        assert fetch(model) == {file.name: file.sha256 for file in model.files}
        assert models.installed_file(model.name) == home / model.files[0].name


def test_input_size_of_real_networks_matches_the_table(shared) -> None:
    from mot.detectors.darknet.cfg import parse_cfg

    for model in models.known_models().values():
        path = shared / "data/weights" / model.files[0].name
        if path.suffix == ".cfg" and path.exists():
            net = parse_cfg(path).net
            assert (net.width, net.height) == model.input


def test_find_model() -> None:
    assert models.find_model("yolov3").files[1].name == "yolov3.weights"
    with pytest.raises(MotError, match=r"unknown model 'yolov33': did you mean 'yolov3'\?$"):
        models.find_model("yolov33")
    assert models.installed_file("yolov33") is None


def test_model_is_installed_if_all_its_files_are(server, home, monkeypatch) -> None:
    model = model_of(ModelFile("net.cfg"), weights(server))
    monkeypatch.setattr(models, "known_models", lambda: {"net": model})
    home.mkdir(parents=True)
    assert models.installed_file("net") is None
    (home / "net.cfg").write_text("[net]")
    assert models.installed_file("net") is None
    (home / "net.weights").write_bytes(CONTENT[:-1])
    assert models.installed_file("net") is None
    (home / "net.weights").write_bytes(CONTENT)
    assert models.installed_file("net") == models.model_path(model) == home / "net.cfg"


# Downloads.


def test_complete_download(server, home) -> None:
    steps: list[tuple[str, int, int]] = []
    model = model_of(weights(server))
    found = models.download(model, lambda *step: steps.append(step))
    assert found == {"net.weights": SHA256}
    assert contents(home) == {"net.weights": CONTENT}
    assert steps[-1] == ("net.weights", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in steps] == sorted({done for _, done, _ in steps})


def test_existing_file_is_checked_and_not_downloaded(server, home) -> None:
    model = model_of(weights(server))
    fetch(model)
    assert fetch(model) == {"net.weights": SHA256}
    assert len(server.requests) == 1
    (home / "net.weights").write_bytes(b"something else")
    message = refusal(model)
    assert message.startswith(f"{home / 'net.weights'}: is not the file of net")
    assert message.endswith("mot models get net --force")
    assert fetch(model, force=True) == {"net.weights": SHA256}
    assert contents(home) == {"net.weights": CONTENT}


def test_several_files(server, home) -> None:
    text = b"[net]\nwidth=320\n"
    server.files["net.cfg"] = text
    network = ModelFile("net.cfg", server.url("net.cfg"))
    found = fetch(model_of(network, weights(server)))
    assert found == {"net.cfg": hashlib.sha256(text).hexdigest(), "net.weights": SHA256}
    assert contents(home) == {"net.cfg": text, "net.weights": CONTENT}


def test_interrupted_download_resumes(server, home) -> None:
    model = model_of(weights(server))
    server.breaks_off = True
    message = refusal(model)
    assert f"broke off after {HALF} of {len(CONTENT)} bytes: try again to resume" in message
    assert str(home / "net.weights") in message
    assert contents(home) == {"net.partial.weights": CONTENT[:HALF]}
    server.breaks_off = False
    steps: list[tuple[str, int, int]] = []
    models.download(model, lambda *step: steps.append(step))
    assert contents(home) == {"net.weights": CONTENT}
    assert server.requests[-1] == ("/net.weights", f"bytes={HALF}-")
    assert steps[0][1] > HALF


@pytest.mark.parametrize("changes", [{"has_ranges": False}, {"shift": 7}])
def test_server_without_ranges_restarts_the_download(server, home, changes) -> None:
    home.mkdir(parents=True)
    (home / "net.partial.weights").write_bytes(CONTENT[:1000])
    vars(server).update(changes)
    fetch(model_of(weights(server)))
    assert contents(home) == {"net.weights": CONTENT}


@pytest.mark.parametrize("length", [len(CONTENT), len(CONTENT) + 5])
def test_partial_file_that_is_too_long_is_replaced(server, home, length) -> None:
    home.mkdir(parents=True)
    (home / "net.partial.weights").write_bytes((CONTENT + b"12345")[:length])
    fetch(model_of(weights(server)))
    assert contents(home) == {"net.weights": CONTENT}


def test_partial_file_of_another_file_is_detected(server, home) -> None:
    home.mkdir(parents=True)
    (home / "net.partial.weights").write_bytes(bytes(1000))
    model = model_of(weights(server))
    assert "wrong file" in refusal(model)
    assert contents(home) == {}
    fetch(model)
    assert contents(home) == {"net.weights": CONTENT}


@pytest.mark.parametrize("known", ["sha256", "sha256_prefix"])
def test_wrong_hash(server, home, known) -> None:
    wrong = "0123456789abcdef" * 4 if known == "sha256" else "01234567"
    file = weights(server, **({"sha256": ""} | {known: wrong}))
    message = refusal(model_of(file))
    assert message.startswith(f"{file.url}: wrong file, removed again (its sha256 is")
    assert SHA256 in message and wrong in message and str(home / "net.weights") in message
    assert contents(home) == {}


def test_hash_prefix_is_enough(server, home) -> None:
    fetch(model_of(weights(server, sha256="", sha256_prefix=SHA256[:8])))
    assert contents(home) == {"net.weights": CONTENT}


def test_failed_download_keeps_the_existing_file(server, home) -> None:
    fetch(model_of(weights(server)))
    assert "wrong file" in refusal(model_of(weights(server, sha256="0" * 64)), force=True)
    assert contents(home) == {"net.weights": CONTENT}


def test_file_of_another_size_is_not_downloaded(server, home) -> None:
    message = refusal(model_of(weights(server, size=len(CONTENT) + 1)))
    assert f"has {len(CONTENT)} bytes, not {len(CONTENT) + 1}" in message
    assert contents(home) == {}


def test_server_without_content_length(server, home) -> None:
    server.sends_length = False
    fetch(model_of(weights(server)))
    assert contents(home) == {"net.weights": CONTENT}
    server.breaks_off = True
    assert "wrong file" in refusal(model_of(weights(server)), force=True)


def assert_names_manual_download(message: str, file: ModelFile, home: Path) -> None:
    assert message.startswith(f"{file.url}: ")
    assert message.endswith(
        f": download it by other means and place it at {home / file.name} (sha256 {file.sha256})"
    )


def test_http_404(server, home) -> None:
    file = weights(server, url=server.url("gone"))
    message = refusal(model_of(file))
    assert_names_manual_download(message, file, home)
    assert "the server answers 404 Not Found" in message


def test_connection_refused(home) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: refused
        url = f"http://127.0.0.1:{held.getsockname()[1]}/net.weights"
        file = ModelFile("net.weights", url, 9, SHA256)
        message = refusal(model_of(file))
    assert_names_manual_download(message, file, home)
    assert "refused" in message


def test_no_name_resolution(home, monkeypatch) -> None:
    def unknown(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    file = ModelFile("net.weights", "https://models.example.org/net.weights", 9, SHA256)
    message = refusal(model_of(file))
    assert_names_manual_download(message, file, home)
    assert "Name or service not known" in message


def test_timeout(home, monkeypatch) -> None:
    monkeypatch.setattr(models, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}/net.weights"
        file = ModelFile("net.weights", url, 9, SHA256)
        message = refusal(model_of(file))
    assert_names_manual_download(message, file, home)
    assert "no answer within 0.2 s" in message


@pytest.mark.parametrize("answer", [b"rubbish\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\nContent-Le"])
def test_invalid_http_response(home, answer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer_once, args=(listening, answer))
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/net.weights"
        file = ModelFile("net.weights", url, len(CONTENT), SHA256)
        message = refusal(model_of(file))
        thread.join()
    assert message.startswith(f"{url}: ")
    assert str(home / "net.weights") in message


def answer_once(listening: socket.socket, answer: bytes) -> None:
    connection, _ = listening.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(answer)


@pytest.mark.parametrize(
    "url", ["http://example.org/x", "ftp://127.0.0.1/x", "file:///etc/hostname", "x", "http:///x"]
)
def test_only_https(url, home) -> None:
    file = ModelFile("net.weights", url, 9, SHA256)
    assert refusal(model_of(file)) == f"{url}: models are only downloaded over https"


def test_redirects_are_followed_within_https(server, home) -> None:
    fetch(model_of(weights(server, url=server.url(f"moved?{server.url('net.weights')}"))))
    assert contents(home) == {"net.weights": CONTENT}
    for elsewhere in ("http://example.org/x", "ftp://127.0.0.1/x"):
        file = weights(server, url=server.url(f"moved?{elsewhere}"))
        message = f"{elsewhere}: models are only downloaded over https"
        assert refusal(model_of(file), force=True) == message


def test_unwritable_folder(server, home) -> None:
    home.parent.mkdir(parents=True)
    home.write_text("in the way")
    message = refusal(model_of(weights(server)))
    assert message.startswith(f"{home / 'net.weights'}: cannot be written")


# The command.


def mot(*words: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    return int(end.value.code or 0)


@pytest.fixture
def table(server, monkeypatch) -> dict[str, Model]:
    """A model with a download, one with an unknown hash, one to be placed by hand."""
    by_hand = replace(weights(server), name="hand.onnx", url="")
    unknown = weights(server, name="unknown.weights", sha256="")
    table = {
        "net": model_of(weights(server)),
        "unknown": replace(model_of(unknown), name="unknown"),
        "hand": replace(model_of(by_hand), name="hand", kind="embedder"),
    }
    monkeypatch.setattr(models, "known_models", lambda: table)
    return table


def marks(capsys) -> dict[str, str]:
    """Last column of the list by model."""
    capsys.readouterr()
    assert mot("models") == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    return {line.split()[0]: line.rstrip().split("  ")[-1].strip() for line in lines}


def test_list_marks_installed_models(table, home, capsys) -> None:
    assert marks(capsys) == {"net": "no", "unknown": "no", "hand": "by hand"}
    assert mot("models", "get", "net") == 0
    (home / "hand.onnx").write_bytes(CONTENT)
    assert marks(capsys) == {"net": "yes", "unknown": "no", "hand": "yes"}


def test_list_shows_source_licence_size_and_hash(capsys) -> None:
    assert mot("models") == 0
    shown = capsys.readouterr().out
    for model in models.known_models().values():
        (line,) = [line for line in shown.splitlines() if line.split()[:1] == [model.name]]
        assert all(text in line for text in (model.licence, model.trained_on, model.source[8:]))
        assert f"{model.input[0]}x{model.input[1]}" in line
        assert f"{model.megabytes:g}" in line
        assert model.files[-1].sha256[:8] in line


def test_get_and_path(table, home, capsys) -> None:
    assert mot("models", "path", "net") == 0
    captured = capsys.readouterr()
    assert captured.out == f"{home / 'net.weights'}\n"
    assert "not there yet" in captured.err
    assert mot("models", "get", "net") == 0
    assert capsys.readouterr().err == f"net: {home / 'net.weights'}\n"
    assert mot("models", "get", "net", "-q") == 0
    assert capsys.readouterr().err == ""
    assert mot("models", "path", "net") == 0
    assert capsys.readouterr() == (f"{home / 'net.weights'}\n", "")


def test_unknown_hash_is_reported(table, capsys) -> None:
    assert mot("models", "get", "unknown") == 0
    warning = capsys.readouterr().err.splitlines()[0]
    assert warning.startswith("warning: ") and warning.endswith(f"it is {SHA256}")


def test_force_downloads_again(table, server, home, capsys) -> None:
    assert mot("models", "get", "net", "-q") == 0
    (home / "net.weights").write_bytes(b"damaged")
    assert mot("models", "get", "net", "-q") == 2
    assert "--force" in capsys.readouterr().err
    assert mot("models", "get", "net", "-q", "--force") == 0
    assert contents(home) == {"net.weights": CONTENT}


def test_narrow_terminal_shows_fewer_columns(table, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "84")
    assert mot("models") == 0
    captured = capsys.readouterr()
    plain = re.sub(r"\x1b\[[0-9;]*m", "", captured.out)
    assert max(map(len, plain.splitlines())) <= 84
    assert all(name in captured.out for name in table) and "x.org" not in captured.out
    assert "mot models | cat" in captured.err


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["get", "hand"], "has no download link: see https://x.org/net and place by hand"),
        (["get", "nett"], "unknown model 'nett': did you mean 'net'?"),
        (["path", "nett"], "unknown model 'nett': did you mean 'net'?"),
        (["get"], "Missing argument 'NAME'"),
        (["gett", "net"], "No such command 'gett'"),
    ],
)
def test_mistakes_are_one_line(table, capsys, words, fault) -> None:
    assert mot("models", *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert fault in line


def test_manual_download_names_path_and_hash(table, home, capsys) -> None:
    assert mot("models", "get", "hand") == 2
    captured = capsys.readouterr().err
    assert str(home / "hand.onnx") in captured and SHA256 in captured


def test_progress_bar_on_a_terminal(table, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert mot("models", "get", "net") == 0
    assert "net.weights" in capsys.readouterr().err


# The cache folder.


def test_cache_dir(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MOT_HOME", str(tmp_path / "elsewhere"))
    assert cache_dir() == tmp_path / "elsewhere"
    assert models.models_dir() == tmp_path / "elsewhere/models"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other cache folders")
def test_default_cache_dir(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("MOT_HOME")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache/mot"
