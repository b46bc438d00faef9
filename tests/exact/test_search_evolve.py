"""Editing with a masked model whose conditionals are exact: fixed words, lineage, and the Gibbs baseline's balance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise, product

import numpy as np
import pytest

from winnow.models.masked_tabular import joint_of, tabular_masked
from winnow.ports.program import Note, Program, run
from winnow.search.breeding import Opened, Text, cross, fill, open_span, pseudo_logprob
from winnow.search.evolve import Breeding, Evolved, evolve, gibbs
from winnow.search.parents import SCHEMES, Candidates, Selection, num_uniforms, parents
from winnow.values.logspace import FloatArray
from winnow.values.random import Key, uniforms

LENGTH = 4
MODEL = tabular_masked("abc", length=LENGTH)
JOINT = joint_of("abc", length=LENGTH)


def logjoint(texts: Sequence[Text]) -> Program[FloatArray]:
    return np.array([[np.log(JOINT[text.tokens])] for text in texts])
    yield ()


def start(num: int, fixed: tuple[bool, ...] = (True, False, False, False)) -> list[Text]:
    numbers = uniforms(Key(9), "start", np.arange(num), LENGTH)
    return [Text((1, *(int(3 * u) for u in row[1:])), fixed) for row in numbers]


class Notes:
    def __init__(self) -> None:
        self.found: list[Evolved] = []

    def on_note(self, note: Note) -> None:
        self.found.append(note.info["found"])

    def on_reply(self, done: int, asked: int, cost: object) -> None:
        pass


@pytest.mark.parametrize("scheme", SCHEMES)
def test_fixed_words_stay_and_the_best_never_falls(scheme: str) -> None:
    watcher = Notes()
    fixed = (True, False, True, False)
    texts = [Text((1, a, 2, b), fixed) for a, b in product(range(3), repeat=2)]
    program = evolve(texts, fitness=logjoint, rounds=12, key=Key(1), selection=Selection(scheme))
    run(program, MODEL, observer=watcher)
    best = [found.fitness.max() for found in watcher.found[1:]]  # the first is told before anything is asked
    assert all(later >= earlier for earlier, later in pairwise(best))
    for found in watcher.found:
        assert all(text.tokens[0] == 1 and text.tokens[2] == 2 and text.fixed == fixed for text in found.texts)


def test_the_best_text_given_the_fixed_words_is_found() -> None:
    found = run(evolve(start(12), fitness=logjoint, rounds=25, key=Key(2)), MODEL)
    assert isinstance(found, Evolved)
    assert JOINT[found.texts[found.best].tokens] == JOINT[1].max()


def test_descent_goes_back_to_the_first_texts() -> None:
    found = run(evolve(start(6), fitness=logjoint, rounds=5, key=Key(3), breeding=Breeding(recombine=1.0)), MODEL)
    parents_of = Counter(found.lineage.child.tolist())
    assert max(parents_of.values()) == 2
    for member in found.members.tolist():
        assert member < 6 or min(found.lineage.ancestors([member])) < 6


def test_crossing_keeps_each_fixed_word_once_and_in_order() -> None:
    one = Text((7, 1, 2, 8, 3, 9), (True, False, False, True, False, True))
    other = Text((7, 4, 8, 5, 6, 6, 9), (True, False, True, False, False, False, True))
    seen = set()
    for numbers in uniforms(Key(0), "cross", np.arange(300), 2):
        text, share = cross(one, other, numbers.tolist())
        kept = [token for token, stays in zip(text.tokens, text.fixed, strict=True) if stays]
        assert kept == [7, 8, 9]
        assert 0 < share <= 1
        seen.add(text.tokens)
    assert len(seen) > 5


def test_opening_never_touches_a_fixed_place_and_resizes_by_one() -> None:
    text = Text((7, 1, 2, 8, 3, 9), (True, False, False, True, False, True))
    lengths = Counter[int]()
    for numbers in uniforms(Key(0), "open", np.arange(400), 4):
        opened, hidden = open_span(text, numbers.tolist(), span=3, resize=0.5)
        assert all(not opened.fixed[place] for place in hidden)
        assert hidden == tuple(range(hidden[0], hidden[0] + len(hidden)))
        kept = [token for token, stays in zip(opened.tokens, opened.fixed, strict=True) if stays]
        assert kept == [7, 8, 9]
        lengths[len(opened.tokens) - len(text.tokens)] += 1
    assert set(lengths) == {-1, 0, 1}


def test_filling_a_span_draws_from_the_joint_given_the_rest() -> None:
    num = 4000
    opened = [Opened(Text((1, 0, 0, 2), (True, False, False, True)), (1, 2))] * num
    filled = run(fill(opened, uniforms(Key(0), "fill", np.arange(num), 2)), MODEL)
    truth = JOINT[1, :, :, 2] / JOINT[1, :, :, 2].sum()
    counts = Counter(text.tokens[1:3] for text in filled)
    for pair in product(range(3), repeat=2):
        error = np.sqrt(truth[pair] * (1 - truth[pair]) / num)
        assert abs(counts[pair] / num - truth[pair]) <= 3.5 * error


def test_gibbs_keeps_detailed_balance() -> None:
    """Chains begun in the joint: each pair of states is crossed as often one way as the other, and the joint stays."""
    chains, rounds = 400, 40
    states = list(product(range(3), repeat=LENGTH - 1))
    weight = np.array([JOINT[(1, *state)] for state in states])
    weight /= weight.sum()
    drawn = np.searchsorted(np.cumsum(weight), uniforms(Key(4), "begin", np.arange(chains))[:, 0])
    first = [Text((1, *states[min(one, len(states) - 1)]), (True, False, False, False)) for one in drawn]
    watcher = Notes()
    run(gibbs(first, fitness=logjoint, rounds=rounds, key=Key(5)), MODEL, observer=watcher)
    walks = [first, *(found.texts for found in watcher.found)]
    flow = Counter[tuple[tuple[int, ...], tuple[int, ...]]]()
    for before, after in pairwise(walks):
        flow.update((a.tokens, b.tokens) for a, b in zip(before, after, strict=True) if a.tokens != b.tokens)
    pairs = {tuple(sorted(pair)) for pair in flow}
    excess = [(flow[a, b] - flow[b, a]) / np.sqrt(flow[a, b] + flow[b, a]) for a, b in pairs]
    assert len(excess) > 50
    assert np.mean(np.square(excess)) == pytest.approx(1.0, abs=4 * np.sqrt(2 / len(excess)))  # a mean of chi-squares
    last = Counter(text.tokens[1:] for text in walks[-1])
    chi = sum((last[s] - chains * w) ** 2 / (chains * w) for s, w in zip(states, weight, strict=True))
    assert chi <= len(states) + 4 * np.sqrt(2 * len(states))


def test_pseudo_log_likelihood_is_the_sum_of_conditionals() -> None:
    text = Text((1, 0, 2, 1), (True, False, False, False))
    total, count = run(pseudo_logprob([text]), MODEL)
    expected = 0.0
    for place in (1, 2, 3):
        index = tuple(slice(None) if at == place else token for at, token in enumerate(text.tokens))
        row = JOINT[index]
        expected += float(np.log(row[text.tokens[place]] / row.sum()))
    assert total == pytest.approx([expected])
    assert count.tolist() == [3]


def test_selection_prefers_the_fit_each_in_its_way() -> None:
    fitness = np.arange(10.0)[:, None]
    distance = np.abs(fitness - fitness.T) / 10
    for scheme in SCHEMES:
        how = Selection(scheme)
        chosen = parents(
            Candidates(fitness, distance), how, uniforms(Key(1), scheme, np.arange(2000), num_uniforms(how, 1))
        )
        if scheme == "novelty":
            assert np.isin(chosen, [0, 9]).mean() > 0.4  # the ends lie apart
        else:
            assert chosen.mean() > 6
    # a tournament of three: P(the best is picked) = 1 - (9/10)^3
    how = Selection("tournament", size=3)
    picks = parents(Candidates(fitness, distance), how, uniforms(Key(2), "t", np.arange(4000), 3))
    truth = 1 - 0.9**3
    assert abs((picks == 9).mean() - truth) <= 3 * np.sqrt(truth * (1 - truth) / 4000)


def test_lexicase_keeps_specialists() -> None:
    fitness = np.array([[1.0, 0.0], [0.0, 1.0], [0.45, 0.45], [0.0, 0.0], [0.0, 0.0], [0.1, 0.1]])
    how = Selection("lexicase")
    picks = parents(Candidates(fitness, np.zeros((6, 6))), how, uniforms(Key(3), "l", np.arange(500), 3))
    assert set(picks.tolist()) == {0, 1}


@pytest.mark.parametrize(("texts", "message"), [
    ([], "at least one text"),
    ([Text((1, 1, 1, 1), (True,) * 4)], "nothing that may be changed"),
])  # fmt: skip
def test_what_cannot_be_edited_is_refused(texts: list[Text], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(evolve(texts, fitness=logjoint, rounds=2, key=Key(0)), MODEL)
    with pytest.raises(ValueError, match="did you mean 'soft'"):
        run(evolve(start(2), fitness=logjoint, rounds=2, key=Key(0), selection=Selection("soff")), MODEL)
