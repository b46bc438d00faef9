"""Reading and writing text, CSV and JSON lines: complaints name file and line, writes are whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from winnow.values.errors import InputError, nearest


def read_text(path: Path) -> str:
    """The file's text, UTF-8 only (a byte-order mark is dropped).

    Raises
    ------
    InputError
        When the file is missing, is a directory, or is not UTF-8 (names the line of the first bad byte).
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError("no such file", where=str(path), remedy=f"looked in {path.resolve().parent}") from None
    except IsADirectoryError:
        raise InputError("is a directory, not a file", where=str(path), remedy="name a file in it") from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(
            f"byte {data[error.start]:#04x} is not UTF-8",
            where=f"{path}:{line}",
            remedy="convert it: iconv -f LATIN1 -t UTF-8",
        ) from None


def read_column(path: Path, column: str) -> list[tuple[int, str]]:
    """One value a record with its line number, by the file's ending: .csv and .jsonl by ``column``, else one a line.

    Blank lines are passed over. Surrounding white space is dropped.

    Raises
    ------
    InputError
        When the column is missing, a line is not JSON, a value is not text, or there is no record at all.
    """
    text = read_text(path)
    read = {".csv": _csv_column, ".jsonl": _jsonl_column}.get(path.suffix.lower(), _lines)
    values = [(line, value.strip()) for line, value in read(text, path, column) if value.strip()]
    if not values:
        raise InputError(
            "holds no records", where=str(path), remedy=f"one a line, or a .csv or .jsonl with a column {column!r}"
        )
    return values


def _lines(text: str, path: Path, column: str) -> Iterable[tuple[int, str]]:
    return _numbered(text)


def _numbered(text: str) -> Iterable[tuple[int, str]]:
    # as editors and JSON Lines count: str.splitlines would also split at U+2028, U+0085 or a form feed inside a value
    return enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1)


def _csv_column(text: str, path: Path, column: str) -> Iterable[tuple[int, str]]:
    rows, start = csv.reader(io.StringIO(text, newline=""), strict=True), 1
    try:
        header = next(rows, [])
        if column not in header:
            remedy = nearest(column, header) if header else "its first line must name the columns"
            raise InputError(f"has no column {column!r}", where=f"{path}:1", remedy=remedy)
        place, start = header.index(column), rows.line_num + 1
        for row in rows:
            where = f"{path}:{start}"
            if row and len(row) <= place:
                raise InputError(f"row has no value for {column!r}", where=where, remedy="give every row all columns")
            if any(row[len(header) :]):  # a trailing comma is no value
                raise InputError("row has more values than columns", where=where, remedy="quote values with commas")
            if row:
                yield start, row[place]
            start = (
                rows.line_num + 1
            )  # where the next row starts: one with line breaks in it is known by its first line
    except csv.Error as error:
        raise InputError(str(error), where=f"{path}:{start}", remedy="check the quotes of this row") from None


def _jsonl_column(text: str, path: Path, column: str) -> Iterable[tuple[int, str]]:
    for line, row in parse_jsonl(text, str(path)):
        if column not in row:
            raise InputError(f"has no key {column!r}", where=f"{path}:{line}", remedy=nearest(column, row))
        if not isinstance(row[column], str | int | float):
            raise InputError(f"{column!r} must be text, not {type(row[column]).__name__}", where=f"{path}:{line}")
        yield line, str(row[column])


def parse_jsonl(text: str, name: str) -> Iterable[tuple[int, dict[str, Any]]]:
    """Objects of a JSON-lines text with their line numbers; blank lines are passed over.

    Raises
    ------
    InputError
        When a line is not a JSON object.
    """
    for line, raw in _numbered(text):
        if not raw.strip():
            continue
        try:
            row = json.loads(raw)
        except json.JSONDecodeError as error:
            raise InputError(f"is not JSON: {error.msg} at column {error.colno}", where=f"{name}:{line}") from None
        if not isinstance(row, dict):
            raise InputError("is not a JSON object", where=f"{name}:{line}", remedy="one {...} a line")
        yield line, row


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """All objects of a JSON-lines file."""
    return [row for _, row in parse_jsonl(read_text(path), str(path))]


def to_json(value: Any, indent: int | None = None) -> str:
    """JSON text with sorted keys off, NaN refused, non-ASCII kept: the one way Winnow writes JSON."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)


def write_text(path: Path, text: str) -> None:
    """Write the whole file or nothing: to a file beside it, made durable, then renamed over it.

    Raises
    ------
    InputError
        When the place cannot be written to.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", where=str(path)) from None
    finally:
        temporary.unlink(missing_ok=True)


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """One JSON object a line, whole or nothing."""
    write_text(path, "".join(to_json(row) + "\n" for row in rows))
