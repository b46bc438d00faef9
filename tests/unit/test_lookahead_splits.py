"""Clause starts and ends of lines are where a reader would put them; documents are read as their files say."""

from __future__ import annotations

import json

import numpy as np
import pytest

from winnow.lookahead.splits import clause_starts, line_ends
from winnow.lookahead.texts import BLOCK, Document, encoded, prepare, read_documents
from winnow.models.tabular import Tabular
from winnow.values.errors import InputError
from winnow.values.random import Key

LETTERS = "abcdefghijklmnopqrstuvwxyzT ,.\n"
MODEL = Tabular.random(LETTERS, order=0, key=Key(1), context_length=64)
WORDS = Tabular.random(["The", " cat", " sat", " here", ",", " and", " purred", ".", "\n", "\nIt"], order=0)


def marked(which, text: str, model: Tabular = MODEL) -> str:
    """The text with its marked tokens in capitals, the first token left out: nothing stands before it."""
    prepared = prepare([Document("x", text)], model, depth=2)
    found = which(prepared)
    return "".join(piece.upper() if one else piece for piece, one in zip(prepared.piece, found, strict=True))


def test_clauses_start_after_punctuation():
    assert marked(clause_starts, " the cat sat, and purred. it") == "The cat sat, And purred. It"
    assert marked(clause_starts, "The cat sat here, and purred.\nIt sat", WORDS) == (
        " CAT sat here, AND purred.\nIT sat"
    )


def test_the_last_word_of_a_line_is_where_a_rhyme_would_be():
    assert marked(line_ends, "the cat sat\non a mat.\nend") == "he cat SAT\non a MAT.\nend"
    assert marked(line_ends, "The cat sat here.\n cat", WORDS) == " cat sat HERE.\n cat"


def test_every_token_is_scored_once_and_blocks_do_not_cross_documents():
    texts = [Document(str(i), "the cat sat on a mat. " * n) for i, n in enumerate((1, 30, 3))]
    prepared = prepare(texts, MODEL, depth=5)
    assert prepared.characters == prepared.token.size == sum(len(one.text) - 1 for one in texts)
    for unit in np.unique(prepared.unit):
        mine = prepared.unit == unit
        assert mine.sum() <= BLOCK
        assert np.unique(prepared.document[mine]).size == 1
    for one in prepared.stretches:
        assert one.row.size - 1 + 5 - 1 <= MODEL.context_length
        assert one.begin > 0


def test_a_limit_of_tokens_is_kept():
    prepared = prepare([Document("x", "the cat " * 60)], MODEL, depth=2, max_tokens=100)
    assert prepared.token.size == 100


def test_records_are_documents_and_errors_name_the_line(tmp_path):
    file = tmp_path / "texts.jsonl"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in ("the cat", "a mat", "x")))
    documents = read_documents([file])
    assert [one.name for one in documents] == [f"{file}:{n}" for n in (1, 2, 3)]
    with pytest.raises(InputError, match=r"texts\.jsonl:3.*1 token,"):
        prepare(documents, MODEL, depth=2)
    with pytest.raises(InputError, match=r"x:2: 'Z'"):
        encoded(Document("x", "the cat\nthe Zebra"), MODEL.codec, [])
