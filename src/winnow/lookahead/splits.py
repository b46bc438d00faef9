"""Where a gain comes from: positions parted by token frequency, entropy, coverage, clause starts and ends of lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from winnow.lookahead.intervals import estimate
from winnow.lookahead.texts import Prepared
from winnow.values.logspace import FloatArray
from winnow.values.random import Key

FEWEST = 100  # positions below which a part is not told
_CLAUSE = ".,;:!?\n"


def parts_of(
    text: Prepared, entropy: FloatArray, covered: np.ndarray, tuning: np.ndarray
) -> Iterator[tuple[str, str, np.ndarray]]:
    """Every split: its name, the part's name, and which positions ``[P]`` are of it."""
    counts = np.bincount(text.token[tuning], minlength=int(text.token.max()) + 1)[text.token]
    for name, value in (("token frequency", counts.astype(np.float64)), ("entropy of the model", entropy)):
        edges = np.quantile(value[tuning], [0.25, 0.5, 0.75])
        part = np.searchsorted(edges, value, side="left")
        for quarter, said in enumerate(("lowest quarter", "second", "third", "highest quarter")):
            yield name, said, part == quarter
    for said, mine in (("begins a beam", covered), ("begins no beam", ~covered)):
        yield "true token", said, mine
    starts = clause_starts(text)
    yield "clause", "first token", starts
    yield "clause", "other tokens", ~starts
    slots = line_ends(text)
    yield "line", "last word (where a rhyme would be)", slots
    yield "line", "elsewhere", ~slots


def clause_starts(text: Prepared) -> np.ndarray:
    """``[P]``: the first token with letters or digits after punctuation, a line break or a document's beginning."""
    found, open_, document = np.zeros(text.token.size, np.bool_), True, -1
    for place, piece in enumerate(text.piece):
        open_ = open_ or text.document[place] != document
        document = int(text.document[place])
        if any(one.isalnum() for one in piece):
            found[place], open_ = open_, False
        last = piece.rstrip(" \t▁")[-1:]
        open_ = open_ or (bool(last) and last in _CLAUSE)
    return found


def line_ends(text: Prepared) -> np.ndarray:
    """``[P]``: tokens of the last word before a line break, punctuation between the two left out."""
    found, looking, inside, document = np.zeros(text.token.size, np.bool_), False, False, -1
    for place in range(text.token.size - 1, -1, -1):
        piece = text.piece[place]
        if text.document[place] != document:
            looking = inside = False
            document = int(text.document[place])
        if "\n" in piece:
            looking, inside = True, False
            continue
        word = any(one.isalnum() for one in piece)
        if looking and word:
            found[place] = inside = True
        if inside and (not word or piece[:1].isspace()):  # the word's beginning has been passed
            looking = inside = False
    return found


def split(
    text: Prepared, gain: FloatArray, entropy: FloatArray, covered: np.ndarray, tuning: np.ndarray, key: Key
) -> list[dict[str, Any]]:
    """A gain ``[P]`` by parts of the reporting half: nats per token within each part, and its share of all positions."""
    here, rows = ~tuning & np.isfinite(gain), []
    for name, part, mine in parts_of(text, entropy, covered, tuning):
        chosen = here & mine
        if chosen.sum() >= FEWEST:
            told = estimate(gain[chosen], text.unit[chosen], key.child(name, part))
            share = float(chosen.sum() / here.sum())
            rows.append({"split": name, "part": part, "share": share, **told._asdict()})
    return rows
