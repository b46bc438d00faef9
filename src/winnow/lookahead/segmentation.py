"""Ways to put the spaces back, side by side: what looking further ahead is worth, between a floor and a ceiling."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from winnow.lookahead.clusters import Interval, bootstrap
from winnow.lookahead.unspaced import Alphabet, Line, hits, longest_match, most_probable_words, rates
from winnow.lookahead.words import Segmented, forward, segment, spelled
from winnow.ports.program import Program
from winnow.values.logspace import FloatArray
from winnow.values.random import Key

FLOOR, WORDS, FORWARD, GREEDY, OPTIMUM = (
    "longest match (floor)",
    "independent words, best",
    "forward pass alone",
    "greedy, 1 character ahead",
    "to the end (ceiling)",
)
BLOCK = 20  # lines that are segmented together


class Way(NamedTuple):
    """How one way does on all lines; every interval is over lines."""

    name: str
    precision: Interval  # of spaces, over all lines together
    recall: Interval
    f1: Interval
    whole: Interval  # share of lines without a mistake
    gain: Interval | None  # F1 less that of greedy, on the same lines


class Report(NamedTuple):
    """All ways, and what is known of the ceiling."""

    ways: list[Way]
    num_lines: int
    num_spaces: int
    num_characters: int
    proven: float  # share of lines whose optimum is proven
    truth_higher: float  # share of lines whose own spacing is more probable than what was found: the search's mistakes
    found_higher: float  # share of lines where what was found is more probable than their own spacing: the model's
    logprob: tuple[float, float]  # nats a line, mean: found, and the line's own

    @property
    def verdict(self) -> str:
        """One sentence."""
        ways = {way.name: way for way in self.ways}
        floor, alone, greedy, top = (ways[name] for name in (FLOOR, FORWARD, GREEDY, OPTIMUM))
        assert floor.gain is not None
        assert top.gain is not None
        than = "better than" if floor.gain.high < 0 else "worse than" if floor.gain.low > 0 else "not told apart from"
        return (
            f"Left to right, one character ahead, it segments with F1 {_said(greedy.f1)}, {than} the longest match's "
            f"{floor.f1.value:.3f}; the forward pass alone with {_said(alone.f1)}; looking to the end of the line adds "
            f"{_said(top.gain, '+')}, to {top.f1.value:.3f}; n = {self.num_lines} lines, {self.num_spaces} spaces."
        )


def _said(one: Interval, sign: str = "") -> str:
    return f"{one.value:{sign}.3f} ({one.low:{sign}.3f} to {one.high:{sign}.3f})"


def compare(
    lines: Sequence[Line],
    alphabet: Alphabet,
    lexicon: Mapping[str, int],
    *,
    width: int,
    lags: Sequence[int] = (),
    memory: int | None = None,
    key: Key,
    draws: int = 2000,
) -> Program[Report]:
    """Every way on the same lines.

    Parameters
    ----------
    lexicon : words and their counts, of other text.
    width, memory : of the ceiling and of the lags, see ``winnow.lookahead.words.segment``.
    lags : characters ahead after which a space is decided, each a way of its own.
    """

    def search(width: int, lag: int | None = None, memory: int | None = None) -> Program[Segmented]:
        return _in_blocks(lines, lambda few: segment(few, alphabet, width=width, lag=lag, memory=memory))

    found: dict[str, Segmented] = {FORWARD: (yield from _in_blocks(lines, lambda few: forward(few, alphabet)))}
    found[GREEDY] = yield from search(1)
    for lag in lags:
        found[f"decided {lag} characters ahead"] = yield from search(width, lag, memory)
    top = found[OPTIMUM] = yield from search(width, None, memory)
    own = yield from spelled(lines, alphabet)
    counts = {
        FLOOR: hits([longest_match(line.characters, lexicon) for line in lines], lines),
        WORDS: hits([most_probable_words(line.characters, lexicon) for line in lines], lines),
        **{name: hits(one.spaced, lines) for name, one in found.items()},
    }
    return Report(
        ways=_ways(counts, key=key, draws=draws),
        num_lines=len(lines),
        num_spaces=int(sum(line.spaced.sum() for line in lines)),
        num_characters=sum(len(line.characters) for line in lines),
        proven=float(top.proven.mean()),
        truth_higher=float((own > top.logprob + 1e-4).mean()),
        found_higher=float((top.logprob > own + 1e-4).mean()),
        logprob=(float(top.logprob.mean()), float(own.mean())),
    )


def _in_blocks(lines: Sequence[Line], way: Callable[[Sequence[Line]], Program[Segmented]]) -> Program[Segmented]:
    """A way on few lines at a time: a model's work on one tree grows faster than the tree."""
    parts = []
    for start in range(0, len(lines), BLOCK):
        parts.append((yield from way(lines[start : start + BLOCK])))
    return Segmented(
        [marks for part in parts for marks in part.spaced],
        np.concatenate([part.logprob for part in parts]),
        np.concatenate([part.proven for part in parts]),
    )


def _ways(counts: Mapping[str, FloatArray], *, key: Key, draws: int) -> list[Way]:
    every = np.stack(list(counts.values()), axis=1)  # [N, ways, 4]
    greedy = list(counts).index(GREEDY)

    def statistic(weight: FloatArray) -> FloatArray:
        total = np.tensordot(weight, every, axes=1)  # [ways, 4]
        three = rates(total)
        gain = three[:, 2] - three[greedy, 2]
        return np.column_stack([three, total[:, 3] / weight.sum(), gain]).ravel()

    value, replicates = bootstrap(statistic, range(len(every)), key=key, draws=draws)
    estimates = [Interval.of(*pair) for pair in zip(value, replicates.T, strict=True)]
    five = [estimates[start : start + 5] for start in range(0, len(estimates), 5)]
    return [
        Way(name, precision, recall, f1, whole, None if name == GREEDY else gain)
        for name, (precision, recall, f1, whole, gain) in zip(counts, five, strict=True)
    ]
