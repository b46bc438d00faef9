"""Texts for a study: read from files, turned into tokens, cut into stretches that fit a model's context.

A stretch carries tokens that are only context (the overlap with the one before it) and tokens that are scored; every token
of a text is scored once. Documents, or blocks of 256 scored tokens where there are few documents, are what is drawn again
in a bootstrap: positions of one block are not independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from winnow.ports.requests import Codec, LanguageModel
from winnow.values.errors import ContextError, InputError
from winnow.values.logspace import IntArray
from winnow.values.records import read_column, read_text

BLOCK = 256  # scored tokens of one unit of the bootstrap
BEGINNING = 8  # scored tokens of a text that are looked at by themselves
SCORED = 64  # tokens of one stretch that are scored at most: lookahead from one sees what was fed for the others
ENOUGH = 40  # documents from which on they are the units themselves


@runtime_checkable
class KnowsUnknown(Protocol):
    """A codec that says which token stands for what it cannot write."""

    @property
    def unknown_token(self) -> int | None: ...


class Document(NamedTuple):
    """One text, and where it came from."""

    name: str
    text: str


class Stretch(NamedTuple):
    """Tokens that are looked at together."""

    row: IntArray  # [T], without what the model wants before a text
    begin: int  # the first scored place
    document: int


class Prepared(NamedTuple):
    """Texts as a model reads them; positions in the order in which they are scored."""

    lead: IntArray  # what stands before every row
    stretches: tuple[Stretch, ...]
    token: IntArray  # [P], each scored token
    document: IntArray  # [P]
    unit: IntArray  # [P], what a bootstrap draws: document or block
    units: str  # "documents" or "256-token blocks"
    piece: tuple[str, ...]  # P, text of each token as it continues the text before it
    characters: int


def read_documents(paths: Sequence[str | Path]) -> list[Document]:
    """A file is one document; of .csv and .jsonl every record is one, by its column "text".

    Raises
    ------
    InputError
        Naming file and line.
    """
    documents = []
    for path in map(Path, paths):
        if path.suffix.lower() in (".csv", ".jsonl"):
            documents += [Document(f"{path}:{line}", text) for line, text in read_column(path, "text")]
        else:
            documents.append(Document(str(path), read_text(path)))
    return documents


def prepare(
    documents: Sequence[Document],
    model: LanguageModel,
    *,
    depth: int,
    max_tokens: int | None = None,
    overlap: int | None = None,
) -> Prepared:
    """Cut texts into stretches with room for ``depth`` tokens of lookahead.

    Parameters
    ----------
    max_tokens : at most so many tokens are scored, from the beginning.
    overlap : tokens before a stretch's scored ones that are context; three quarters of a stretch unless given.

    Raises
    ------
    InputError
        When a text has fewer than two tokens, or a character no token (named by file and line); when fewer than two are
        to be scored, or the overlap is below none.
    ContextError
        When the context has no room for the depth.
    """
    for name, given, least in (("max_tokens", max_tokens, 2), ("overlap", overlap, 0)):
        if given is not None and given < least:
            raise InputError(f"must be at least {least}, not {given}", where=name)
    codec = model.codec
    lead = np.array(_lead(codec), np.int64)
    room = model.context_length - depth + 2 - lead.size  # the last scored token is read, never fed
    if room < 2:
        raise ContextError(
            f"{depth} tokens of lookahead leave no room for text, the context holds {model.context_length}",
            where="depth",
            remedy=f"at most {max(1, model.context_length - lead.size)}",
        )
    overlap = 3 * room // 4 if overlap is None else min(overlap, room - 1)
    stretches: list[Stretch] = []
    left = max_tokens if max_tokens is not None else 1 << 62
    for number, document in enumerate(documents):
        tokens = encoded(document, codec, lead.tolist())[: left + (0 if lead.size else 1)]
        mine = _cut(tokens, number, room, overlap, first=0 if lead.size else 1)
        stretches += mine
        left -= sum(stretch.row.size - stretch.begin for stretch in mine)
        if left <= 0:
            break
    token = np.concatenate([one.row[one.begin :] for one in stretches])
    document_of = np.concatenate([np.full(one.row.size - one.begin, one.document) for one in stretches])
    num = np.unique(document_of).size
    unit = document_of if num >= ENOUGH else _blocks(document_of)
    piece = tuple(_pieces(stretches, codec, lead.tolist()))
    return Prepared(
        lead=lead,
        stretches=tuple(stretches),
        token=token,
        document=document_of,
        unit=unit,
        units="documents" if num >= ENOUGH else f"{BLOCK}-token blocks",
        piece=piece,
        characters=sum(map(len, piece)),
    )


def encoded(document: Document, codec: Codec, lead: list[int]) -> list[int]:
    """Tokens of a text, without what stands before every text.

    Raises
    ------
    InputError
        When there are fewer than two, or the tokenizer has none for some character.
    """
    try:
        tokens = codec.encode(document.text) if document.text else []
    except InputError as error:
        raise InputError(str(error), where=_place(document, codec)) from None
    tokens = tokens[len(lead) :] if tokens[: len(lead)] == lead else tokens
    unknown = codec.unknown_token if isinstance(codec, KnowsUnknown) else None
    if unknown is not None and unknown in tokens:
        raise InputError(
            "this model's tokenizer has no token for something here",
            where=_place(document, codec),
            remedy="replace it by what the model knows",
        )
    if len(tokens) < 2:
        raise InputError(
            f"has {len(tokens)} token{'s' * (len(tokens) != 1)}, there is nothing to predict",
            where=document.name,
            remedy="give a longer text, or leave it out",
        )
    return tokens


def _lead(codec: Codec) -> list[int]:
    """What a model wants before a text; nothing where it can begin from nothing."""
    return codec.encode("")


def _cut(tokens: Sequence[int], number: int, room: int, overlap: int, first: int) -> list[Stretch]:
    """Stretches of one text. Its beginning is one by itself: the others then have a context that only they have."""
    row = np.array(tokens, np.int64)
    found = [Stretch(row[: first + BEGINNING], first, number)]
    start = first + BEGINNING
    while start < row.size:
        begin = 0 if start == first + BEGINNING else max(0, start - overlap)
        end = min(row.size, begin + room, start + SCORED)
        found.append(Stretch(row[begin:end], start - begin, number))
        start = end
    return found


def _blocks(document: IntArray) -> IntArray:
    """Blocks of BLOCK scored tokens, none across a document's border."""
    unit, number, before = np.zeros(document.size, np.int64), -1, -1
    run = 0
    for place, one in enumerate(document.tolist()):
        if one != before or run == BLOCK:
            number, run, before = number + 1, 0, one
        unit[place], run = number, run + 1
    return unit


