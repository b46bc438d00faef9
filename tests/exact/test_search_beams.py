"""Diverse beams, beams with phrases, and the numbers beside best of n, on a model small enough to enumerate."""

from __future__ import annotations

import numpy as np
import pytest

from winnow.models.tabular import Tabular
from winnow.ports.program import run
from winnow.search.beam import beam
from winnow.search.best_of_n import divergence_at, divergence_bound, vote
from winnow.search.diverse_beam import diverse_beam
from winnow.search.found import Found
from winnow.search.phrase_beam import phrase_beam
from winnow.values.errors import InputError
from winnow.values.random import Key
from winnow.values.tree import Tree


def root(model: Tabular) -> Tree:
    return Tree([model.codec.encode("a")])


def written(found: Found) -> list[tuple[int, ...]]:
    return [tuple(found.tree.tokens(int(node))) for node in found.nodes]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_full_width_beam_with_lengths_is_the_enumerated_argmax(seed: int, exponent: float) -> None:
    model = Tabular.random("abc", order=1, key=Key(seed))
    texts = model.enumerate_texts(4, "a")
    score = texts.logprob / np.array([len(tokens) for tokens in texts.tokens]) ** exponent
    program = beam(root(model), 0, width=256, depth=4, end_tokens=(3,), length_exponent=exponent)
    found = run(program, model)
    assert written(found)[0] == texts.tokens[int(np.argmax(score))]
    assert found.rank == pytest.approx(np.sort(score)[::-1], abs=1e-12)
    assert found.logprob == pytest.approx(found.tree.path_logprob(found.nodes), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_full_width_beam_with_phrases_is_the_enumerated_argmax(seed: int) -> None:
    model = Tabular.random("abc", order=2, key=Key(seed))
    texts = model.enumerate_texts(5, "a")

    def holds(tokens: tuple[int, ...]) -> bool:
        text = "".join("abcd"[token] for token in tokens)
        return "bb" in text and "c" in text

    allowed = [index for index, tokens in enumerate(texts.tokens) if holds(tokens)]
    program = phrase_beam(root(model), 0, phrases=[[1, 1], [2]], width=1024, depth=5, end_tokens=(3,))
    found = run(program, model)
    assert set(written(found)) == {texts.tokens[index] for index in allowed}
    assert found.logprob == pytest.approx(np.sort(texts.logprob[allowed])[::-1], abs=1e-12)


@pytest.mark.parametrize("width", [1, 2, 3, 6])
def test_every_text_of_a_narrow_beam_holds_its_phrases(width: int) -> None:
    for seed in range(10):
        model = Tabular.random("abcd", order=2, key=Key(seed))
        found = run(phrase_beam(root(model), 0, phrases=[[3, 3], [1]], width=width, depth=7, end_tokens=(4,)), model)
        assert found.nodes.size
        for tokens in written(found):
            text = "".join(map(str, tokens))
            assert "33" in text
            assert "1" in text


def test_a_phrase_that_cannot_be_is_said() -> None:
    model = Tabular("ab", [[0, 1, 0], [0, 0, 1], [0, 0, 1]])  # after a only b, after b only the end
    with pytest.raises(InputError, match="no text of at most 4 tokens holds all phrases"):
        run(phrase_beam(root(model), 0, phrases=[[0]], width=4, depth=4, end_tokens=(2,)), model)
    with pytest.raises(InputError, match="raise depth"):
        run(phrase_beam(root(model), 0, phrases=[[0, 1, 0]], width=4, depth=2), model)


def test_the_first_group_is_the_plain_beam_and_diversity_spreads_the_others() -> None:
    spread = []
    for seed in range(8):
        model = Tabular.random("abcde", order=1, key=Key(seed))
        plain = run(beam(root(model), 0, width=2, depth=4, end_tokens=(5,)), model)
        sizes = []
        for diversity in (0.0, 2.0):
            program = diverse_beam(root(model), 0, width=6, groups=3, diversity=diversity, depth=4, end_tokens=(5,))
            found = run(program, model)
            assert set(written(plain)) <= set(written(found))
            assert len(set(written(found))) == len(found.nodes)
            assert found.logprob == pytest.approx(found.tree.path_logprob(found.nodes), abs=1e-12)
            sizes.append(len(found.nodes))
        assert sizes[0] == 2  # without a penalty every group is the same beam
        spread.append(sizes[1])
    assert np.mean(spread) > 4


def test_divergence_of_the_best_of_n_is_the_enumerated_one() -> None:
    """KL of the best of n from the model, summed over all pairs and triples, against the closed form."""
    mass, score = np.array([0.1, 0.3, 0.2, 0.4]), np.array([0.0, 1.0, 1.0, 2.0])
    for num in (1, 2, 3):
        best = np.zeros(4)
        for picks in np.ndindex(*(4,) * num):
            winner = max(picks, key=lambda one: score[one])  # the first of equals
            best[winner] += np.prod(mass[list(picks)])
        exact = float((best * np.log(best / mass)).sum())
        assert divergence_at([0.1, 0.5, 0.4], num) == pytest.approx(exact, abs=1e-12)
        assert exact <= divergence_bound(num) + 1e-12
    assert divergence_at(np.full(100_000, 1e-5), 8) == pytest.approx(divergence_bound(8), abs=1e-3)


def test_votes_pool_the_scores_of_equal_answers() -> None:
    votes = vote(["4", "5", " 4", "6"], np.array([0.3, 0.5, 0.4, 0.5]))
    assert [(one.answer, one.times) for one in votes] == [("4", 2), ("5", 1), ("6", 1)]
    assert votes[0].weight == pytest.approx(0.7)
