"""Equations (3), (4) and (5) against enumeration on a model small enough to enumerate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.special import logsumexp

from winnow.lookahead.amplify import amplify
from winnow.lookahead.beams import beams
from winnow.lookahead.mixing import first_tokens, mixed
from winnow.lookahead.particles import futures, power_marginal
from winnow.models.tabular import Tabular
from winnow.ports.asking import ask_all, next_logprobs
from winnow.ports.program import run
from winnow.ports.requests import LogProb, NextToken
from winnow.values.random import Key
from winnow.values.tree import Tree

MODEL = Tabular.random("abc", order=2, key=Key(7))
SIZE, END = 4, 3
HEAD = [0, 1]


def table(tokens: Sequence[int]) -> np.ndarray:
    return np.log(MODEL.table[MODEL._state(tokens)])


def every_future(head: Sequence[int], depth: int) -> list[tuple[tuple[int, ...], float]]:
    """All texts of ``depth`` tokens, those that end earlier as they are, with their log-probabilities."""
    live: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
    for _ in range(depth):
        live = [
            longer
            for tokens, logprob in live
            for longer in (
                [(tokens, logprob)]
                if tokens and tokens[-1] == END
                else [((*tokens, v), logprob + float(table([*head, *tokens])[v])) for v in range(SIZE)]
            )
        ]
    return live


def by_hand(head: Sequence[int], depth: int, power: float) -> np.ndarray:
    """First-token marginal of p^power over all futures."""
    q = np.zeros(SIZE)
    for tokens, logprob in every_future(head, depth):
        q[tokens[0]] += np.exp(power * logprob)
    return q / q.sum()


def found(head: Sequence[int], width: int, depth: int):
    tree = Tree([head])
    p = next_logprobs(MODEL, [head])
    program = beams(tree, np.array([0]), p, widths=(width,), depth=depth, end_tokens=(END,))
    return run(program, MODEL)[width]


def power_q(head: Sequence[int], depth: int, power: float, num: int, seed: int = 0, slot: int = 0) -> np.ndarray:
    tree, p = Tree([head]), next_logprobs(MODEL, [head])
    program = futures(
        tree, np.array([0]), p, powers=(power,), depth=depth, num=num, key=Key(seed), slots=np.array([slot]),
        end_tokens=(END,),
    )  # fmt: skip
    return np.exp(power_marginal(p, run(program, MODEL)[0, -1], power))[0]


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("average", [0.0, 0.5, 1.0, 2.0])
def test_full_width_beams_equal_enumeration(depth, average):
    best = found(HEAD, SIZE**depth, depth)
    q = first_tokens(best.first[-1], best.logprob[-1], SIZE, average=average)[0]
    every = every_future(HEAD, depth)
    expected = np.zeros(SIZE)
    for tokens, logprob in every:
        expected[tokens[0]] += np.exp(average * logprob)
    np.testing.assert_allclose(q, expected / expected.sum(), atol=1e-12)
    kept = best.logprob[-1][0]
    np.testing.assert_allclose(np.sort(kept[np.isfinite(kept)]), np.sort([x for _, x in every]), atol=1e-12)


@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize("average", [0.0, 1.0])
def test_narrow_beams_equal_a_beam_written_out_by_hand(width, average):
    live: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
    for depth in range(1, 5):
        grown = [
            longer
            for tokens, logprob in live
            for longer in (
                [(tokens, logprob)]
                if tokens and tokens[-1] == END
                else [((*tokens, v), logprob + float(table([*HEAD, *tokens])[v])) for v in range(SIZE)]
            )
        ]
        live = sorted(grown, key=lambda one: -one[1])[:width]
        best = found(HEAD, width, depth)
        assert [t[0] for t, _ in live] == best.first[-1][0].tolist()
        np.testing.assert_allclose([x for _, x in live], best.logprob[-1][0], atol=1e-12)
        weight = np.exp([average * x for _, x in live])
        expected = np.array([weight[[t[0] == v for t, _ in live]].sum() for v in range(SIZE)]) / weight.sum()
        q = first_tokens(best.first[-1], best.logprob[-1], SIZE, average=average)[0]
        np.testing.assert_allclose(q, expected, atol=1e-12)


def test_widths_and_depths_of_one_pass_are_those_of_a_pass_each():
    heads = [[0], [1, 2], [2, 2, 1, 0], [0, 0]]
    tree = Tree(heads)
    p = next_logprobs(MODEL, heads)
    together = run(beams(tree, np.arange(4), p, widths=(1, 2, 5), depth=4, end_tokens=(END,)), MODEL)
    for width in (1, 2, 5):
        for place, head in enumerate(heads):
            for depth in (1, 2, 3, 4):
                alone = found(head, width, depth)
                np.testing.assert_array_equal(together[width].first[depth - 1, place], alone.first[-1][0])
                np.testing.assert_array_equal(together[width].logprob[depth - 1, place], alone.logprob[-1][0])


@pytest.mark.parametrize("mixing", ["linear", "geometric"])
@pytest.mark.parametrize("weight", [0.3, 0.7, 1.0])
def test_the_mixture_is_equation_4(mixing, weight):
    p, q, cover = np.exp(table(HEAD)), np.array([0.6, 0.4, 0.0, 0.0]), 0.1
    covered = (1 - cover) * q + cover * p
    expected = (1 - weight) * p + weight * covered if mixing == "linear" else p ** (1 - weight) * covered**weight
    got = np.exp(mixed(np.log(p)[None], q[None], weight=weight, cover=cover, mixing=mixing))[0]
    np.testing.assert_allclose(got, expected / expected.sum(), atol=1e-12)
    assert got.min() > 0


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("power", [0.5, 1.5, 2.0, 3.0])
def test_full_width_with_average_a_is_power_a_and_both_are_enumeration(depth, power):
    expected = by_hand(HEAD, depth, power)
    wide = found(HEAD, SIZE**depth, depth)
    np.testing.assert_allclose(
        first_tokens(wide.first[-1], wide.logprob[-1], SIZE, average=power)[0], expected, atol=1e-12
    )
    if depth <= 2:  # nothing is drawn: exact
        np.testing.assert_allclose(power_q(HEAD, depth, power, 1), expected, atol=1e-12)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_power_one_is_the_model(depth):
    for seed in range(3):
        np.testing.assert_allclose(power_q(HEAD, depth, 1.0, 2, seed), np.exp(table(HEAD)), atol=1e-9, rtol=0)
    full = found(HEAD, SIZE**depth, depth)
    q = first_tokens(full.first[-1], full.logprob[-1], SIZE, average=1.0)
    np.testing.assert_allclose(q, np.exp(table(HEAD))[None], atol=1e-9, rtol=0)


def test_a_large_power_gives_the_first_token_of_the_most_probable_path_and_average_one_does_not():
    """On a table where greedy, beam-averaged and most probable path part ways."""
    weight = np.array([[0.4, 0.6, 0.0], [0.9, 0.1, 0.0], [0.5, 0.5, 0.0]])
    weight[0], weight[1], weight[2] = [0.98, 0.01, 0.01], [0.25, 0.25, 0.5], [0.45, 0.55, 0.0]
    model = Tabular("ab", weight)  # after a: surely a; after b: anything; at the start b is the more probable
    p = next_logprobs(model, [[]])
    tree = Tree([[]])
    wide = run(beams(tree, np.array([0]), p, widths=(64,), depth=3, end_tokens=(2,)), model)[64]
    assert p[0].argmax() == 1
    assert wide.first[-1][0, 0] == 0  # the most probable path begins with a
    large = first_tokens(wide.first[-1], wide.logprob[-1], 3, average=200.0)[0]
    assert large[0] == pytest.approx(1.0, abs=1e-9)
    one = first_tokens(wide.first[-1], wide.logprob[-1], 3, average=1.0)[0]
    assert one.argmax() == 1
    ahead = amplify(model, depth=3, power=200.0, weight=1.0, num_futures=64)
    assert next_logprobs(ahead, [[]])[0].argmax() == 0


def test_weight_zero_is_the_model_to_the_bit():
    for settings in ({"average": 0.0}, {"power": 3.0}, {"mixing": "geometric"}):
        ahead = amplify(MODEL, 2, 3, weight=0.0, **settings)
        heads = [[0], [1, 2], []]
        np.testing.assert_array_equal(next_logprobs(ahead, heads), next_logprobs(MODEL, heads))
        request = LogProb(prompts=("a", "bc"), continuations=(("b", "cc"), ("ab",)))
        mine, theirs = ask_all(ahead, [request])[0], ask_all(MODEL, [request])[0]
        assert all(np.array_equal(a, b) for a, b in zip(mine.logprob, theirs.logprob, strict=True))


@pytest.mark.parametrize("power", [2.0, 4.0, 0.5])
def test_each_unnormalised_term_is_unbiased(power):
    """Mean over 3,000 independent estimates within 3 standard errors of the enumerated expectation, at depth 4."""
    depth, repeats = 4, 3000
    p = next_logprobs(MODEL, [HEAD])
    tree = Tree([HEAD])
    program = futures(
        tree, np.zeros(repeats, np.int64), np.repeat(p, repeats, axis=0), powers=(power,), depth=depth, num=1,
        key=Key(11), slots=np.arange(repeats), end_tokens=(END,),
    )  # fmt: skip
    term = np.exp(power * p + run(program, MODEL)[0, -1])  # [repeats, V]
    total = np.zeros(SIZE)
    for tokens, logprob in every_future(HEAD, depth):
        total[tokens[0]] += np.exp(power * logprob)
    error = term.std(axis=0, ddof=1) / np.sqrt(repeats)
    assert error[:END].min() > 0  # something was drawn
    assert np.all(np.abs(term.mean(axis=0) - total)[:END] <= 3 * error[:END])
    assert term.mean(axis=0)[END] == pytest.approx(total[END])  # an end has no future


def test_the_ratio_is_biased_at_few_futures_and_the_bias_falls():
    """What the normalised estimate is off by, in the mean over 400 positions: falls about as 1 / futures."""
    depth, power, repeats, head = 4, 2.0, 400, [1]
    truth = by_hand(head, depth, power)
    p = np.repeat(next_logprobs(MODEL, [head]), repeats, axis=0)
    bias, error = [], []
    for num in (1, 4, 16):
        program = futures(
            Tree([head]), np.zeros(repeats, np.int64), p, powers=(power,), depth=depth, num=num, key=Key(5),
            slots=np.arange(repeats), end_tokens=(END,),
        )  # fmt: skip
        q = np.exp(power_marginal(p, run(program, MODEL)[0, -1], power))
        bias.append(np.abs(q.mean(axis=0) - truth).max())
        error.append((q.std(axis=0) / np.sqrt(repeats)).max())
    assert bias[0] > 3 * error[0], "biased at one future, measurably"
    assert bias[2] < bias[0] / 4  # measured .051, .016, .006


def test_first_tokens_that_are_not_followed_cost_nothing_and_power_one_stays_the_model():
    p = next_logprobs(MODEL, [HEAD])
    few = futures(
        Tree([HEAD]), np.array([0]), p, powers=(1.0, 2.0), depth=3, num=4, key=Key(0), slots=np.array([0]),
        end_tokens=(END,), least=0.3,
    )  # fmt: skip
    expectation = run(few, MODEL)
    np.testing.assert_allclose(np.exp(power_marginal(p, expectation[0, -1], 1.0)), np.exp(p), atol=1e-9)
    assert logsumexp(power_marginal(p, expectation[1, -1], 2.0)) == pytest.approx(0.0, abs=1e-12)


def test_reductions_come_from_the_amplified_distribution():
    ahead = amplify(MODEL, 2, 3, weight=0.4)
    tree = Tree([HEAD, [2]])
    full = ask_all(ahead, [NextToken(tree=tree, nodes=np.array([1, 0, 1]))])[0].logprob
    top = ask_all(ahead, [NextToken(tree=tree, nodes=np.array([1, 0, 1]), top=2)])[0]
    np.testing.assert_allclose(np.take_along_axis(full, top.token, axis=1), top.logprob)
    best = found(HEAD, 2, 3)
    q = first_tokens(best.first[-1], best.logprob[-1], SIZE, average=1.0)[0]
    p = np.exp(table(HEAD))
    np.testing.assert_allclose(np.exp(full[1]), 0.6 * p + 0.4 * (0.95 * q + 0.05 * p), atol=1e-12)