def _pieces(stretches: Sequence[Stretch], codec: Codec, lead: list[int]) -> list[str]:
    """Each scored token's text, decoded behind a token that has one, so that spaces come out as written."""
    known: dict[int, str] = {}
    everything = np.unique(np.concatenate([one.row for one in stretches])).tolist()
    anchor = next((token for token in everything if codec.decode([token]).strip().isalnum()), None)
    before = "" if anchor is None else codec.decode([anchor])
    for token in everything:
        both = codec.decode([token] if anchor is None else [anchor, token])
        known[token] = both[len(before) :] if both.startswith(before) else codec.decode([token])
    return [known[token] for one in stretches for token in one.row[one.begin :].tolist()]


def unwritable(text: str, codec: Codec) -> str | None:
    """The first character that a tokenizer has no token for; None where it can write the whole text."""
    unknown = codec.unknown_token if isinstance(codec, KnowsUnknown) else None

    def bad(text: str) -> bool:
        try:
            tokens = codec.encode(text) if text else []
        except InputError:
            return True
        return unknown is not None and unknown in tokens

    return next((one for one in text if bad(one)), text[:20]) if bad(text) else None


def _place(document: Document, codec: Codec) -> str:
    """File, line and character of the first thing without a token."""
    for number, line in enumerate(document.text.split("\n"), 1):
        if (character := unwritable(line, codec)) is not None:
            return f"{document.name}:{number}: {character!r}"
    return f"{document.name}:1: {chr(10)!r}"
