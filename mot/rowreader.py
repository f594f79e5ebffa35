"""Rows of numbers from text files, faster than `numpy.loadtxt`, with errors that name the line.

MOTChallenge files consist mostly of short decimal numbers. Those are parsed by arithmetic on blocks
of bytes: the value of the digits that end at each byte is built from its neighbors, first of two
digits, then of four, and read where a number ends. Blocks with anything else (exponents, more than
eight digits in a row) go to NumPy; what NumPy rejects is parsed line by line to find the error.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mot.errors import MotError
from mot.files import read_bytes

Table = npt.NDArray[np.float64]

_BLOCK = 1 << 16  # bytes per block: temporaries fit in the L2 cache
_PADDING = b"\n" * 8  # before a block: digits before its first number can be indexed
_NEWLINE, _COMMA, _MINUS, _DOT, _ZERO = b"\n,-.0"
_POWERS = 10.0 ** np.arange(9)
_MAX_INTEGER_PART = 9e7  # exact in float64 together with eight decimals

Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.int64]


def read_rows(path: Path, min_columns: int, defaults: tuple[float, ...]) -> Table:
    """(N, columns) numbers separated by commas or white space; blank lines are skipped.

    Rows must have `min_columns` to `len(defaults)` columns. If rows differ in length, the result
    has `len(defaults)` columns and the defaults fill the shorter rows.
    """
    data = read_bytes(path)
    table = _parse(_normalize(data))
    if table is None or not min_columns <= table.shape[1] <= len(defaults):
        table = _parse_lines(path, data, min_columns, defaults)
    return table


def line_of_row(path: Path, row: int) -> int:
    """The line number, from 1, of a row number of `read_rows`."""
    filled = (number for number, line in enumerate(_lines(read_bytes(path)), 1) if line)
    return next(number for position, number in enumerate(filled) if position == row)


def _normalize(data: bytes) -> bytes:
    """Separate numbers by one comma and end rows by a newline; copies only if necessary."""
    if b" " in data or b"\t" in data or b"\r" in data:
        data = re.sub(rb"\s*\n\s*", b"\n", data.strip())
        data = re.sub(rb"[ \t]*,[ \t]*|[ \t]+", b",", data)
    return data if data.endswith(b"\n") else data + b"\n"


def _parse(data: bytes) -> Table | None:
    """None if a row is malformed or rows differ in length."""
    if not data.strip():
        return np.zeros((0, 6))
    numbers = np.empty(len(data) // 2 + 1)  # upper bound; unused pages cost nothing
    count = start = columns = 0
    while start < len(data):
        end = data.find(b"\n", start + _BLOCK) + 1 or len(data)
        table = _parse_plain(data[start:end])
        if table is None:
            table = _parse_general(data[start:end])
        if table is None or (columns and table.shape[1] != columns):
            return None
        columns = table.shape[1]
        numbers[count : count + table.size] = table.ravel()
        count += table.size
        start = end
    return numbers[:count].reshape(-1, columns)


def _parse_plain(block: bytes) -> Table | None:
    """Rows of numbers such as `12` or `-1.5`; None if the block contains anything else."""
    text = np.frombuffer(_PADDING + block, np.uint8)
    is_digit, value, five = _digit_values(text)
    is_end = text < _MINUS
    is_end[: len(_PADDING)] = False
    ends, dots = np.flatnonzero(is_end), np.flatnonzero(text == _DOT)
    minuses = np.flatnonzero(text == _MINUS) if b"-" in block else dots[:0]
    owner = np.searchsorted(ends, dots)  # the number that each dot belongs to
    if not (
        _is_plain(text, is_digit, ends, dots, minuses)
        and not (five[4:] & five[:-4]).any()  # nine digits in a row
        and (owner[1:] > owner[:-1]).all()
    ):
        return None

    def number_before(at: Positions) -> Table:
        return value[at - 1] + 1e4 * (five[at - 1] * value[at - 5])

    numbers: Table = value.take(ends - 1).astype(np.float64)  # of at most four digits
    integers, fraction, decimals = (
        number_before(dots),
        number_before(ends[owner]),
        ends[owner] - dots,
    )
    long = five[:-1] & is_end[1:]
    if np.count_nonzero(long) > np.count_nonzero(decimals > 5):
        at = np.flatnonzero(long) + 1
        numbers[np.searchsorted(ends, at)] = number_before(at)
    if (integers > _MAX_INTEGER_PART).any():
        return None
    scale = _POWERS[decimals - 1]
    numbers[owner] = (integers * scale + fraction) / scale
    numbers[np.searchsorted(ends, minuses)] *= -1
    return _fold(numbers, text, ends)


def _digit_values(text: Bytes) -> tuple[Flags, npt.NDArray[np.uint16], Flags]:
    """Per byte: whether it is a digit, value of the last up to 4 digits, whether there are 5+."""
    digit = text - np.uint8(_ZERO)
    is_digit = digit < 10
    digit *= is_digit
    value = digit.astype(np.uint16)
    value[1:] += np.multiply(digit[:-1], 10, dtype=np.uint16)
    value *= is_digit
    two = is_digit[1:] & is_digit[:-1]  # ending at the next byte
    hundreds = value[:-2] * np.uint16(100)
    hundreds *= two[1:]
    value[2:] += hundreds
    five = np.zeros(len(text), np.bool_)
    np.logical_and(two[3:] & two[1:-2], is_digit[:-4], out=five[4:])
    return is_digit, value, five


def _is_plain(
    text: Bytes, is_digit: Flags, ends: Positions, dots: Positions, minuses: Positions
) -> bool:
    """Whether all bytes are digits, single separators, dots between and minuses before digits."""
    separators = np.count_nonzero(text == _COMMA) + np.count_nonzero(text == _NEWLINE)
    is_end = text[len(_PADDING) - 1 :] < _MINUS
    others = len(text) - np.count_nonzero(is_digit) - len(dots) - len(minuses)
    return (
        separators == others == len(ends) + len(_PADDING)
        and not (is_end[1:] & is_end[:-1]).any()  # no separators follow each other
        and bool((is_digit[dots - 1] & is_digit[dots + 1]).all())
        and bool((is_digit[minuses + 1] & (text[minuses - 1] < _MINUS)).all())
    )


def _fold(numbers: Table, text: Bytes, ends: Positions) -> Table | None:
    """Reshape to (rows, columns); None if the rows differ in length."""
    rows = int(np.count_nonzero(text == _NEWLINE)) - len(_PADDING)
    if len(numbers) % rows:
        return None
    columns = len(numbers) // rows
    if (text[ends[columns - 1 :: columns]] != _NEWLINE).any():
        return None
    return numbers.reshape(rows, columns)


def _parse_general(block: bytes) -> Table | None:
    if block.isspace():
        return None
    try:
        return np.loadtxt(io.BytesIO(block), delimiter=",", comments=None, ndmin=2)
    except ValueError:
        return None


def _parse_lines(path: Path, data: bytes, min_columns: int, defaults: tuple[float, ...]) -> Table:
    """Slow path: rows of different lengths, and error messages."""
    rows = []
    for number, line in enumerate(_lines(data), 1):
        if line:
            row = _parse_line(line, f"{path}:{number}")
            if not min_columns <= len(row) <= len(defaults):
                raise MotError(
                    f"{path}:{number}: {len(row)} columns, where "
                    f"{min_columns} to {len(defaults)} are expected"
                )
            rows.append([*row, *defaults[len(row) :]])
    return np.array(rows, np.float64).reshape(len(rows), len(defaults))


def _lines(data: bytes) -> list[str]:
    return [line.strip() for line in data.decode("utf-8", "replace").split("\n")]


def _parse_line(line: str, location: str) -> list[float]:
    words = line.removesuffix(",").split(",") if "," in line else line.split()
    values = []
    for column, word in enumerate(words, 1):
        try:
            values.append(float(word))
        except ValueError:
            shown = word.strip()[:20]
            fault = f"{shown!r} is not a number" if shown.isprintable() else "is not text"
            raise MotError(f"{location}: column {column}: {fault}") from None
    return values
