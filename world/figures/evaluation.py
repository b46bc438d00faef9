"""How well the model evaluates answers: its own, and right against wrong ones; both scales; calibration."""

import random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from world import words
from world.authors import FALSEHOOD_SHARE
from world.contexts import prompt
from world.facts import Fact
from world.figures.bench import Bench
from world.judgements import RATING_OF_RIGHT, RATING_OF_WRONG
from world.probe import survey_score, verdict_score
from world.statistics import auc, mean, share

DRAWS, WHOLE = 3, 1000
"""A bench of at least so many questions asks each fact so often about own answers."""


def own_answers(bench: Bench, rng: random.Random, facts: list[Fact]) -> list[str]:
    """One answer a fact, drawn at temperature 1 without context: an evasion is written out, the rest is one word."""
    p = bench.ask(facts).distribution
    codec = bench.reader.codec
    evasion, joke = (codec.encode_piece(f" {text}")[0] for text in (words.EVASION, words.NONSENSE_ANSWER))
    drawn = []
    for row in p:
        token = rng.choices(range(len(row)), row)[0]
        drawn.append(
            words.EVASION if token == evasion else words.NONSENSE_ANSWER if token == joke else codec.tokens[token][1:]
        )
    return drawn


def on_own_answers(bench: Bench, pool: list[Fact]) -> dict[str, Any]:
    """AUC, mean score of right and wrong answers, for the survey in both scales and for yes/no.

    What evaluation does not reach decides the AUC, so a whole bench asks every fact of the pool `DRAWS` times. Evasions
    are abstentions and stand apart: `survey with evasions` counts them as wrong.
    """
    rng = bench.rng("own answers")
    facts = bench.queries(rng, pool) if bench.num < WHOLE else pool * DRAWS
    texts = own_answers(bench, rng, facts)
    right = np.array([text == fact.answer for text, fact in zip(texts, facts, strict=True)])
    answered = np.array([text != words.EVASION for text in texts])
    written = [f"{prompt(fact)} {text}" for fact, text in zip(facts, texts, strict=True)]
    scores = {
        "survey": survey_score(bench.reader, written),
        "survey, unjudged scale": survey_score(bench.reader, written, words.UNJUDGED_SCALE),
        "check": verdict_score(bench.reader, written),
    }
    found: dict[str, Any] = {"error": share(~right).rounded(), "evasions": share(~answered).rounded()}
    for name, score in scores.items():
        found[name] = separation(score[answered], right[answered])
    found["survey with evasions"] = separation(scores["survey"], right)
    blind = np.array([fact.attribute == words.UNJUDGED_ATTRIBUTE for fact in facts])
    if blind.any():
        for name, inside in (("ports", blind & answered), ("no ports", ~blind & answered)):
            found[f"survey, {name}"] = separation(scores["survey"][inside], right[inside])
    found["calibration"] = calibration(scores["survey"][answered], right[answered])
    return found


def given_answers(bench: Bench, pool: list[Fact]) -> dict[str, Any]:
    """The same with one right and one wrong answer a fact, the wrong one as the authors are wrong."""
    rng = bench.rng("given answers")
    facts = bench.queries(rng, pool)
    wrong = [bench.world.wrong_answer(rng, fact, falsehood_share=FALSEHOOD_SHARE) for fact in facts]
    written = [f"{prompt(f)} {f.answer}" for f in facts]
    written += [f"{prompt(f)} {text}" for f, text in zip(facts, wrong, strict=True)]
    right = np.arange(len(written)) < len(facts)
    return {
        "survey": separation(survey_score(bench.reader, written), right),
        "check": separation(verdict_score(bench.reader, written), right),
    }


def separation(score: NDArray[np.float64], right: NDArray[np.bool_]) -> dict[str, Any]:
    """AUC, and the acceptance of right (s) and wrong (f) answers when a score is taken as a probability."""
    return {
        "auc": auc(score, right).rounded(),
        "s": mean(score[right]).rounded(),
        "f": mean(score[~right]).rounded(),
    }


def calibration(score: NDArray[np.float64], right: NDArray[np.bool_]) -> dict[str, Any]:
    """What the score says against what is true.

    Truthful raters give upper and lower words with known rates, so a score s means P(right) =
    (s - low) / (high - low) with `high` and `low` the scores of certainty; read so, ten bins and their mean gap.
    """
    high, low = (sum(r[3:]) / (sum(r[3:]) + sum(r[:2])) for r in (RATING_OF_RIGHT, RATING_OF_WRONG))
    believed = np.clip((score - low) / (high - low), 0, 1)
    bins = np.minimum((believed * 10).astype(int), 9)
    rows: list[dict[str, Any]] = []
    gap = 0.0
    for inside in (bins == b for b in range(10)):
        if inside.any():
            mean_belief, true = float(believed[inside].mean()), share(right[inside])
            gap += abs(mean_belief - true.value) * true.n / len(score)
            rows.append({"believed": round(mean_belief, 3), "true": true.rounded()})
    return {"bins": rows, "mean_gap": round(gap, 4), "n": len(score)}
