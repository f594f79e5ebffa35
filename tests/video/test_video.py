"""Frames in and frames out, with small videos made on the spot."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from mot import opencv
from mot.errors import MotError
from mot.opencv import cv2
from mot.types import Frame
from mot.video import (
    ImageFolderWriter,
    Source,
    VideoWriter,
    in_background,
    open_source,
    open_writer,
)
from mot.video.background import Worker
from mot.video.sources import FrameRange
from mot.video.stream import StreamReader

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("MOT_SHARED", ROOT.parent / "shared"))
SIZE = (64, 48)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = [t for t in threading.enumerate() if t not in before and t.name.startswith("mot-")]
    assert not left


def shade(number: int) -> int:
    """The grey level that marks picture `number`, from 0."""
    return 12 + number * 11 % 231


def plain(number: int, size: tuple[int, int] = SIZE) -> Any:
    return np.full((size[1], size[0], 3), shade(number), np.uint8)


def quarters(size: tuple[int, int] = SIZE) -> Any:
    """Top left blue, top right green, bottom left red, bottom right white."""
    width, height = size
    image = np.full((height, width, 3), 255, np.uint8)
    image[: height // 2, : width // 2] = (255, 0, 0)
    image[: height // 2, width // 2 :] = (0, 255, 0)
    image[height // 2 :, : width // 2] = (0, 0, 255)
    return image


def to_frame(image: Any, pixels: str, tags: dict[str, int]) -> Any:
    if pixels == "yuv420p" and not tags:  # closer than swscale, whose errors add up
        return av.VideoFrame.from_ndarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), pixels)
    return av.VideoFrame.from_ndarray(image, "bgr24").reformat(
        format=pixels,
        dst_colorspace=tags.get("colorspace"),
        dst_color_range=tags.get("color_range"),
    )


def make_video(
    path: Path,
    images: Sequence[Any],
    *,
    times: Sequence[float] | None = None,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    **tags: int,
) -> Path:
    """A video of BGR images at 10 frames a second, or at the given times."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, 10)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pixels
        # AVI would fill the ticks without a frame with empty packets.
        tick = Fraction(1, 10 if path.suffix == ".avi" else 1000)
        stream.codec_context.time_base = tick
        if codec == "libx264":
            stream.options = {"preset": "ultrafast", "crf": "10"}
            stream.codec_context.options = stream.options
        for tag, value in tags.items():
            setattr(stream.codec_context, tag, value)
        for number, image in enumerate(images):
            frame = to_frame(image, pixels, tags)
            time = number / 10 if times is None else times[number]
            frame.pts, frame.time_base = round(time / tick), tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def read(source: Any, **options: Any) -> tuple[list[Frame], list[str]]:
    with open_source(source, **options) as frames:
        return list(frames), frames.warnings


def numbers(frames: Sequence[Frame]) -> list[int]:
    """Which pictures these are, by their shade; each must be one of the first 21."""
    known = np.array([shade(number) for number in range(21)])
    means: list[Any] = [np.mean(frame.image) for frame in frames if frame.image is not None]
    return [int(np.abs(known - mean).argmin()) for mean in means]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return make_video(path, [plain(number) for number in range(20)])


# The sources.


def test_importing_the_package_loads_neither_pyav_nor_opencv() -> None:
    code = "import sys, mot.video; print({'av', 'cv2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "set()", done.stderr


def test_a_file_gives_every_frame_with_its_index_and_time(clip: Path) -> None:
    with open_source(clip) as source:
        assert (source.name, source.fps, source.size) == ("clip", 10.0, SIZE)
        assert (source.frame_count, source.expected, source.is_live) == (20, 20, False)
        frames = list(source)
        assert source.warnings == []
    assert [frame.index for frame in frames] == list(range(1, 21))
    assert [frame.time for frame in frames] == pytest.approx(np.arange(20) / 10)
    assert numbers(frames) == list(range(20))
    for frame in frames:
        assert frame.image is not None
        assert frame.image.dtype == np.uint8 and frame.image.shape == (48, 64, 3)
        assert frame.image.flags.c_contiguous and frame.image.flags.writeable


def test_the_path_may_be_text_and_a_source_is_read_once(clip: Path) -> None:
    with open_source(str(clip)) as source:
        assert len(list(source)) == 20
        with pytest.raises(RuntimeError, match="open it again"):
            iter(source)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"every": 3}, [1, 4, 7, 10, 13, 16, 19]),
        ({"start": 0.5}, list(range(6, 21))),
        ({"end": 0.5}, [1, 2, 3, 4, 5]),
        ({"start": 0.45, "end": 1.2, "every": 2}, [7, 9, 11]),
    ],
)
def test_start_end_and_every_keep_the_indices_of_the_source(
    clip: Path, options: dict[str, Any], expected: list[int]
) -> None:
    frames, warnings = read(clip, **options)
    assert [frame.index for frame in frames] == expected
    assert numbers(frames) == [index - 1 for index in expected]
    assert [frame.time for frame in frames] == pytest.approx([(i - 1) / 10 for i in expected])
    assert warnings == []
    with open_source(clip, **options) as source:
        assert source.expected == pytest.approx(len(expected), abs=1)


