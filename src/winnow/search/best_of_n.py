"""Best of n: sample answers, score each, keep the best. The baseline that every search is shown beside.

Selection by rank, not by an exponent: the kept answer's score is the maximum of n draws, P(max <= x) = F(x)^n. Its
divergence from the model is at most log n - (n - 1)/n nats.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from winnow.ports.program import Note, Program, ask
from winnow.ports.requests import Complete, Completions, Evaluate, Item, Prompt, Scores
from winnow.values.population import Population, effective_number
from winnow.values.random import Key


class BestOfN(NamedTuple):
    """All that was sampled, and which one was kept."""

    best: int  # position of the highest score, the first of equals
    completions: Completions
    scores: Scores
    population: Population  # the texts; equal weights, log_fitness the log of the score

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
    scores = yield from ask(Evaluate(items=tuple(Item(query, text.strip()) for text in completions.text)))
    best = int(np.argmax(scores.score))
    with np.errstate(divide="ignore"):
        fitness = np.log(scores.score)
    population = Population(individuals=completions.text, log_weight=np.zeros(num), log_fitness=fitness)
    _, counts = np.unique(np.array([text.strip() for text in completions.text]), return_counts=True)
    yield Note(
        kind="best_of_n",
        info={
            "best": completions.text[best],
            "score": float(scores.score[best]),
            "mean_score": float(scores.score.mean()),
            "effective_number": effective_number(counts),
        },
        population=population,
    )
    return BestOfN(best, completions, scores, population)
