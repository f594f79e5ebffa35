"""What crosses the borders is checked at birth, read-only, and never the caller's loss."""

from __future__ import annotations

import numpy as np
import pytest

from mot.types import Detections, Tracks

INF, NAN = float("inf"), float("nan")
BOXES = np.array([[0, 0, 10, 20], [5, 5, 5, 9], [-3, 2, 4, 8]], np.float32)
SCORES = np.array([0.9, 0.1, 1], np.float32)
LABELS = np.array([0, 2, 1])


def detections() -> Detections:
    return Detections(BOXES, SCORES, LABELS, np.eye(3, 5, dtype=np.float32))


def tracks() -> Tracks:
    return Tracks(np.array([4, 1, 7]), BOXES, SCORES, LABELS, np.array([2, -1, 0]))


def tracks_of(boxes: object) -> Tracks:
    count = np.arange(len(np.asarray(boxes)))
    return Tracks(count, boxes, np.ones(len(count)), count, count)  # type: ignore[arg-type]


def columns_of(value: Detections | Tracks) -> dict[str, np.ndarray]:
    names = {"ids", "boxes", "scores", "labels", "detections", "embeddings"}
    return {name: getattr(value, name) for name in names if hasattr(value, name)}


@pytest.mark.parametrize("birth", [Detections.from_boxes, tracks_of])
@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        ([0, 0, NAN, 1], "not finite"),
        ([NAN, NAN, NAN, NAN], "not finite"),
        ([0, 0, 1, INF], "not finite"),
        ([-INF, 0, 1, 1], "not finite"),
        ([-INF, 0, INF, 1], "not finite"),
        ([INF, INF, INF, INF], "not finite"),
        ([2, 0, 1, 1], "reversed"),
        ([0, 2, 1, 1], "reversed"),
    ],
)
@pytest.mark.parametrize("row", [0, 3])
def test_a_bad_box_is_refused_with_its_row(birth, bad, fault, row) -> None:
    boxes = np.zeros((5, 4))
    boxes[row] = bad
    with pytest.raises(ValueError, match=rf"row {row}\b.*{fault}"):
        birth(boxes)


@pytest.mark.parametrize("birth", [Detections.from_boxes, tracks_of])
@pytest.mark.parametrize("box", [[0, 0, 0, 0], [-1e6, -1e6, -1e5, 1e6], [0, 0, 1e9, 1e9]])
def test_any_finite_box_in_order_is_sound(birth, box) -> None:
    assert birth([box] * 3).boxes.tolist() == np.array([box] * 3, np.float32).tolist()


@pytest.mark.parametrize("scores", [[1, NAN, 1], [1, INF, 1], [1, -INF, INF]])
def test_a_score_that_is_not_finite_is_refused_with_its_row(scores) -> None:
    with pytest.raises(ValueError, match="row 1 is not finite"):
        Detections.from_boxes(BOXES, scores)


@pytest.mark.parametrize(
    "wrong",
    [
        {"boxes": np.zeros((3, 5))},
        {"boxes": np.zeros(12)},
        {"boxes": np.zeros((4, 3))},
        {"boxes": np.zeros((1, 3, 4))},
        {"scores": np.ones(2)},
        {"scores": np.ones((3, 1))},
        {"scores": 1.0},
        {"labels": np.zeros(4)},
        {"embeddings": np.zeros((2, 5))},
        {"embeddings": np.zeros(3)},
    ],
    ids=str,
)
def test_a_wrong_shape_is_refused(wrong) -> None:
    sound = {"boxes": BOXES, "scores": SCORES, "labels": LABELS}
    with pytest.raises(ValueError, match="must have the shape"):
        Detections(**{**sound, **wrong})


@pytest.mark.parametrize("column", ["ids", "scores", "labels", "detections"])
def test_a_track_column_of_a_wrong_length_is_refused(column) -> None:
    columns = columns_of(tracks())
    with pytest.raises(ValueError, match=f"{column} must have the shape"):
        Tracks(**{**columns, column: np.zeros(2)})


@pytest.mark.parametrize("shape", [(4, 5), (4, 2), (2, 6, 1), (3, 5)])
def test_boxes_with_other_columns_are_not_folded_into_boxes(shape) -> None:
    """Four rows of x1, y1, x2, y2, score hold twenty numbers, but not five boxes."""
    with pytest.raises(ValueError, match="shape"):
        Detections.from_boxes(np.zeros(shape))


@pytest.mark.parametrize("make", [detections, tracks])
def test_arrays_are_read_only(make) -> None:
    for column in columns_of(make()).values():
        with pytest.raises(ValueError, match="read-only"):
            column[:] = 0


def test_the_callers_arrays_are_neither_changed_nor_frozen() -> None:
    given = [BOXES.copy(), SCORES.copy(), LABELS.copy(), np.eye(3, dtype=np.float32)]
    Detections(*given)
    Detections.from_boxes(*given)
    Tracks(given[2], given[0], given[1], given[2], given[2])
    assert [a.tolist() for a in given] == [
        BOXES.tolist(),
        SCORES.tolist(),
        LABELS.tolist(),
        np.eye(3).tolist(),
    ]
    assert all(array.flags.writeable for array in given)


def test_fields_cannot_be_replaced() -> None:
    with pytest.raises(AttributeError):
        detections().boxes = BOXES  # type: ignore[misc]


@pytest.mark.parametrize(
    "empty",
    [
        Detections.empty(),
        Detections.from_boxes([]),
        Detections.from_boxes(np.zeros((0, 4)), [], [], np.zeros((0, 8))),
        detections()[np.zeros(3, bool)],
        Tracks.empty(),
        tracks()[:0],
    ],
)
def test_empty_is_ordinary(empty) -> None:
    assert len(empty) == 0
    assert empty.boxes.shape == (0, 4)
    assert empty.scores.shape == empty.labels.shape == (0,)
    assert len(empty[:]) == 0


def test_defaults_and_dtypes() -> None:
    made = Detections.from_boxes([(0, 0, 1, 2), (3, 4, 5, 6)])
    assert made.boxes.dtype == made.scores.dtype == np.float32
    assert made.labels.dtype == np.int64
    assert made.scores.tolist() == [1, 1]
    assert made.labels.tolist() == [0, 0]
    assert made.embeddings is None
    assert made[0:1].embeddings is None


@pytest.mark.parametrize("make", [detections, tracks])
@pytest.mark.parametrize(
    "rows", [slice(1, None), np.array([2, 0]), np.array([True, False, True]), np.array([], int)]
)
def test_selection_takes_the_same_rows_of_every_column(make, rows) -> None:
    whole = make()
    for name, column in columns_of(whole[rows]).items():
        assert column.tolist() == getattr(whole, name)[rows].tolist(), name