def test_a_window_without_frames_is_told(clip: Path) -> None:
    frames, warnings = read(clip, start=60)
    assert frames == []
    assert len(warnings) == 1 and "no frame" in warnings[0] and "1.90 s" in warnings[0]


@pytest.mark.parametrize("options", [{"every": 0}, {"start": 2.0, "end": 1.0}, {"end": 0.0}])
def test_an_impossible_window_is_refused(clip: Path, options: dict[str, Any]) -> None:
    with pytest.raises(MotError):
        open_source(clip, **options)


def test_variable_frame_rates_keep_their_times(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.3, 0.31, 1.0, 2.5]
    path = make_video(tmp_path / "vfr.mkv", [plain(n) for n in range(6)], times=times)
    frames, _ = read(path)
    assert [frame.time for frame in frames] == pytest.approx(times)


def test_times_count_from_the_start_of_the_stream(tmp_path: Path) -> None:
    times = [5.0 + number / 10 for number in range(4)]
    path = make_video(tmp_path / "late.ts", [plain(n) for n in range(4)], times=times)
    frames, _ = read(path)
    assert [frame.time for frame in frames] == pytest.approx([0, 0.1, 0.2, 0.3], abs=1e-4)


def test_missing_time_stamps_are_filled_in_from_the_rate(tmp_path: Path) -> None:
    path = make_video(tmp_path / "bare.h264", [plain(n) for n in range(5)])  # has none at all
    frames, _ = read(path)
    assert numbers(frames) == [0, 1, 2, 3, 4]
    with open_source(path) as source:
        assert [f.time for f in frames] == pytest.approx(np.arange(5) / source.fps)


def test_avi_with_reordered_frames_has_rising_times(tmp_path: Path) -> None:
    images = [plain(n) for n in range(10)]
    path = make_video(tmp_path / "b.avi", images, max_b_frames=2)
    frames, _ = read(path)
    assert [frame.time for frame in frames] == pytest.approx(np.arange(10) / 10)
    assert numbers(frames) == list(range(10))


@pytest.mark.parametrize(
    ("codec", "pixels", "name"),
    [
        ("ffv1", "gray", "grey.mkv"),
        ("ffv1", "yuv420p10le", "ten.mkv"),
        ("ffv1", "yuva420p", "alpha.mkv"),
        ("png", "rgba", "rgba.mov"),
        ("ffv1", "gray16le", "grey16.mkv"),
    ],
)
def test_every_pixel_format_becomes_8_bit_bgr(
    tmp_path: Path, codec: str, pixels: str, name: str
) -> None:
    path = make_video(tmp_path / name, [plain(n) for n in range(3)], codec=codec, pixels=pixels)
    frames, _ = read(path)
    assert numbers(frames) == [0, 1, 2]
    assert frames[0].image is not None and frames[0].image.shape == (48, 64, 3)


@pytest.mark.parametrize("matrix", [1, 5], ids=["bt709", "bt601"])
@pytest.mark.parametrize("span", [1, 2], ids=["limited", "full"])
def test_colours_follow_the_matrix_and_the_range_of_the_file(
    tmp_path: Path, matrix: int, span: int
) -> None:
    path = tmp_path / "colours.mkv"
    make_video(path, [quarters()], codec="ffv1", colorspace=matrix, color_range=span)
    frames, _ = read(path)
    assert frames[0].image is not None
    found = frames[0].image[[12, 12, 36, 36], [16, 48, 16, 48]].astype(int)
    assert np.abs(found - [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]).max() <= 6


def test_frames_that_change_size_are_passed_as_they_are(tmp_path: Path) -> None:
    small, large = tmp_path / "small.ts", tmp_path / "large.ts"
    make_video(small, [plain(n) for n in range(3)])
    make_video(large, [plain(n, (96, 80)) for n in range(3)])
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    frames, _ = read(both)
    shapes = [frame.image.shape[:2] for frame in frames if frame.image is not None]
    assert shapes == [(48, 64)] * 3 + [(80, 96)] * 3
    times = [frame.time for frame in frames]
    assert all(b > a for a, b in pairwise(times))


