"""Records: every complaint names its file and line, and a write is whole or nothing."""

import os

import pytest

from winnow.values.errors import ContextError, InputError, Refused, WinnowError, nearest
from winnow.values.records import (
    parse_jsonl,
    read_column,
    read_jsonl,
    read_text,
    to_json,
    write_jsonl,
    write_text,
)


def put(folder, name, data):
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.mark.parametrize(
    ("name", "data", "line", "message"),
    [
        ("a.txt", b"fine\n\xff", 2, "is not UTF-8 .convert it: iconv"),
        ("a.csv", "text,gold\na,b\n", 1, "has no column 'query'"),
        ("a.csv", 'query,gold\na,b\n\nc\n"d\n', 5, "check the quotes"),
        ("a.csv", "gold,query\na,b\nc\n", 3, "row has no value for 'query' .give every row"),
        ("a.csv", "query,gold\nWho, me?,b\n", 2, "more values than columns .quote values"),
        ("a.csv", '"query\n', 1, "check the quotes"),
        ("a.csv", 'query,gold\n\n"c\nd",1\n"e" f,2\ng,3\n', 5, "check the quotes"),
        ("a.csv", "", 1, "has no column 'query'"),
        ("a.jsonl", '{"query": "a"}\n\n{"query": \n', 3, "is not JSON: .* column"),
        ("a.jsonl", '{"query": "a"}\n["b"]\n', 2, "is not a JSON object .one"),
        ("a.jsonl", '{"query": "a"}\n{"qeury": "b"}\n', 2, "has no key 'query' .did you mean 'qeury'"),
        ("a.jsonl", '{"query": ["a"]}\n', 1, "must be text, not list"),
    ],
)
def test_a_record_that_cannot_be_read_names_file_line_and_remedy(tmp_path, name, data, line, message):
    path = put(tmp_path, name, data)
    with pytest.raises(InputError, match=message) as caught:
        read_column(path, "query")
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("data", ["", "\n \n"])
def test_a_file_without_records_says_so(tmp_path, data):
    with pytest.raises(InputError, match="holds no records"):
        read_column(put(tmp_path, "a.txt", data), "query")


def test_files_that_are_not_there_are_input_errors(tmp_path):
    with pytest.raises(InputError, match=r"no such file .looked in"):
        read_text(tmp_path / "none.txt")
    with pytest.raises(InputError, match="is a directory"):
        read_text(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        read_text(put(tmp_path, "file", "x") / "below")


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("a.txt", "\ufeffa \n\n b\r\nc", [(1, "a"), (3, "b"), (4, "c")]),
        ("a.csv", 'query,gold\n"a, b",1\n"c\nd",2\n', [(2, "a, b"), (3, "c\nd")]),
        ("a.CSV", "query,gold\n\na,1,\n", [(3, "a")]),
        ("a.jsonl", '{"query": "a"}\n\n{"query": 3}\n', [(1, "a"), (3, "3")]),
        ("a.jsonl", '{"query": "one\u2028two\u0085three"}\n', [(1, "one\u2028two\u0085three")]),
        ("a.txt", "one\u2028two\x0cthree\n", [(1, "one\u2028two\x0cthree")]),
    ],
)
def test_a_column_is_read_with_its_line_numbers(tmp_path, name, data, expected):
    assert read_column(put(tmp_path, name, data), "query") == expected


def test_what_was_written_is_read_back_line_separators_in_it_or_not(tmp_path):
    rows = [{"text": "a\u2028b\u0085c\r\nd"}, {"text": "ünïcode", "n": 1.5, "none": None}]
    write_jsonl(tmp_path / "deep" / "a.jsonl", rows)
    assert read_jsonl(tmp_path / "deep" / "a.jsonl") == rows
    assert list(parse_jsonl("{}\n\n{}", "x")) == [(1, {}), (3, {})]


def test_json_keeps_order_and_letters_and_refuses_what_is_no_number():
    assert to_json({"b": "ü", "a": 1}) == '{"b": "ü", "a": 1}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(float("nan"))


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch):
    path = put(tmp_path, "a.txt", "old")

    def broken(handle):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(InputError, match=r"a\.txt: cannot be written: disk full"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_every_error_of_ours_is_one_tree_with_an_exit_code():
    assert issubclass(ContextError, InputError)
    assert issubclass(InputError, WinnowError)
    assert str(InputError("is wrong", where="a.txt:3", remedy="mend it")) == "a.txt:3: is wrong (mend it)"
    assert str(InputError("is wrong")) == "is wrong"
    assert [WinnowError.exit_code, ContextError.exit_code, Refused.exit_code] == [1, 2, 4]
    assert nearest("evaluater", ["evaluator", "rounds"]) == "did you mean 'evaluator'?"
    assert nearest("zzz", ["b", "a"]) == "known: a, b"
