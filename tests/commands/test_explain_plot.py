"""`mot explain` with images: the distances are told beside the costs, and the line-up shows the
people that it tells of."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from support.cli import complaint, final_files, mot

from mot import boxes
from mot.cli import cli
from mot.commands.explain import ExplainOptions
from mot.motfile import read_mot_rows, read_tracks
from mot.opencv import cv2
from mot.reports.lineup import CropCard, Lineup, StageRow, plot_lineup
from mot.types import Image

Array = npt.NDArray[np.float64]


# A street of people in plain colours

SIZE, COUNT = (360, 200), 12
RED, BLUE, GREEN, YELLOW = (30, 30, 200), (200, 60, 30), (40, 160, 40), (30, 200, 210)  # BGR
STREET = ((RED, 20, 2), (BLUE, 60, 2), (YELLOW, 130, 0), (RED, 300, 0))  # colour, left, speed
HIGH, WIDE, TOP = 80, 32, 60


def places(number: int) -> list[list[int]]:
    """xyxy of each person in a frame."""
    lefts = [left + speed * number for _, left, speed in STREET]
    return [[left, TOP, left + WIDE, TOP + HIGH] for left in lefts]


def picture(number: int) -> Image:
    image = np.full((SIZE[1], SIZE[0], 3), 128, np.uint8)
    for (colour, _, _), (left, top, right, bottom) in zip(STREET, places(number), strict=True):
        image[top:bottom, left:right] = colour
    return image


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sequence of PNG files, of which the eleventh is missing."""
    folder = tmp_path_factory.mktemp("world") / "street"
    (folder / "img1").mkdir(parents=True)
    (folder / "det").mkdir()
    rows = []
    for number in range(1, COUNT + 1):
        if number != 11:
            cv2.imwrite(str(folder / f"img1/{number:06d}.png"), picture(number))
        for left, top, right, bottom in places(number):
            rows.append(f"{number},-1,{left},{top},{right - left},{bottom - top},0.9\n")
    (folder / "det/det.txt").write_text("".join(rows))
    facts = f"name=street\nimDir=img1\nframeRate=30\nseqLength={COUNT}\nimExt=.png\n"
    size = f"imWidth={SIZE[0]}\nimHeight={SIZE[1]}\n"
    (folder / "seqinfo.ini").write_text("[Sequence]\n" + facts + size)
    return folder


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An embedder that sees the mean colour."""
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    from support.embedders import mean_color

    return mean_color(tmp_path_factory.mktemp("net"))


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


def colour_distance(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    from support.embedders import plain

    return 1 - float(plain(one) @ plain(other))


def ids_of(folder: Path, colours: Path, tracker: str) -> dict[int, dict[int, int]]:
    """Frame -> id -> whom `mot track` follows with it."""
    words = ("--tracker", tracker, "--embedder", colours, "--end", 0.3, "--no-video", "-q")
    assert mot("track", folder, *words, "-o", "out") == 0
    found: dict[int, dict[int, int]] = {}
    for number, tracks in read_tracks(Path("out/street.txt")).items():
        overlap = boxes.iou(tracks.boxes, np.array(places(number), np.float32))
        whom = overlap.argmax(axis=1).tolist()
        found[number] = dict(zip(tracks.ids.tolist(), whom, strict=True))
    return found


def table_of(text: str) -> dict[str, dict[str, str]]:
    """The first table of what is told: detection -> heading -> what stands there."""
    lines = [line.replace("┃", "│").split("│")[1:-1] for line in text.splitlines()]
    heading, *rows = [[cell.strip() for cell in line] for line in lines if line]
    return {row[0]: dict(zip(heading, row, strict=True)) for row in rows}


def test_explain_takes_every_flag_that_decides_ids() -> None:
    given = {parameter.name for parameter in cli.commands["explain"].params}
    assert given - {"help"} == {field.name for field in fields(ExplainOptions)}
    track = {parameter.name for parameter in cli.commands["track"].params}
    own = {"source", "number", "track_id", "plot"}
    assert given - own <= track


@pytest.mark.parametrize("tracker", ["deepsort", "best", "strongsort"])
def test_distances_are_told_beside_the_costs(street, colours, capsys, tracker) -> None:
    """Ids are those of `mot track`; looks are those of the colours, that never change."""
    (track_id,) = (i for i, who in ids_of(street, colours, tracker)[8].items() if who == 0)
    words = ("--tracker", tracker, "--embedder", colours, "--frame", 8, "--id", track_id)
    capsys.readouterr()
    assert mot("explain", street, *words) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"Frame 8, track {track_id}: got detection 0 ")
    rows = table_of(text)
    assert rows["0"]["outcome"] == "chosen"
    for row, colour in enumerate((RED, BLUE, YELLOW, RED)):
        told = float(rows[str(row)]["appearance"])
        assert told == pytest.approx(colour_distance(RED, colour), abs=2e-3)
    assert 0 < float(rows["0"]["1 - IoU"]) < 0.1
    assert {rows[far]["1 - IoU"] for far in "123"} == {"1.000"}
    assert rows["3"]["outcome"] == "ruled out: motion over 9.5"
    assert rows["3"]["appearance"] == "0.000"


def test_a_detector_finds_the_people_where_there_is_no_file(tmp_path, capsys) -> None:
    flags = ("--scene", "crowd", "--seed", 3, "--frames", 30, "--size", "320x240", "-q")
    assert mot("synth", *flags, "-o", "clip.mp4") == 0
    words = ("--detector", "motion", "--start", 0.2)
    assert mot("track", "clip.mp4", *words, "--no-video", "-q", "-o", "out") == 0
    rows = read_mot_rows(Path("out/clip.txt"))
    number = int(rows.frames.max())
    for track_id in rows.ids[rows.frames == number].tolist():
        capsys.readouterr()
        assert mot("explain", "clip.mp4", *words, "--frame", number, "--id", track_id) == 0
        assert f"Frame {number}, track {track_id}: got detection" in capsys.readouterr().out


# The image


def pixels_of(image: Image, colour: tuple[int, ...], tolerance: int = 3) -> Array:
    """(K, 2) x and y of the pixels of a colour."""
    same = (np.abs(image.astype(int) - colour) <= tolerance).all(axis=2)
    return np.argwhere(same)[:, ::-1]


def pale(colour: tuple[int, ...]) -> tuple[int, ...]:
    grey = cv2.cvtColor(np.array([[colour]], np.uint8), cv2.COLOR_BGR2GRAY)[0, 0]
    return (int(grey * 0.5 + 127.5),) * 3


PAPER = (0xF3,) * 3  # behind what is remembered
FRAME = (0x73, 0x9E, 0x00)  # the green around the chosen one


def test_the_picture_shows_the_track_and_what_it_could_have_had(street, colours, capsys) -> None:
    """DeepSORT: the near ones in their colours, the far ones pale, the chosen one framed."""
    (track_id,) = (i for i, who in ids_of(street, colours, "deepsort")[8].items() if who == 0)
    words = ("--tracker", "deepsort", "--embedder", colours, "--frame", 8, "--id", track_id)
    assert "why.png" in final_files_after(street, *words, "--plot", "why.png")
    image = cv2.imread("why.png")
    red, split = pixels_of(image, RED), pixels_of(image[-3:-2], PAPER)[:, 0].max()
    remembered = red[red[:, 0] < split]
    assert columns_of(remembered) == 4
    assert columns_of(red[red[:, 0] > split]) == 1
    chosen = red[red[:, 0] > split]
    out = [pixels_of(image, pale(colour)) for colour in (RED, YELLOW, BLUE)]  # as they look alike
    centres = [points[:, 0].mean() for points in (chosen, *out)]
    assert centres == sorted(centres)
    assert not len(pixels_of(image, YELLOW))
    frame = pixels_of(image, FRAME)
    edges = [*frame.min(axis=0) - chosen.min(axis=0), *chosen.max(axis=0) - frame.max(axis=0)]
    assert max(edges) < 0


def final_files_after(source: Path, *words: object) -> list[str]:
    assert mot("explain", source, *words) == 0
    return final_files(Path())


def columns_of(points: Array) -> int:
    """How many crops side by side they are in."""
    across = np.unique(points[:, 0])
    return 1 + int((np.diff(across) > 10).sum())


def test_a_picture_of_all_kinds_in_their_order(tmp_path) -> None:
    """Left the crops of the track, right the candidates, in the order given."""
    crops = {c: np.full((60, 30, 3), c, np.uint8) for c in (RED, BLUE, GREEN, YELLOW)}
    stored = CropCard(crops[BLUE], "frame 3", ("30 x 60 px",))
    candidates = [
        CropCard(crops[RED], "detection 4", ("cost 0.1", "chosen"), "chosen"),
        CropCard(crops[GREEN], "detection 2", ("cost 0.2", "a $ and a _"), "other"),
        CropCard(crops[YELLOW], "detection 1", ("ruled out", "word " * 30), "rejected"),
        CropCard(crops[RED][:0], "detection 0", ("outside",), "rejected"),
    ]
    rows = [
        StageRow("first", "why " * 60, candidates, "limit 0.15", 1),
        StageRow("none", "-", (), "", 0),
    ]
    plot_lineup(Lineup("title", "legend", "memory", [[stored], []], rows), tmp_path / "all.png")
    image = cv2.imread(str(tmp_path / "all.png"))
    centres = [pixels_of(image, colour)[:, 0].mean() for colour in (BLUE, RED, GREEN, pale(YELLOW))]
    assert centres == sorted(centres)
    assert not len(pixels_of(image, YELLOW))


def test_a_crop_keeps_its_shape(tmp_path) -> None:
    for wide, high in ((30, 60), (60, 30), (40, 200), (200, 40), (300, 500)):
        crop = np.full((high, wide, 3), RED, np.uint8)
        row = StageRow("first", "", [CropCard(crop, "detection 0", (), "other")], "limit 1", 1)
        plot_lineup(Lineup("", "", "", [[]], [row]), tmp_path / "one.png")
        points = pixels_of(cv2.imread(str(tmp_path / "one.png")), RED)
        across, down = np.ptp(points, axis=0) + 1
        assert across / down == pytest.approx(wide / high, rel=0.1)


def test_a_picture_without_embeddings(street, capsys) -> None:
    assert mot("explain", street, "--frame", 8, "--id", 1, "--plot", "why.png") == 0
    assert len(pixels_of(cv2.imread("why.png"), FRAME))
    assert "appearance" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--plot", "why.jpg"), "give a name that ends in .png"),
        (("--frame", 11, "--plot", "why.png"), "frame 11 has no image: choose another one"),
        (("--embedder", "gone.onnx"), "gone.onnx: no such file"),
        (("--embedder", "a", "--embeddings", "b"), "both give appearance: give one"),
        (("--detector", "motoin"), "did you mean 'motion'?"),
        (("--start", 0.3), "no frame 8, or --start, --end or --every leave it out"),
        (("--every", 4), "no frame 8, or --start, --end or --every leave it out"),
        (("--tracker", "sort", "--detections", "gone.txt"), "gone.txt: no such"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_shown_is_said_in_a_line(street, capsys, words, said) -> None:
    assert said in complaint(capsys, "explain", street, "--frame", 8, "--id", 1, *words)
    assert final_files(Path()) == []


def test_a_source_without_pictures(street, capsys) -> None:
    Path("bare/det").mkdir(parents=True)
    Path("bare/det/det.txt").write_bytes((street / "det/det.txt").read_bytes())
    where = ("explain", "bare", "--frame", 8, "--id", 1)
    assert mot(*where) == 0
    said = complaint(capsys, *where, "--plot", "why.png")
    assert "bare has no images" in said and "name its video" in said
    assert "has no images to crop" in complaint(capsys, *where, "--embedder", "a.onnx")
    assert "neither images nor detections" in complaint(capsys, *where, "--detector", "motion")


def test_a_picture_is_not_overwritten(street, capsys) -> None:
    words = ("explain", street, "--frame", 8, "--id", 1, "--plot", "why.png")
    Path("why.png").write_text("mine")
    assert "why.png: exists: give --overwrite" in complaint(capsys, *words)
    assert Path("why.png").read_text() == "mine"
    assert mot(*words, "--overwrite") == 0
    assert cv2.imread("why.png") is not None


def test_one_stream_at_a_time(street, capsys) -> None:
    for name in ("one", "two"):
        Path(name, "det").mkdir(parents=True)
        Path(name, "det/det.txt").write_bytes((street / "det/det.txt").read_bytes())
    said = complaint(capsys, "explain", ".", "--frame", 8, "--id", 1)
    assert "holds 2 streams (one, two ...): name one" in said