# How a file shows a picture: (x, y) at (a x + c y, b x + d y), as 16.16 fixed point in tkhd.
SHOWN: dict[str, tuple[tuple[int, ...], Callable[[Any], Any]]] = {
    "turned right": ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
    "turned left": ((0, -1, 1, 0), lambda image: np.rot90(image, 1)),
    "upside down": ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
    "mirrored": ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
}


@pytest.mark.parametrize("how", SHOWN)
def test_rotated_videos_come_out_upright(tmp_path: Path, how: str) -> None:
    (a, b, c, d), turn = SHOWN[how]
    path = make_video(tmp_path / "phone.mp4", [quarters()] * 2)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44  # the matrix in version 0 of the box
    unit = 1 << 16
    matrix = [a * unit, b * unit, 0, c * unit, d * unit, 0, 0, 0, 1 << 30]
    data[at : at + 36] = np.array(matrix, ">i4").tobytes()
    path.write_bytes(data)
    expected = turn(quarters())
    with open_source(path) as source:
        assert source.size == (expected.shape[1], expected.shape[0])
        image = next(iter(source)).image
    assert image is not None and image.shape == expected.shape and image.flags.c_contiguous
    assert np.abs(image.astype(int) - expected).mean() < 8
    assert np.array_equal(image.shape, cv2.VideoCapture(str(path)).read()[1].shape)


# What is broken.


def test_a_header_that_lies_is_told_once() -> None:
    path = SHARED / "data/video/vtest_3MB.avi"
    if not path.exists():
        pytest.skip("shared videos are not here")
    with open_source(path, every=40) as source:
        frames = list(source)
        assert (source.frame_count, source.fps) == (682, 25)
    assert [frame.index for frame in frames] == list(range(1, 342, 40))
    assert [frame.time for frame in frames] == pytest.approx(np.arange(9) * 1.6, abs=0.05)
    assert source.warnings == [
        "vtest_3MB.avi: 341 of 682 announced frames could be decoded",
    ]


def noisy(count: int) -> list[Any]:
    """Pictures that take some bytes each."""
    random = np.random.default_rng(5)
    return [random.integers(0, 255, (48, 64, 3), np.uint8) for _ in range(count)]


@pytest.mark.parametrize("name", ["cut.mkv", "cut.avi", "cut.ts"])
def test_a_truncated_file_gives_what_it_holds(tmp_path: Path, name: str) -> None:
    path = make_video(tmp_path / name, noisy(40), codec="mpeg4", gop_size=1)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    frames, warnings = read(path)
    assert 10 <= len(frames) < 30
    assert [frame.index for frame in frames] == list(range(1, len(frames) + 1))
    # The length of a transport stream is what it holds: nothing is missing there.
    assert len(warnings) == (name != "cut.ts")
    assert all(name in warning for warning in warnings)


def test_corrupt_packets_are_skipped_and_counted_in_one_note(tmp_path: Path) -> None:
    path = make_video(tmp_path / "bad.avi", noisy(12), codec="png", pixels="rgb24")
    data = bytearray(path.read_bytes())
    starts = [i for i in range(len(data)) if data[i : i + 4] == b"IHDR"]
    for start in (starts[3], starts[7]):
        data[start : start + 4] = b"XXXX"
    path.write_bytes(data)
    frames, warnings = read(path)
    assert len(frames) == 10
    assert warnings == [
        "bad.avi: 10 of 12 announced frames could be decoded (2 corrupt packets skipped)"
    ]


