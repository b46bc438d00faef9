"""Best of n: sample answers, score each, keep the best. The baseline that every search is shown beside.

Selection by rank, not by an exponent: the kept answer's score is the maximum of n draws, P(max <= x) = F(x)^n. Its
divergence from the model is at most log n - (n - 1)/n nats, and that much only where no two answers score alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from winnow.ports.program import Note, Program, ask
from winnow.ports.requests import Complete, Completions, Cost, Evaluate, Item, Prompt, Scores
from winnow.values.logspace import FloatArray
from winnow.values.population import Population, effective_number
from winnow.values.random import Key


class Vote(NamedTuple):
    """Answers that are the same but for surrounding white space, and the scores that speak for them."""

    answer: str
    weight: float  # sum of the scores
    times: int


class BestOfN(NamedTuple):
    """All that was sampled, and which one was kept."""

    best: int  # position of the highest score, the first of equals
    completions: Completions
    scores: Scores
    population: Population  # the texts; equal weights, log_fitness the log of the score
    votes: tuple[Vote, ...]  # by falling weight, ties to the one sampled first
    divergence_bound: float  # nats
    divergence: float  # nats, estimated from the scores at hand

    @property
    def text(self) -> str:
        """The kept answer."""
        return self.completions.text[self.best]


def best_of_n(
    prompt: Prompt,
    *,
    query: str,
    num: int,
    key: Key,
    max_tokens: int,
    stop: Sequence[str] = (),
    temperature: float = 1.0,
    top_p: float = 1.0,
) -> Program[BestOfN]:
    """The best of ``num`` completions of ``prompt``, by the score an evaluator gives each as an answer to ``query``.

    Needs a backend that answers Complete and Evaluate, such as ``Router(model, evaluator)``. Completion i draws from
    ``key`` at slot i, so a larger ``num`` keeps the smaller one's completions. The evaluator reads completions without
    surrounding white space. Cost: ``num`` completions and ``num`` evaluations, in two requests.

    ``votes`` sums the scores of equal answers (weighted majority vote: Wang et al. 2023; Li et al. 2023): with an evaluator
    that says 1 to everything it is the plain majority. ``divergence_bound`` is the bound of ``divergence_bound`` below,
    ``divergence`` the plug-in estimate from the ``num`` scores at hand (see ``divergence_at``), too low by what the sample
    has not seen. Both are about sampling at ``temperature`` and ``top_p``.

    Raises
    ------
    ValueError
        When ``num`` is below one.
    """
    if num < 1:
        raise ValueError(f"best of {num}: at least one is needed")
    completions = yield from ask(
        Complete(
            prompts=(prompt,) * num,
            slots=np.arange(num),
            key=key,
            max_tokens=max_tokens,
            stop=tuple(stop),
            temperature=temperature,
            top_p=top_p,
        )
    )
    yield Note(kind="best_of_n", info={"best": float(completions.logprob.max()), "found": _unscored(completions)})
    scores = yield from ask(Evaluate(items=tuple(Item(query, text.strip()) for text in completions.text)))
    best = int(np.argmax(scores.score))
    with np.errstate(divide="ignore"):
        fitness = np.log(scores.score)
    population = Population(individuals=completions.text, log_weight=np.zeros(num), log_fitness=fitness)
    votes = vote(completions.text, scores.score)
    _, level = np.unique(scores.score, return_counts=True)
    result = BestOfN(
        best, completions, scores, population, votes, divergence_bound(num), divergence_at(level / num, num)
    )
    yield Note(
        kind="best_of_n",
        info={
            "best": float(completions.logprob[best]),
            "score": float(scores.score[best]),
            "mean_score": float(scores.score.mean()),
            "effective_number": effective_number([one.times for one in votes]),
            "divergence": result.divergence,
            "divergence_bound": result.divergence_bound,
            "found": result,
        },
        population=population,
    )
    return result


def _unscored(completions: Completions) -> BestOfN:
    """What is kept if nobody scores the completions: the most probable one stands first."""
    num = len(completions.text)
    unknown = Scores(score=np.full(num, np.nan), parts=({},) * num, cost=Cost())
    population = Population(individuals=completions.text, log_weight=np.zeros(num))
    votes = vote(completions.text, np.ones(num))
    best = int(np.argmax(completions.logprob))
    return BestOfN(best, completions, unknown, population, votes, divergence_bound(num), float("nan"))


def vote(texts: Sequence[str], score: FloatArray) -> tuple[Vote, ...]:
    """Equal texts with their scores summed, by falling weight.

    >>> vote(["4", "5", " 4"], np.array([0.3, 0.5, 0.4]))[0].answer
    '4'
    """
    weight: dict[str, float] = {}
    count: dict[str, int] = {}
    for text, one in zip(texts, score.tolist(), strict=True):
        answer = text.strip()
        weight[answer] = weight.get(answer, 0.0) + one
        count[answer] = count.get(answer, 0) + 1
    return tuple(sorted((Vote(a, w, count[a]) for a, w in weight.items()), key=lambda one: -one.weight))


def divergence_bound(num: int) -> float:
    """log n - (n - 1)/n: nats by which the best of n diverges from the model at most (Stiennon et al. 2020).

    >>> round(divergence_bound(4), 4)
    0.6363
    """
    return float(np.log(num) - (num - 1) / num)


def divergence_at(mass: ArrayLike, num: int) -> float:
    """The divergence itself, for scores of finitely many values (Beirami et al. 2024).

    With F the cumulative mass, the best of n falls on level l with G_l = F_l^n - F_{l-1}^n, and among equals it is drawn as
    the model draws:  KL = sum_l G_l log(G_l / m_l).

    Parameters
    ----------
    mass : ``[L]`` probability of each value of the score, from the lowest value up.

    >>> round(divergence_at([0.5, 0.5], 2), 4)
    0.1308
    """
    mass = np.asarray(mass, np.float64)
    below = np.concatenate([[0.0], np.cumsum(mass) / mass.sum()])
    gain = np.diff(below**num)
    held = gain > 0
    return float((gain[held] * np.log(gain[held] / (mass[held] / mass.sum()))).sum())
