"""Embeddings from files: both layouts, and what is refused."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mot.errors import MotError
from mot.formats.embeddings import read_embeddings
from mot.motfile import MotRows, detections_by_frame, read_rows_of

COUNT, WIDTH = 30, 12
RNG = np.random.default_rng(0)
LOOKS = RNG.normal(size=(COUNT, WIDTH)).astype(np.float32)
FRAMES = np.sort(RNG.integers(1, 9, COUNT))
BOXES = np.round(RNG.uniform(1, 300, (COUNT, 4)), 1)


def detections(folder: Path, boxes: np.ndarray = BOXES, frames: np.ndarray = FRAMES) -> MotRows:
    path = folder / "det.txt"
    np.savetxt(path, table_of(boxes, frames), delimiter=",", fmt="%.4f")
    return read_rows_of(path)


def table_of(boxes: np.ndarray = BOXES, frames: np.ndarray = FRAMES) -> np.ndarray:
    """(N, 7) frame, id, left, top, width, height, conf."""
    unknown, sure = np.full(len(frames), -1.0), np.ones(len(frames))
    return np.column_stack([frames, unknown, boxes, sure])


def saved(folder: Path, array: np.ndarray, name: str = "looks.npy") -> Path:
    path = folder / name
    np.save(path, array)
    return path


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_a_row_for_each_detection(tmp_path, kind) -> None:
    found = read_embeddings(saved(tmp_path, LOOKS.astype(kind)), detections(tmp_path))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, LOOKS.astype(kind))


@pytest.mark.parametrize("names", [("embeddings",), ("looks",), ("a", "embeddings")])
def test_npz(tmp_path, names) -> None:
    path = tmp_path / "looks.npz"
    np.savez(path, **{name: LOOKS if name == names[-1] else LOOKS[:3] for name in names})
    np.testing.assert_array_equal(read_embeddings(path, detections(tmp_path)), LOOKS)


@pytest.mark.parametrize("order", [np.arange(COUNT), RNG.permutation(COUNT)], ids=["same", "other"])
def test_deepsorts_layout_in_any_order(tmp_path, order) -> None:
    path = saved(tmp_path, np.column_stack([table_of(), LOOKS])[order])
    np.testing.assert_array_equal(read_embeddings(path, detections(tmp_path)), LOOKS)


def test_deepsorts_layout_in_float32(tmp_path) -> None:
    """Boxes of two decimals, rounded either way, are those of the detections."""
    boxes = np.array([[100.35, 10, 40, 80], [100.32, 20, 40, 80]])
    frames = np.array([1, 1])
    table = np.column_stack([table_of(boxes, frames), LOOKS[:2]]).astype(np.float32)
    found = read_embeddings(saved(tmp_path, table), detections(tmp_path, boxes, frames))
    np.testing.assert_array_equal(found, LOOKS[:2])


def test_the_given_features_of_deepsort(shared) -> None:
    folder = shared / "data/mot17/MOT17-05/det"
    if not (folder / "FRCNN_deepsort_features.npy").exists():
        pytest.skip("no features there")
    rows = read_rows_of(folder / "FRCNN.txt")
    found = read_embeddings(folder / "FRCNN_deepsort_features.npy", rows)
    assert found.shape == (len(rows), 128)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-3)


def test_each_frame_gets_its_rows(tmp_path) -> None:
    table = detections_by_frame(detections(tmp_path), LOOKS)
    for frame, found in table.items():
        np.testing.assert_array_equal(found.embeddings, LOOKS[frame == FRAMES])


@pytest.mark.parametrize("shape", [(29, 12), (31, 12), (0, 12), (30,), (30, 2, 2), ()])
def test_another_shape_is_refused(tmp_path, shape) -> None:
    path = saved(tmp_path, np.zeros(shape))
    with pytest.raises(MotError, match=r"looks\.npy: .*30 rows are needed"):
        read_embeddings(path, detections(tmp_path))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("before", [[], [table_of()]], ids=["plain", "DeepSORT's"])
def test_a_number_that_is_not_finite_is_named(tmp_path, bad, before) -> None:
    looks = LOOKS.copy()
    looks[17, 3] = bad
    path = saved(tmp_path, np.column_stack([*before, looks]))
    with pytest.raises(MotError, match=r"looks\.npy: the embedding in row 17 is not finite"):
        read_embeddings(path, detections(tmp_path))


def test_features_of_other_boxes_are_refused(tmp_path) -> None:
    path = saved(tmp_path, np.column_stack([table_of(BOXES + 5), LOOKS]))
    with pytest.raises(MotError, match=r"looks\.npy"):
        read_embeddings(path, detections(tmp_path))


class Bomb:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("wrap", ["npy", "npz", "pickle"])
def test_nothing_is_unpickled(tmp_path, wrap) -> None:
    mark, path = tmp_path / "mark", tmp_path / "looks.npy"
    array = np.array([Bomb(mark)] * COUNT, object)
    with path.open("wb") as file:
        if wrap == "npy":
            np.save(file, array, allow_pickle=True)
        elif wrap == "npz":
            np.savez(file, embeddings=array)
        else:
            pickle.dump(array, file)
    with pytest.raises(MotError, match=r"looks\.npy: not a \.npy or \.npz file of numbers"):
        read_embeddings(path, detections(tmp_path))
    assert not mark.exists()


def npy(array: np.ndarray, folder: Path) -> bytes:
    return saved(folder, array, "other.npy").read_bytes()


def huge_header(folder: Path) -> bytes:
    """Says that it holds more than any machine."""
    return npy(LOOKS, folder).replace(b"(30, 12), }        ", b"(30, 9999999999), }")


def zipped_text(folder: Path) -> bytes:
    with zipfile.ZipFile(folder / "text.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    return (folder / "text.zip").read_bytes()


RUBBISH = {
    "empty": lambda folder: b"",
    "text": lambda folder: b"1,2,3\n4,5,6\n",
    "cut off": lambda folder: npy(LOOKS, folder)[:400],
    "cut off in the header": lambda folder: npy(LOOKS, folder)[:40],
    "half a zip": lambda folder: b"PK\x03\x04 rubbish",
    "an empty zip": lambda folder: b"PK\x05\x06" + bytes(18),
    "a zip of text": zipped_text,
    "words": lambda folder: npy(np.array([["a"] * WIDTH] * COUNT), folder),
    "records": lambda folder: npy(np.zeros(COUNT, [("x", float), ("y", float)]), folder),
    "complex": lambda folder: npy(LOOKS * 1j, folder),
    "dates": lambda folder: npy(np.zeros((COUNT, WIDTH), "M8[D]"), folder),
    "huge": huge_header,
}


@pytest.mark.parametrize("make", RUBBISH.values(), ids=RUBBISH)
def test_rubbish_is_refused(tmp_path, make) -> None:
    path = tmp_path / "looks.npy"
    path.write_bytes(make(tmp_path))
    with pytest.raises(MotError, match=r"looks\.npy"):
        read_embeddings(path, detections(tmp_path))


def test_what_is_no_file_is_named(tmp_path) -> None:
    rows = detections(tmp_path)
    with pytest.raises(MotError, match=r"none\.npy: no such file"):
        read_embeddings(tmp_path / "none.npy", rows)
    with pytest.raises(MotError, match=r"not a \.npy"):
        read_embeddings(tmp_path, rows)


def test_no_detections_have_no_embeddings(tmp_path) -> None:
    (tmp_path / "det.txt").write_text("")
    path = saved(tmp_path, np.zeros((0, WIDTH)))
    assert len(read_embeddings(path, read_rows_of(tmp_path / "det.txt"))) == 0