def test_libav_is_silent_and_the_note_is_all_there_is(tmp_path: Path) -> None:
    path = make_video(tmp_path / "bad.mkv", noisy(12))
    data = bytearray(path.read_bytes())
    data[len(data) // 3 : len(data) // 3 + 400] = b"\x5a" * 400
    path.write_bytes(data)
    code = (
        "import sys; from mot.video import open_source\n"
        "with open_source(sys.argv[1]) as source: print(len(list(source)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0 and int(done.stdout) >= 3
    assert done.stderr == ""


def empty(path: Path) -> Path:
    path.touch()
    return path


def text(path: Path) -> Path:
    path.write_text("this is no video\n" * 100)
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def sound(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("pcm_s16le", 8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def undecodable(path: Path) -> Path:
    make_video(path, noisy(3), codec="png", pixels="rgb24")
    path.write_bytes(path.read_bytes().replace(b"\x89PNG", b"\0\0\0\0"))
    return path


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("missing.mp4", lambda path: path, "not found"),
        ("empty.mp4", empty, "empty"),
        ("text.mp4", text, "cannot be opened"),
        ("sound.wav", sound, "no video stream"),
        ("nothing.avi", undecodable, "no frame can be decoded"),
        ("folder.mp4", folder, "no images"),
        ("*.jpg", lambda path: path, "matches no image"),
        ("broken.png", text, "not one image can be read"),
    ],
)
def test_what_cannot_be_opened_is_said_in_one_line(
    tmp_path: Path, name: str, make: Callable[[Path], Path], words: str
) -> None:
    with pytest.raises(MotError) as raised:
        open_source(make(tmp_path / name))
    message = str(raised.value)
    assert name in message and words in message and "\n" not in message


# Images.


def write_images(home: Path, names: Sequence[str]) -> Path:
    home.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        cv2.imwrite(str(home / name), plain(number))
    return home


def test_a_folder_of_images_is_read_in_natural_order(tmp_path: Path) -> None:
    home = write_images(tmp_path / "images", ["img2.jpg", "img10.jpg", "img1.png"])
    (home / "notes.txt").write_text("not an image")
    with open_source(home) as source:
        assert (source.name, source.size, source.fps) == ("images", SIZE, 30.0)
        assert source.frame_count == 3
        frames = list(source)
    assert numbers(frames) == [2, 0, 1]
    assert [frame.index for frame in frames] == [1, 2, 3]
    assert [frame.time for frame in frames] == pytest.approx([0, 1 / 30, 2 / 30])


def test_a_pattern_and_a_single_image(tmp_path: Path) -> None:
    home = write_images(tmp_path / "images", ["a1.jpg", "a2.jpg", "b1.jpg"])
    assert numbers(read(str(home / "a*.jpg"))[0]) == [0, 1]
    frames, _ = read(home / "b1.jpg")
    assert numbers(frames) == [2] and frames[0].index == 1


def test_a_corrupt_image_is_skipped_and_its_index_with_it(tmp_path: Path) -> None:
    home = write_images(tmp_path / "images", [f"{n}.jpg" for n in range(1, 6)])
    (home / "2.jpg").write_bytes(b"nonsense")
    (home / "4.jpg").write_bytes(b"")
    frames, warnings = read(home)
    assert [frame.index for frame in frames] == [1, 3, 5]
    assert len(warnings) == 1
    assert "3 of 5 images" in warnings[0] and "2.jpg, 4.jpg" in warnings[0]


@pytest.mark.parametrize(
    "image",
    [
        np.full((8, 8), 100, np.uint8),
        np.full((8, 8), 100 * 257, np.uint16),
        np.full((8, 8, 3), 100 * 257, np.uint16),
        np.full((8, 8, 4), 100, np.uint8),
    ],
    ids=["grey", "grey16", "bgr16", "alpha"],
)
def test_images_of_any_depth_become_8_bit_bgr(tmp_path: Path, image: Any) -> None:
    cv2.imwrite(str(tmp_path / "image.png"), image)
    frames, _ = read(tmp_path)
    assert frames[0].image is not None and frames[0].image.shape == (8, 8, 3)
    assert frames[0].image.dtype == np.uint8 and (frames[0].image == 100).all()


def write_sequence(home: Path, names: Sequence[str], rate: str = "14") -> Path:
    write_images(home / "img1", names)
    info = f"[Sequence]\nname=MOT-1\nimDir=img1\nframeRate={rate}\nseqLength=3\nimExt=.jpg\n"
    (home / "seqinfo.ini").write_text(info)
    return home


def test_a_mot_sequence_has_its_rate_and_its_file_numbers(tmp_path: Path) -> None:
    home = write_sequence(tmp_path / "seq", ["000001.jpg", "000002.jpg", "000004.jpg"])
    with open_source(home) as source:
        assert (source.name, source.fps, source.frame_count) == ("seq", 14.0, 4)
        frames = list(source)
    assert [frame.index for frame in frames] == [1, 2, 4]
    assert [frame.time for frame in frames] == pytest.approx([0, 1 / 14, 3 / 14])


def test_a_mot_sequence_without_images_or_with_a_bad_rate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MotError, match="has no images"):
        open_source(write_sequence(tmp_path / "bare", []))
    with pytest.raises(MotError, match="frameRate=fast"):
        open_source(write_sequence(tmp_path / "bad", ["1.jpg"], rate="fast"))
    (tmp_path / "bad" / "seqinfo.ini").write_text("nonsense")
    with pytest.raises(MotError, match=r"seqinfo\.ini"):
        open_source(tmp_path / "bad")


# Pipes, cameras, streams.


def test_a_video_comes_in_through_a_pipe(clip: Path, tmp_path: Path) -> None:
    path = make_video(tmp_path / "pipe.ts", [plain(n) for n in range(8)])
    code = (
        "from mot.video import open_source\n"
        "with open_source('-') as source: print(source.name, len(list(source)))"
    )
    run: Any = partial(
        subprocess.run, [sys.executable, "-c", code], capture_output=True, cwd=ROOT, text=False
    )
    assert run(input=path.read_bytes()).stdout.split() == [b"stdin", b"8"]
    refused = run(input=b"nonsense").stderr.splitlines()[-1]
    assert b"stdin: cannot be opened" in refused and b"MPEG-TS" in refused


def test_a_pipe_may_be_any_file(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(clip.read_bytes())))
    assert numbers(read("-")[0]) == list(range(20))


