"""Embeddings from files: both layouts, and bad files."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mot.errors import MotError
from mot.formats.embedding_files import read_embeddings
from mot.motfile import MotRows, detections_by_frame, read_mot_rows

COUNT, WIDTH = 30, 12
RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(COUNT, WIDTH)).astype(np.float32)
FRAMES = np.sort(RNG.integers(1, 9, COUNT))
BOXES = np.round(RNG.uniform(1, 300, (COUNT, 4)), 1)


def detections(folder: Path, boxes: np.ndarray = BOXES, frames: np.ndarray = FRAMES) -> MotRows:
    path = folder / "det.txt"
    np.savetxt(path, table_of(boxes, frames), delimiter=",", fmt="%.4f")
    return read_mot_rows(path)


def table_of(boxes: np.ndarray = BOXES, frames: np.ndarray = FRAMES) -> np.ndarray:
    """(N, 7) frame, id, left, top, width, height, conf."""
    unknown, scores = np.full(len(frames), -1.0), np.ones(len(frames))
    return np.column_stack([frames, unknown, boxes, scores])


def saved(folder: Path, array: np.ndarray, name: str = "vectors.npy") -> Path:
    path = folder / name
    np.save(path, array)
    return path


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_one_row_per_detection(tmp_path, kind) -> None:
    found = read_embeddings(saved(tmp_path, VECTORS.astype(kind)), detections(tmp_path))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, VECTORS.astype(kind))


@pytest.mark.parametrize("names", [("embeddings",), ("vectors",), ("a", "embeddings")])
def test_npz(tmp_path, names) -> None:
    path = tmp_path / "vectors.npz"
    np.savez(path, **{name: VECTORS if name == names[-1] else VECTORS[:3] for name in names})
    np.testing.assert_array_equal(read_embeddings(path, detections(tmp_path)), VECTORS)


@pytest.mark.parametrize("order", [np.arange(COUNT), RNG.permutation(COUNT)], ids=["same", "other"])
def test_deepsorts_layout_in_any_order(tmp_path, order) -> None:
    path = saved(tmp_path, np.column_stack([table_of(), VECTORS])[order])
    np.testing.assert_array_equal(read_embeddings(path, detections(tmp_path)), VECTORS)


def test_deepsorts_layout_in_float32(tmp_path) -> None:
    """Boxes of two decimals, rounded either way, match the detections."""
    boxes = np.array([[100.35, 10, 40, 80], [100.32, 20, 40, 80]])
    frames = np.array([1, 1])
    table = np.column_stack([table_of(boxes, frames), VECTORS[:2]]).astype(np.float32)
    found = read_embeddings(saved(tmp_path, table), detections(tmp_path, boxes, frames))
    np.testing.assert_array_equal(found, VECTORS[:2])


def test_real_features_of_deepsort(shared) -> None:
    folder = shared / "data/mot17/MOT17-05/det"
    if not (folder / "FRCNN_deepsort_features.npy").exists():
        pytest.skip("no features there")
    rows = read_mot_rows(folder / "FRCNN.txt")
    found = read_embeddings(folder / "FRCNN_deepsort_features.npy", rows)
    assert found.shape == (len(rows), 128)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-3)


def test_embeddings_by_frame(tmp_path) -> None:
    table = detections_by_frame(detections(tmp_path), VECTORS)
    for frame, found in table.items():
        np.testing.assert_array_equal(found.embeddings, VECTORS[frame == FRAMES])


@pytest.mark.parametrize("shape", [(29, 12), (31, 12), (0, 12), (30,), (30, 2, 2), ()])
def test_other_shapes_are_rejected(tmp_path, shape) -> None:
    path = saved(tmp_path, np.zeros(shape))
    with pytest.raises(MotError, match=r"vectors\.npy: .*30 rows are needed"):
        read_embeddings(path, detections(tmp_path))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("before", [[], [table_of()]], ids=["rows", "DeepSORT's"])
def test_embeddings_that_are_not_finite_are_rejected(tmp_path, bad, before) -> None:
    vectors = VECTORS.copy()
    vectors[17, 3] = bad
    path = saved(tmp_path, np.column_stack([*before, vectors]))
    with pytest.raises(MotError, match=r"vectors\.npy: the embedding in row 17 is not finite"):
        read_embeddings(path, detections(tmp_path))


def test_features_of_other_boxes_are_rejected(tmp_path) -> None:
    path = saved(tmp_path, np.column_stack([table_of(BOXES + 5), VECTORS]))
    with pytest.raises(MotError, match=r"vectors\.npy"):
        read_embeddings(path, detections(tmp_path))


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("wrap", ["npy", "npz", "pickle"])
def test_nothing_is_unpickled(tmp_path, wrap) -> None:
    mark, path = tmp_path / "mark", tmp_path / "vectors.npy"
    array = np.array([Bomb(mark)] * COUNT, object)
    with path.open("wb") as file:
        if wrap == "npy":
            np.save(file, array, allow_pickle=True)
        elif wrap == "npz":
            np.savez(file, embeddings=array)
        else:
            pickle.dump(array, file)
    with pytest.raises(MotError, match=r"vectors\.npy: not a \.npy or \.npz file of numbers"):
        read_embeddings(path, detections(tmp_path))
    assert not mark.exists()


def npy(array: np.ndarray, folder: Path) -> bytes:
    return saved(folder, array, "other.npy").read_bytes()


def huge_header(folder: Path) -> bytes:
    """Declares a shape beyond any memory."""
    return npy(VECTORS, folder).replace(b"(30, 12), }        ", b"(30, 9999999999), }")


def zipped_text(folder: Path) -> bytes:
    with zipfile.ZipFile(folder / "text.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    return (folder / "text.zip").read_bytes()


GARBAGE = {
    "empty": lambda folder: b"",
    "text": lambda folder: b"1,2,3\n4,5,6\n",
    "cut off": lambda folder: npy(VECTORS, folder)[:400],
    "cut off in the header": lambda folder: npy(VECTORS, folder)[:40],
    "half a zip": lambda folder: b"PK\x03\x04 garbage",
    "an empty zip": lambda folder: b"PK\x05\x06" + bytes(18),
    "a zip of text": zipped_text,
    "words": lambda folder: npy(np.array([["a"] * WIDTH] * COUNT), folder),
    "records": lambda folder: npy(np.zeros(COUNT, [("x", float), ("y", float)]), folder),
    "complex": lambda folder: npy(VECTORS * 1j, folder),
    "dates": lambda folder: npy(np.zeros((COUNT, WIDTH), "M8[D]"), folder),
    "huge": huge_header,
}


@pytest.mark.parametrize("make", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_rejected(tmp_path, make) -> None:
    path = tmp_path / "vectors.npy"
    path.write_bytes(make(tmp_path))
    with pytest.raises(MotError, match=r"vectors\.npy"):
        read_embeddings(path, detections(tmp_path))


def test_missing_files(tmp_path) -> None:
    rows = detections(tmp_path)
    with pytest.raises(MotError, match=r"none\.npy: no such file"):
        read_embeddings(tmp_path / "none.npy", rows)
    with pytest.raises(MotError, match=r"not a \.npy"):
        read_embeddings(tmp_path, rows)


def test_no_detections_have_no_embeddings(tmp_path) -> None:
    (tmp_path / "det.txt").write_text("")
    path = saved(tmp_path, np.zeros((0, WIDTH)))
    assert len(read_embeddings(path, read_mot_rows(tmp_path / "det.txt"))) == 0
