"""The demonstration: the loop on the bundled model with selection, without it, and against it; then the rivals.

Every query is a fact whose evaluation the model was never taught. Gold is known because the world is ours; it measures.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from typing import Any

from winnow.adaption.rivals import BY_HAND, LOOP, rivals
from winnow.adaption.task import Task
from winnow.api import Run, adapt, evaluator_of, gold_of
from winnow.ports.chunks import rows_together
from winnow.ports.program import Observer
from winnow.ports.requests import Complete, Evaluate, LanguageModel
from winnow.runs.reading import find
from winnow.runs.store import Store
from winnow.values.random import Key
from winnow.values.records import parse_jsonl
from winnow.work import kept

RULES = {
    "soft": "selected: an answer survives with probability = its score",
    "random": "control: as many survive, at random",
    "inverted": "control: an answer survives with probability = 1 - its score",
}


def world() -> dict[str, Any]:
    """What is known of the bundled world: headers, evasion, scales, the prior over its authors."""
    text = (resources.files("winnow") / "data" / "world.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def facts_task(most: int | None = 800, **changes: Any) -> Task:
    """The first ``most`` of the bundled world's facts whose evaluation was never taught, in held-out phrasings."""
    text = (resources.files("winnow") / "data" / "facts.jsonl").read_text(encoding="utf-8")
    facts = [row for _, row in parse_jsonl(text, "facts.jsonl") if not row["evaluated_in_training"]][:most]
    settings: dict[str, Any] = {
        "queries": [fact["query"] for fact in facts],
        "gold": [fact["answer"] for fact in facts],
        "abstentions": (world()["evasion"],),
        "max_tokens": 8,
        "examples": 14,
        "queries_per_round": 200,
        "held_out": 120 / len(facts),
        "reuse": True,
        "name": "facts",
    }
    return Task(**{**settings, **changes})


def loops(
    model: LanguageModel,
    *,
    seed: int,
    observer: Observer | None = None,
    store: Store | None = None,
    fresh: bool = False,
) -> Iterator[tuple[str, Run]]:
    """The loop under each rule, each beside its own predictions; (rule, run) as they end. ``store``, ``fresh`` as in adapt.

    With a store the response curve and the first round, which are the same under every rule, are asked once.
    """
    for rule in RULES:
        task = facts_task(select=rule)
        yield rule, adapt(model, task, seed=seed, response=True, observer=observer, store=store, fresh=fresh)


def rivals_of(
    model: LanguageModel, selected: Run, *, seed: int, num_queries: int | None = None, store: Store | None = None
) -> list[dict[str, Any]]:
    """The selected loop's context and its rivals on the first ``num_queries`` of its queries, at the tokens it spent.

    A store that holds the selected run keeps the rivals' answers too.
    """
    task = selected.task
    gold = gold_of(task)
    assert gold is not None
    repeat = 0 if store is None else find(store, selected.id).settings["repeat"]
    spent = selected.loop_cost.prompt_tokens + selected.loop_cost.new_tokens
    return kept(
        rivals(
            task,
            task.queries[:num_queries],
            gold,
            accepted=[a for a in selected.answers if a.accepted and a.round == selected.rounds[-1]["round"]],
            tokens=spent,
            header=world()["headers"]["careful"],
            key=Key(seed).child("rivals"),
            chat=model.chat,
        ),
        model,
        evaluator_of(task, model),
        store=store,
        repeat=repeat,
        rows=dict.fromkeys((Complete, Evaluate), 4 * rows_together(model)),  # short prompts: many rows are little work
    )


def verdict(runs: dict[str, Run], others: list[dict[str, Any]]) -> str:
    """One sentence: what selection did, what its absence did, and who came nearest."""
    first, last = runs["soft"].rounds[0], runs["soft"].rounds[-1]
    random, inverted = runs["random"].rounds[-1], runs["inverted"].rounds[-1]
    own = next(row for row in others if row["rival"] == LOOP)
    unaided = [row for row in others if row["rival"] not in (LOOP, BY_HAND)]
    best = min(unaided, key=lambda row: float(row["error"]))
    beats = own["error_interval"][1] < best["error_interval"][0]
    return (
        f"Selecting its own answers took the error from {first['error']:.3f} to {last['error']:.3f} "
        f"[{last['error_interval'][0]:.3f}, {last['error_interval'][1]:.3f}] with no label; without selection it ended at "
        f"{random['error']:.3f} ({random['abstentions']:.0%} evasions), selected against at {inverted['error']:.3f}. "
        f"Read greedily, what it made answers {1 - own['error']:.1%} of {own['n']} questions right; the best rival at "
        f"equal tokens without a hand-written prompt, {best['rival']}, {1 - best['error']:.1%}, "
        f"{'clearly fewer' if beats else 'not clearly fewer'}."
    )


def rival_table(others: list[dict[str, Any]]) -> str:
    """One line a rival."""
    lines = [f"{'rival':<28}{'samples':>8}  {'error [95 %]':>22}{'tokens':>12}  note"]
    for row in others:
        interval = f"{row['error']:.3f} [{row['error_interval'][0]:.3f}, {row['error_interval'][1]:.3f}]"
        lines.append(
            f"{row['rival']:<28}{row['samples']:>8}  {interval:>22}{row['tokens']:>12,}  {row['note']}".rstrip()
        )
    return "\n".join(lines)