class Camera:
    """What OpenCV gives for a camera of three frames."""

    def __init__(self, number: int) -> None:
        self.left = [plain(n) for n in range(3)] if number == 0 else []
        self.released = False

    def isOpened(self) -> bool:
        return bool(self.left)

    def get(self, which: int) -> float:
        return {cv2.CAP_PROP_FRAME_WIDTH: 64.0, cv2.CAP_PROP_FRAME_HEIGHT: 48.0}.get(which, 0.0)

    def read(self) -> tuple[bool, Any]:
        return (True, self.left.pop(0)) if self.left else (False, None)

    def release(self) -> None:
        self.released = True


@pytest.mark.parametrize("source", [0, "0", "/dev/video0"])
def test_a_camera_by_its_number(source: str | int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    with open_source(source) as frames:
        assert (frames.name, frames.is_live, frames.fps) == ("camera0", True, 30.0)
        assert frames.frame_count is None and frames.size == SIZE
        got = list(frames)
    assert numbers(got) == [0, 1, 2] and [frame.index for frame in got] == [1, 2, 3]
    assert got[0].time == 0 and got[2].time >= got[1].time
    assert frames.warnings == ["camera 0: stopped giving frames after 3"]


def test_a_camera_that_is_not_there(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MotError, match="camera 97: cannot be opened"):
        open_source("97")
    assert capfd.readouterr().err == ""


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[Any, int], None]], str]]:
    """Serve by a function of the handler and the number of the request; gives the address."""
    servers = []

    def start(answer: Callable[[Any, int], None]) -> str:
        class Handler(BaseHTTPRequestHandler):
            requests = 0

            def do_GET(self) -> None:
                Handler.requests += 1
                try:
                    answer(self, Handler.requests)
                except (BrokenPipeError, ConnectionResetError):
                    pass

            def log_message(self, *_: object) -> None:
                """Nothing on the terminal."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def send_camera(handler: Any, first: int, count: int) -> None:
    """What a network camera sends: JPEGs without an end in sight."""
    handler.send_response(200)
    handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
    handler.end_headers()
    for number in range(first, first + count):
        jpeg = cv2.imencode(".jpg", plain(number))[1].tobytes()
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
        handler.wfile.write(head.encode() + jpeg + b"\r\n")


def test_a_live_stream_is_opened_again_and_goes_on(serve: Any) -> None:
    def answer(handler: Any, request: int) -> None:
        if request in (1, 4):
            send_camera(handler, 0 if request == 1 else 10, 5)
        else:
            handler.send_error(503)

    pauses: list[float] = []
    url = serve(answer).replace("//", "//me:secret@") + "/yard.mjpg"
    source = Source(StreamReader(url, pause=pauses.append))
    assert (source.name, source.is_live, source.frame_count) == ("yard", True, None)
    frames = []
    with pytest.raises(MotError) as raised, source:
        for frame in source:
            frames.append(frame)
    assert numbers(frames) == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]
    assert [frame.index for frame in frames] == list(range(1, 11))
    assert (np.diff([frame.time for frame in frames]) > 0).all()
    assert frames[5].time - frames[4].time > 0.5 + 1 + 2  # what was waited
    assert pauses == [0.5, 1, 2, 0.5, 1, 2, 4, 8]
    message = str(raised.value)
    assert "after frame 10" in message and "5 tries" in message and "secret" not in message
    assert any("opened again once" in warning for warning in source.warnings)


def test_a_recording_that_breaks_off_goes_on_where_it_was(serve: Any, tmp_path: Path) -> None:
    images = [cv2.addWeighted(plain(n), 0.8, noise, 0.2, 0) for n, noise in enumerate(noisy(25))]
    data = make_video(tmp_path / "clip.ts", images).read_bytes()

    def answer(handler: Any, request: int) -> None:
        start = int((handler.headers.get("Range") or "bytes=0-")[6:].split("-")[0])
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        handler.send_header("Content-Length", str(len(data) - start))
        handler.end_headers()
        broken = not pauses and start < len(data) // 2
        handler.wfile.write(data[start : len(data) // 2 if broken else None])

    pauses: list[float] = []
    source = Source(StreamReader(serve(answer) + "/clip.ts", pause=pauses.append))
    with source:
        frames = list(source)
    assert pauses == [0.5]
    assert [frame.index for frame in frames] == list(range(1, 26))
    assert [frame.time for frame in frames] == pytest.approx(np.arange(25) / 10, abs=1e-3)


def test_leaving_while_a_stream_waits_to_be_opened_again_is_prompt(serve: Any) -> None:
    def answer(handler: Any, request: int) -> None:
        send_camera(handler, 0, 3) if request == 1 else handler.send_error(503)

    source = Source(StreamReader(serve(answer), pauses=[3600.0]))
    with source:
        assert next(iter(source)).index == 1


def test_an_address_that_cannot_be_reached() -> None:
    with pytest.raises(MotError, match=r"rtsp://127\.0\.0\.1:9/yard: cannot be opened"):
        open_source("rtsp://user:secret@127.0.0.1:9/yard")


INTERRUPTED = """
import sys, time
from mot.video import VideoWriter, open_source
try:
    with open_source(sys.argv[1]) as source, VideoWriter(sys.argv[2], source.fps) as writer:
        for frame in source:
            writer.write(frame)
            if frame.index == 5:
                print("going", flush=True)
                while True:  # until the signal comes
                    time.sleep(0.01)
