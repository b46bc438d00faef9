"""What a round changed: the numbers of the ledger, each with what it was measured on.

Keys of a round's record (``None`` where a thing is not known, never a guess):

    round, queries, answers    its number; different queries asked, answers written
    error, error_interval      share not right, with its 95 % Wilson interval (gold only)
    kinds                      shares of right, wrong, abstained (gold only)
    predicted                  {"one_step": {"error", "interval", "kinds"}, "free_running": the same}
    accepted, num_accepted     share and number that selection kept
    accepted_error             share of the kept that is not right: what the next context holds (gold only)
    abstentions                share of answers that abstain (known without gold: the task lists them)
    sensitivity, false_positive_rate   probability of survival given right, given wrong (gold only)
    effective_number           exp(entropy) of the answers' texts: how many different answers this round is worth
    mean_score                 of all answers, an empty one counting 0
    off_scale                  mean probability mass the survey's words did not get (survey only)
    price                      for "correctness" (gold) and "score": {"selection", "transmission", "parentless", "change"}
    audit                      what gold labels have shown by this round: {"sensitivity", "false_positive_rate", "bound",
                               "p_value", "labels", "since"} (audit.Verdict)
    cost                       calls and tokens so far
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from winnow.adaption.audit import Verdict
from winnow.adaption.buffer import Answer
from winnow.adaption.forecast import Forecast
from winnow.adaption.labels import ABSTAINED, KINDS, RIGHT, WRONG, Share, acceptance, composition, kinds_of
from winnow.adaption.task import Task
from winnow.dynamics.price import price
from winnow.evaluators.verifier import normalise
from winnow.values.lineage import Lineage
from winnow.values.logspace import FloatArray, IntArray
from winnow.values.population import effective_number


def account(
    task: Task,
    number: int,
    born: Sequence[Answer],
    ancestors: Sequence[Answer],
    gold: Mapping[str, str] | None,
    forecast: Forecast | None,
    verdict: Verdict | None,
) -> dict[str, Any]:
    """The record of a round: ``born`` in it, ``ancestors`` everyone before, in order of birth."""
    evasive = {normalise(text) for text in task.abstentions}
    off_scale = [answer.parts["off_scale"] for answer in born if "off_scale" in answer.parts]
    kept = np.array([answer.accepted for answer in born])
    record: dict[str, Any] = {
        "round": number,
        "queries": len({answer.item.query for answer in born}),
        "answers": len(born),
        "accepted": float(kept.mean()),
        "num_accepted": int(kept.sum()),
        "abstentions": float(np.mean([normalise(answer.item.answer) in evasive for answer in born])),
        "effective_number": effective_number(list(Counter(normalise(answer.item.answer) for answer in born).values())),
        "mean_score": float(np.mean([answer.score or 0.0 for answer in born])),
        "off_scale": float(np.mean(off_scale)) if off_scale else None,
        "predicted": None,
        "audit": verdict._asdict() if verdict is not None else None,
    }
    kind = old_kind = None
    if gold is not None:
        kind = kinds_of([answer.item for answer in born], gold, task.match, task.abstentions)
        old_kind = kinds_of([answer.item for answer in ancestors], gold, task.match, task.abstentions)
        distinct = len({answer.item.query for answer in born})
        record |= measured(kind, kept, np.array([answer.survival for answer in born]), distinct)
        if forecast is not None:
            record["predicted"] = forecast.after(
                number,
                [answer.round for answer in ancestors],
                old_kind,
                [answer.accepted for answer in ancestors],
                len(born),
            )
    else:
        record |= dict.fromkeys(
            ("error", "error_interval", "kinds", "accepted_error", "sensitivity", "false_positive_rate")
        )
    record["price"] = price_terms(task, born, ancestors, kind, old_kind)
    return record


def measured(
    kind: IntArray, kept: np.ndarray[Any, np.dtype[np.bool_]], survival: FloatArray, num_queries: int
) -> dict[str, Any]:
    """What gold says of a round. Several answers to one query err together, so the interval counts queries."""
    wrong = float((kind != RIGHT).mean())
    error = Share.of(round(wrong * num_queries), num_queries)
    rates = [None if np.isnan(rate) else float(rate) for rate in acceptance(kind, survival)]
    return {
        "error": wrong,
        "error_interval": [error.low, error.high],
        "kinds": dict(zip(KINDS, composition(kind).tolist(), strict=True)),
        "accepted_error": Share.of(int((kind[kept] != RIGHT).sum()), int(kept.sum())).value,
        "sensitivity": rates[RIGHT],
        "false_positive_rate": rates[WRONG],
        "abstention_acceptance": rates[ABSTAINED],
    }


def price_terms(
    task: Task, born: Sequence[Answer], ancestors: Sequence[Answer], kind: IntArray | None, old_kind: IntArray | None
) -> dict[str, Any] | None:
    """Selection and transmission between the population that filled the contexts and the answers written in them.

    Parents are the last round's answers (replaced buffer) or everyone's so far (appended). None in round 0, which has none.
    """
    if not ancestors:
        return None
    parents = ancestors if task.buffer == "appended" else [one for one in ancestors if one.round == ancestors[-1].round]
    lineage = Lineage.equal_shares((answer.number, answer.parents) for answer in born)
    traits: dict[str, tuple[FloatArray, FloatArray]] = {
        "score": (np.array([a.score or 0.0 for a in parents]), np.array([a.score or 0.0 for a in born]))
    }
    if kind is not None and old_kind is not None:
        traits["correctness"] = ((old_kind[-len(parents) :] == RIGHT).astype(float), (kind == RIGHT).astype(float))
    numbers = [a.number for a in parents], [a.number for a in born]
    return {
        name: price(lineage, numbers[0], before, children=numbers[1], child_trait=after)._asdict()
        for name, (before, after) in traits.items()
    }
