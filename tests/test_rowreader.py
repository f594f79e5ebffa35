"""Numbers are parsed exactly as `float` does, and errors name the line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mot import rowreader
from mot.errors import MotError
from mot.motfile import DEFAULTS
from mot.rowreader import line_of_row, read_rows

quick = settings(deadline=None, max_examples=150)
GOOD = "1,-1,10.5,20,30,40,0.9"


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "rows.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


digits = st.text("0123456789", min_size=1, max_size=14)
signs = st.sampled_from(["", "", "", "-", "+"])
tokens = st.one_of(
    st.integers(0, 2000).map(str),
    st.builds("{}{}".format, signs, digits),
    st.builds("{}{}.{}".format, signs, digits, digits),
    st.builds("{}.{}".format, signs, digits),
    st.builds("{}{}.".format, signs, digits),
    st.floats(-1e6, 1e6).map(repr),
    st.floats(allow_nan=False, allow_infinity=False).map("{:.5e}".format),
    st.builds("{}{}".format, digits, st.sampled_from(["e3", "E-2", "e+05"])),
    st.floats(0, 1e4).map("{:.2f}".format),
)


@dataclass
class Written:
    text: str
    rows: list[list[str]]


@st.composite
def tables(draw: st.DrawFn) -> Written:
    """Rows of 6 to 10 columns, in one of the layouts that other tools write."""
    ragged = draw(st.booleans())
    width = draw(st.integers(6, 10))
    widths = st.sampled_from([6, 10]) if ragged else st.just(width)
    cell = draw(st.sampled_from([tokens, st.integers(-99, 99999).map(str)]))
    row = widths.flatmap(lambda count: st.lists(cell, min_size=count, max_size=count))
    rows = draw(st.lists(row, min_size=1, max_size=12))
    separator = draw(st.sampled_from([",", ",", " ", "\t", ", ", " , ", "   ", ",\t"]))
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    before = draw(st.sampled_from(["", "", " ", "\t"]))
    behind = draw(st.sampled_from(["", "", " ", "  \t", *([",", ", "] * ("," in separator))]))
    gaps = st.sampled_from(["", "", "", newline, " " + newline, newline * 3])
    lines = [before + separator.join(row) + behind for row in rows]
    text = "".join(line + newline + draw(gaps) for line in lines)
    return Written(draw(gaps) + draw(st.sampled_from([text, text.rstrip()])), rows)


def numbers(rows: list[list[str]], width: int) -> list[list[float]]:
    """The `float` of every token; defaults for missing columns."""
    return [[float(token) for token in row] + list(DEFAULTS[len(row) : width]) for row in rows]


@pytest.mark.parametrize("block", [1 << 16, 64])
@given(written=tables())
@quick
def test_every_layout_is_parsed_as_by_float(tmp_path_factory, block, written) -> None:
    path = write(tmp_path_factory.getbasetemp(), written.text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rowreader, "_BLOCK", block)
        table = read_rows(path, 6, DEFAULTS)
    assert table.dtype == np.float64
    assert table.tolist() == numbers(written.rows, table.shape[1])


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("odd", ["1e-7", "123456789012", "0.1234567890123", "-.5"])
def test_a_long_file_spans_several_blocks(tmp_path, newline, odd) -> None:
    rng = np.random.default_rng(1)
    rows = [
        [str(frame), "-1", *(f"{v:.{rng.integers(0, 7)}f}" for v in rng.uniform(-99, 9999, 5))]
        for frame in range(1, 6000)
    ]
    rows[3000][4] = odd
    table = read_rows(write(tmp_path, newline.join(map(",".join, rows))), 6, DEFAULTS)
    assert table.tolist() == numbers(rows, 7)


@pytest.mark.parametrize("decimals", range(4, 13, 2))
def test_many_digits_are_not_rounded_twice(tmp_path, decimals) -> None:
    rng = np.random.default_rng(decimals)
    integers = rng.integers(89_000_000, 100_000_000, (300, 6))
    fraction = rng.integers(0, 10**decimals, (300, 6))
    cells = np.char.add(np.char.add(integers.astype(str), "."), fraction.astype(str))
    rows = cells.tolist()
    table = read_rows(write(tmp_path, "\n".join(map(",".join, rows))), 6, DEFAULTS)
    assert table.tolist() == numbers(rows, 6)


def test_real_files_are_parsed_as_by_numpy(shared) -> None:
    paths = [path for part in ("gt", "det") for path in shared.glob(f"data/mot1*/*/{part}/*.txt")]
    assert paths
    for path in paths:
        expected = np.loadtxt(path, delimiter=",", ndmin=2)
        np.testing.assert_array_equal(read_rows(path, 6, DEFAULTS), expected, str(path))


@pytest.mark.parametrize("content", ["", "\n", "\r\n\r\n", " \t\n  ", "\n" * 200_000])
def test_an_empty_file_has_no_rows(tmp_path, content) -> None:
    table = read_rows(write(tmp_path, content), 6, DEFAULTS)
    assert len(table) == 0
    assert 6 <= table.shape[1] <= 10


def test_very_many_blank_lines_are_skipped(tmp_path) -> None:
    path = write(tmp_path, f"{GOOD}\n" + "\n" * 200_000 + f"{GOOD}\n")
    assert len(read_rows(path, 6, DEFAULTS)) == 2
    assert line_of_row(path, 1) == 200_002


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        ("1,-1,abc,20,30,40,0.9", "column 3: 'abc' is not a number"),
        ("1,-1,,20,30,40,0.9", "column 3: '' is not a number"),
        ("1,-1,10,20,30,40,0.9,,", "column 8: '' is not a number"),
        ("1,-1,1.2.3,20,30,40,0.9", "'1.2.3' is not a number"),
        ("1,-1,1-2,20,30,40,0.9", "'1-2' is not a number"),
        ("1,-1,--2,20,30,40,0.9", "'--2' is not a number"),
        ("1,-1,-,20,30,40,0.9", "'-' is not a number"),
        ("1,-1,.,20,30,40,0.9", "'.' is not a number"),
        ("1;-1;10;20;30;40;0.9", "is not a number"),
        ("# frame id left", "'#' is not a number"),
        ("1,-1,10,20,30", "5 columns, where 6 to 10 are expected"),
        (",".join("1" * 11), "11 columns, where 6 to 10 are expected"),
        ("1 2 3", "3 columns"),
        ("7", "1 columns"),
        ("1,-1,\x00\x01,20,30,40,0.9", "column 3: is not text"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_errors_name_the_line(tmp_path, bad, fault, newline) -> None:
    path = write(tmp_path, newline.join([GOOD, "", GOOD, bad, GOOD]))
    with pytest.raises(MotError) as caught:
        read_rows(path, 6, DEFAULTS)
    assert str(caught.value).startswith(f"{path}:4: ")
    assert fault in str(caught.value)


def test_errors_name_the_line_after_many_good_lines(tmp_path) -> None:
    path = write(tmp_path, f"{GOOD}\n" * 9000 + "1,2,x,4,5,6\n")
    with pytest.raises(MotError, match=r"rows.txt:9001: column 3: 'x' is not a number"):
        read_rows(path, 6, DEFAULTS)


@pytest.mark.parametrize("make", [None, Path.mkdir], ids=["missing", "folder"])
def test_a_missing_file_is_reported(tmp_path, make) -> None:
    path = tmp_path / "det.txt"
    if make:
        make(path)
    with pytest.raises(MotError, match=r"det\.txt: (no such file|cannot be read)"):
        read_rows(path, 6, DEFAULTS)


garbage = st.one_of(
    st.binary(max_size=200),
    st.text("0123456789.,-+eE \t\r\n_infax'#;", max_size=80).map(str.encode),
    st.lists(st.sampled_from(["1", "1.5", "-2", ",", "\n", "1,2,3,4,5,6\n", " ", "."])).map(
        lambda parts: "".join(parts).encode()
    ),
)


@given(content=garbage)
@settings(quick, max_examples=300)
def test_garbage_is_parsed_or_rejected_in_one_line(tmp_path_factory, content) -> None:
    path = write(tmp_path_factory.getbasetemp(), content)
    try:
        table = read_rows(path, 6, DEFAULTS)
    except MotError as error:
        assert str(error).startswith(f"{path}:")
        assert "\n" not in str(error)
    else:
        assert 6 <= table.shape[1] <= 10


def test_line_of_row_skips_blank_lines(tmp_path) -> None:
    path = write(tmp_path, f"\r\n{GOOD}\r\n \t\r\n\n{GOOD}\n{GOOD}")
    assert [line_of_row(path, row) for row in range(3)] == [2, 5, 6]