except KeyboardInterrupt:
    print("interrupted")
"""

SILENT = """
import mot.video.decode
from mot.video import open_source
try:
    print("going", flush=True)
    open_source("-")
except KeyboardInterrupt:
    print("interrupted")
"""


def interrupt(code: str, *arguments: str) -> str:
    """Run the code, and press Ctrl-C when it has said a line; what it says then."""
    run = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    with run:
        assert run.stdout is not None and run.stdout.readline() == "going\n"
        # Again where the first comes just before the process begins to wait in the system.
        for patience in (5, 5, 5):
            run.send_signal(signal.SIGINT)
            try:
                run.wait(patience)
            except subprocess.TimeoutExpired:
                continue
            return run.stdout.read()
        run.kill()
        return "hangs"


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_leaves_a_playable_partial_video(clip: Path, tmp_path: Path) -> None:
    assert interrupt(INTERRUPTED, str(clip), str(tmp_path / "out.mp4")) == "interrupted\n"
    assert [path.name for path in tmp_path.iterdir()] == ["out.partial.mp4"]
    assert numbers(read(tmp_path / "out.partial.mp4")[0]) == [0, 1, 2, 3, 4]


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_while_a_pipe_is_silent() -> None:
    assert interrupt(SILENT) == "interrupted\n"


# Threads.


def test_background_items_come_in_order_and_errors_in_their_turn() -> None:
    def items() -> Iterator[int]:
        yield from range(50)
        raise ValueError("the end")

    got = []
    with pytest.raises(ValueError, match="the end"):
        for item in in_background(items(), 3):
            got.append(item)
    assert got == list(range(50))


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, RuntimeError])
def test_the_thread_stops_and_closes_its_items_when_the_consumer_leaves(
    error: type[BaseException] | None,
) -> None:
    made, closed = [], []

    def items() -> Iterator[int]:
        try:
            for number in range(10**9):
                made.append(number)
                yield number
        finally:
            closed.append(threading.current_thread().name)

    stream = in_background(items(), 4)
    assert next(stream) == 0
    if error is None:
        stream.close()
    else:
        with pytest.raises(error):
            stream.throw(error())
    assert closed == ["mot-produce"]
    assert len(made) <= 1 + 4 + 1  # taken, waiting, in hand


def test_the_consumer_may_break_out_of_the_loop_over_a_source(clip: Path) -> None:
    for frame in open_source(clip):
        if frame.index == 3:
            break
    with pytest.raises(KeyboardInterrupt), open_source(clip) as source:
        for _ in source:
            raise KeyboardInterrupt


def test_an_unread_source_can_be_closed(clip: Path) -> None:
    source = open_source(clip)
    source.close()
    source.close()


def test_a_worker_hands_its_error_to_the_one_who_puts() -> None:
    def work(item: int) -> None:
        if item == 3:
            raise OSError("broken")

    worker = Worker(work, 2)
    with pytest.raises(OSError, match="broken"):
        for item in range(100):
            worker.put(item)
    with pytest.raises(OSError, match="broken"):
        worker.finish()


# The writers.


def frames_of(images: Sequence[Any], times: Sequence[float] | None = None) -> list[Frame]:
    when = times or [number / 10 for number in range(len(images))]
    return [Frame(image, n, time) for n, (image, time) in enumerate(zip(images, when), 1)]  # noqa: B905


def write(writer: Any, frames: Sequence[Frame]) -> Any:
    with writer:
        for frame in frames:
            writer.write(frame)
    return writer


def boxes(path: Path) -> list[bytes]:
    """The names of the outermost boxes of an MP4 file."""
    data, names, at = path.read_bytes(), [], 0
    while at < len(data):
        names.append(data[at + 4 : at + 8])
        at += int.from_bytes(data[at : at + 4], "big")
    return names


def test_a_video_is_written_as_browsers_play_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "out.mp4"
    writer = write(VideoWriter(path, 10), frames_of([plain(n) for n in range(12)]))
    assert writer.path_written == path and writer.frames == 12
    assert list(path.parent.iterdir()) == [path]
    names = boxes(path)
    assert names.index(b"moov") < names.index(b"mdat")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context: Any = stream.codec_context
        assert (stream.codec_context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.colorspace, context.color_range, context.color_primaries) == (6, 1, 1)
        assert b"avc1" in path.read_bytes()
        assert stream.average_rate == 10
    frames, warnings = read(path)
    assert numbers(frames) == list(range(12)) and warnings == []


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_the_times_of_the_frames_are_kept(tmp_path: Path, name: str) -> None:
    times = [7.0, 7.04, 7.3, 7.31, 8.0, 9.5]
    write(VideoWriter(tmp_path / name, 30), frames_of([plain(n) for n in range(6)], times))
    frames, _ = read(tmp_path / name)
    # Matroska counts in milliseconds.
    assert [frame.time for frame in frames] == pytest.approx(np.subtract(times, 7), abs=6e-4)


def test_times_that_stand_still_or_fall_back_are_made_to_rise(tmp_path: Path) -> None:
    frames = frames_of([plain(n) for n in range(4)], [0.0, 0.0, 0.5, 0.2])
    write(VideoWriter(tmp_path / "out.mp4", 10), frames)
    got, _ = read(tmp_path / "out.mp4")
    assert numbers(got) == [0, 1, 2, 3]
    assert [frame.time for frame in got] == pytest.approx([0, 0, 0.5, 0.5], abs=1e-3)


def test_odd_sizes_lose_nothing(tmp_path: Path) -> None:
    write(VideoWriter(tmp_path / "out.mp4", 10), frames_of([quarters((63, 47))]))
    frames, _ = read(tmp_path / "out.mp4")
    image: Any = frames[0].image
    assert image.shape == (48, 64, 3)
    assert np.abs(image[:47, :63].astype(int) - quarters((63, 47))).mean() < 6


def test_colours_survive_the_round_trip(tmp_path: Path) -> None:
    write(VideoWriter(tmp_path / "out.mp4", 10), frames_of([quarters((128, 96))] * 2))
    image: Any = read(tmp_path / "out.mp4")[0][0].image
    found = image[[24, 24, 72, 72], [32, 96, 32, 96]].astype(int)
    assert np.abs(found - [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]).max() <= 6


def test_frames_of_another_size_are_fitted_to_the_first(tmp_path: Path) -> None:
    images = [plain(5, (64, 48)), plain(5, (128, 48)), plain(5, (20, 60))]
    write(VideoWriter(tmp_path / "out.mp4", 10), frames_of(images))
    frames, _ = read(tmp_path / "out.mp4")
    wide, tall = frames[1].image, frames[2].image
    assert wide is not None and tall is not None and wide.shape == tall.shape == (48, 64, 3)
    assert wide[24, 32, 0] == pytest.approx(shade(5), abs=6) and wide[4, 32, 0] < 10
    assert tall[24, 32, 0] == pytest.approx(shade(5), abs=6) and tall[24, 4, 0] < 10


def test_a_size_may_be_given(tmp_path: Path) -> None:
    write(VideoWriter(tmp_path / "out.mp4", 10, size=(32, 24)), frames_of([plain(1)]))
    with open_source(tmp_path / "out.mp4") as source:
        assert source.size == (32, 24)


def test_the_image_may_be_reused_after_write(tmp_path: Path) -> None:
    canvas = plain(0)
    with VideoWriter(tmp_path / "out.mp4", 10) as writer:
        for number in range(10):
            canvas[:] = shade(number)
            writer.write(Frame(canvas, number + 1, number / 10))
    assert numbers(read(tmp_path / "out.mp4")[0]) == list(range(10))


def test_without_frames_there_is_no_file(tmp_path: Path) -> None:
    for writer in (VideoWriter(tmp_path / "out.mp4"), ImageFolderWriter(tmp_path / "out")):
        assert write(writer, []).path_written is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_an_interrupted_video_is_playable_under_its_partial_name(
    tmp_path: Path, error: type[BaseException]
) -> None:
    (tmp_path / "out.mp4").write_bytes(b"an earlier result")
    writer = VideoWriter(tmp_path / "out.mp4", 10)
    with pytest.raises(error), writer:
        for frame in frames_of([plain(n) for n in range(7)]):
            writer.write(frame)
        raise error
    assert writer.path_written == tmp_path / "out.partial.mp4"
    assert numbers(read(writer.path_written)[0]) == list(range(7))
    assert (tmp_path / "out.mp4").read_bytes() == b"an earlier result"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_disk_is_said_in_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "out.partial.mp4").symlink_to("/dev/full")
    with pytest.raises(MotError) as raised:
        write(VideoWriter(tmp_path / "out.mp4", 10), frames_of(noisy(60)))
    assert "disk full" in str(raised.value) and "out.mp4" in str(raised.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [16, 200, 380])
def test_a_disk_that_fills_up_on_the_way(tmp_path: Path, size: int) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(tmp_path)]
    if sys.platform != "linux" or os.geteuid() or subprocess.run(mount, check=False).returncode:
        pytest.skip("a small disk can be mounted by root on Linux only")
    try:
        with pytest.raises(MotError, match="disk full"):
            write(VideoWriter(tmp_path / "out.mp4", 10), frames_of(noisy(200)))
        assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_an_error_of_the_encoder_reaches_the_one_who_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mot.video.encode import Encoder

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Encoder, "encode", fail)
    with pytest.raises(MotError, match="disk full"):
        write(VideoWriter(tmp_path / "out.mp4"), frames_of([plain(n) for n in range(30)]))
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MotError, match=r"out\.mp4: cannot be written"):
        write(VideoWriter(tmp_path / "file" / "out.mp4"), frames_of([plain(0)]))


def test_images_are_named_by_their_index(tmp_path: Path) -> None:
    frames = [Frame(plain(n), index, 0.0) for n, index in enumerate([1, 5, 12])]
    writer = write(ImageFolderWriter(tmp_path / "out"), frames)
    assert writer.path_written == tmp_path / "out"
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["000001.jpg", "000005.jpg", "000012.jpg"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert numbers(read(tmp_path / "out")[0]) == [0, 1, 2]


def test_an_interrupted_folder_keeps_its_partial_name_and_is_no_obstacle(tmp_path: Path) -> None:
    writer = ImageFolderWriter(tmp_path / "out", "png")
    with pytest.raises(KeyboardInterrupt), writer:
        writer.write(Frame(plain(0), 9, 0.0))
        raise KeyboardInterrupt
    assert writer.path_written == tmp_path / "out.partial"
    write(ImageFolderWriter(tmp_path / "out", "png"), frames_of([plain(0)]))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["000001.png"]
    with pytest.raises(MotError, match="not empty"):
        ImageFolderWriter(tmp_path / "out")


def test_a_full_disk_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(MotError, match="out: disk full"):
        write(ImageFolderWriter(tmp_path / "out"), frames_of([plain(0)]))
    assert list(tmp_path.iterdir()) == []


def test_the_name_chooses_the_writer(tmp_path: Path) -> None:
    with pytest.raises(MotError, match=r"out\.webm: .* use \.mp4"):
        open_writer(tmp_path / "out.webm")
    assert isinstance(open_writer(tmp_path / "out.mp4", 25), VideoWriter)
    assert isinstance(open_writer(tmp_path / "out", 25), ImageFolderWriter)


def test_frames_go_from_a_source_to_a_writer(clip: Path, tmp_path: Path) -> None:
    with open_source(clip, start=0.5, every=2) as source:
        write(VideoWriter(tmp_path / "out.mp4", source.fps), list(source))
    frames, _ = read(tmp_path / "out.mp4")
    assert numbers(frames) == [6, 8, 10, 12, 14, 16, 18]
    assert [frame.time for frame in frames] == pytest.approx(np.arange(7) / 5)


# OpenCV.


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("libGL.so.1: cannot open shared object file: No such file or directory", "libgl1,"),
        ("libgthread-2.0.so.0: cannot open shared object file", "libglib2.0-0,"),
        ("libSM.so.6: cannot open shared object file", "libsm6,"),
        ("libfoo.so.3: cannot open shared object file", "holds libfoo.so.3"),
        ("No module named 'cv2'", "pip install opencv-python"),
        ("numpy.core\nfailed", "reinstall"),
    ],
)
def test_a_missing_library_of_opencv_is_named_with_its_package(message: str, words: str) -> None:
    assert words in opencv.installation_hint(message)
    assert "\n" not in opencv.installation_hint(message)


def test_a_window_lets_through_what_it_expects() -> None:
    assert FrameRange().expected(10, 10.0) == 10
    assert FrameRange(every=3).expected(10, 10.0) == 4
    assert FrameRange(start=0.5, end=60).expected(10, 10.0) == 5
