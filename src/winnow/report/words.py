"""The report in plain words: what was asked, what selection did, whether theory held, what it cost, what is not known.

Sentences only; every number stands with its interval or its n. Nothing is claimed that the ledger does not hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from winnow.report.data import RunData
from winnow.report.rounds import closed_form

RULES = {
    "soft": "an answer survives with probability equal to its score",
    "threshold": "an answer survives if its score reaches {threshold:g}",
    "best": "the best-scored of {candidates} answers to each query survives",
    "random": "a control: as many answers survive as a soft selection would keep, at random",
    "inverted": "a control: an answer survives with probability 1 − its score",
}


class Topic(NamedTuple):
    """One question of the summary, and its paragraphs: (a run's label or None for all, text)."""

    name: str
    paragraphs: list[tuple[str | None, str]]


def summary(runs: Sequence[RunData]) -> list[Topic]:
    """The topics in order; what is the same for all runs is said once."""
    happened: list[tuple[str | None, str]] = [(run["label"], did(run)) for run in runs]
    if len(runs) == 1:
        happened.append((None, accounted(runs[0])))
    return [
        Topic("What was asked", _once([(run["label"], [asked(run), rule(run), stopped(run)]) for run in runs])),
        Topic("What selection did", [one for one in happened if one[1]]),
        Topic("Does it match theory?", [(None, theory(runs))]),
        Topic("What it cost", _once([(run["label"], [cost(run)]) for run in runs])),
        Topic("What is not known", [(None, text) for text in unknown(runs)]),
    ]


def headline(runs: Sequence[RunData]) -> str:
    """One sentence for the top of the page."""
    if len(runs) > 1:
        return f"{len(runs)} runs side by side: {', '.join(run['label'] for run in runs)}"
    run = runs[0]
    if not run["rounds"]:
        return "No round was finished"
    first, last = run["rounds"][0], run["rounds"][-1]
    rounds = count(last["round"], "round")
    if first["error"] is None:
        went = f"{first['mean_score']:.3f} to {last['mean_score']:.3f}"
        return (
            f"The mean score went from {went} in {rounds}; without gold nobody can say whether the answers got better"
        )
    went = f"{percent(first['error'])} to {percent(last['error'])}"
    if last["error_interval"][1] < first["error_interval"][0]:
        by = "Selection" if run["task"].get("select") not in ("random", "inverted") else "The loop"
        return f"{by} took the share of answers that is not right from {went} in {rounds}"
    if last["error_interval"][0] > first["error_interval"][1]:
        return f"The share of answers that is not right rose from {went} in {rounds}"
    return f"No change that chance could not explain: the share that is not right went from {went} in {rounds}"


def asked(run: RunData) -> str:
    """The task, the model, the evaluator."""
    task, rounds = run["task"], run["rounds"]
    if not rounds:
        return f"{run['model']} was asked, but no round was finished."
    after = rounds[-1]["round"]
    name = run["model"].split("@")[0] or "A model"
    text = (
        f"{name} answered {rounds[0]['queries']} queries a round, in a first round without examples "
        f"and {count(after, 'round')} after it."
    )
    if "evaluator" in task:
        text += f" Its answers were scored by: {evaluator(task['evaluator'])}."
    if "examples" in task:
        text += (
            f" Up to {task['examples']} answers that survived stand as examples before each query of the next round."
        )
    return text + (" Gold answers measured; they picked nothing." if rounds[0]["error"] is not None else "")


def evaluator(spec: Any) -> str:
    """An evaluator's spec on one line."""
    if isinstance(spec, Mapping):
        return ", ".join(str(value) if name == "python" else f"{name} {value}" for name, value in spec.items())
    return str(spec)


def rule(run: RunData) -> str:
    """How answers survived."""
    task = run["task"]
    words = RULES.get(task.get("select", ""), "").format_map({"threshold": 0.5, "candidates": 1, **_numbers(task)})
    return f"Selection was {task['select']}: {words}." if words else ""


def stopped(run: RunData) -> str:
    """How the loop ended."""
    return f"The loop stopped: {run['stop']}." if run["stop"] else ""


def did(run: RunData) -> str:
    """The error, or the mean score, before and after."""
    rounds = run["rounds"]
    if len(rounds) < 2:
        return "One round at most was finished, so nothing was selected that shows."
    first, last = rounds[0], rounds[-1]
    if first["error"] is None:
        return (
            f"The mean score was {first['mean_score']:.3f} in round 0 and {last['mean_score']:.3f} in round "
            f"{last['round']} (n = {last['queries']} a round); {percent(last['accepted'], 0)} of the last round's answers "
            "survived."
        )
    text = (
        f"Answers not right: {share(first['error'], first['error_interval'])} in round 0, "
        f"{share(last['error'], last['error_interval'])} in round {last['round']} "
        f"(95\u00a0% intervals, n\u00a0=\u00a0{last['queries']})."
    )
    if first["sensitivity"] is not None and first["false_positive_rate"] is not None:
        text += (
            f" In round 0 a right answer survived with probability s = {first['sensitivity']:.2f}, a wrong one with "
            f"f = {first['false_positive_rate']:.2f}."
        )
    if last["abstentions"] >= 0.05:
        text += f" {percent(last['abstentions'], 0)} of the last round's answers are abstentions."
    return text


def accounted(run: RunData) -> str:
    """The Price terms, summed over the rounds."""
    terms = [(row["price"] or {}).get("correctness") for row in run["rounds"]]
    known = [term for term in terms if term]
    if not known:
        return ""
    selection, transmission, parentless, change = (
        sum(term[name] for term in known) for name in ("selection", "transmission", "parentless", "change")
    )
    text = (
        f"Price's accounting of correctness, summed over the rounds: selection {signed(selection)}, "
        f"transmission {signed(transmission)}"
    )
    text += f", parentless {signed(parentless)}" if abs(parentless) > 5e-4 else ""
    return f"{text}; together the whole change, {signed(change)}."


def theory(runs: Sequence[RunData]) -> str:
    """How many one-step intervals held, how far the free-running lines strayed, and where the closed form ended."""
    seen = [[row for row in run["rounds"] if row["predicted"] and row["error"] is not None] for run in runs]
    if not any(seen):
        return (
            "No response curve was measured, so there is no prediction to compare with (--response-curve needs gold)."
        )
    total = sum(map(len, seen))
    text = (
        f"{sum(map(held, seen))} of {total} measured errors lie in their 95\u00a0% one-step-ahead interval, made from "
        "queries that no round asked."
    )
    strayed = [(run["label"], furthest(rows)) for run, rows in zip(runs, seen, strict=True) if rows]
    text += " The free-running line, never corrected, was off by at most " + _list(strayed) + "."
    ends = [
        (run["label"], f"{line[-1]:.3f} where {run['rounds'][-1]['error']:.3f} was measured")
        for run in runs
        if (line := closed_form(run["rounds"]))
    ]
    if ends:
        text += f" The source's closed form, which takes the model for a perfect imitator, ends at {_list(ends)}."
    return text


def held(rows: Sequence[Mapping[str, Any]]) -> int:
    """How many rounds lie in their one-step-ahead interval."""
    steps = [(row["predicted"]["one_step"]["interval"], row["error"]) for row in rows]
    return sum(low <= error <= high for (low, high), error in steps)


def furthest(rows: Sequence[Mapping[str, Any]]) -> str:
    """The largest distance of the free-running line."""
    return f"{max(abs(row['predicted']['free_running']['error'] - row['error']) for row in rows):.3f}"


def cost(run: RunData) -> str:
    """Calls and tokens."""
    spent = run["spent"].get("everything")
    if not spent:
        return "Nothing was counted."
    text = f"{spent['calls']:,} calls, {spent['prompt_tokens']:,} prompt tokens, {spent['new_tokens']:,} new tokens"
    loop = run["spent"].get("the rounds")
    if loop and loop != spent:
        text += (
            f"; of these the rounds took {loop['prompt_tokens'] + loop['new_tokens']:,} tokens, "
            "the response curve the rest"
        )
    return text + "."


def unknown(runs: Sequence[RunData]) -> list[str]:
    """What the numbers do not say."""
    lines = []
    begun = [run["rounds"] for run in runs if run["rounds"]]
    if any(rounds[0]["error"] is None for rounds in begun):
        lines.append(
            "Sensitivity and false-positive rate are not identifiable from one evaluator: that the score rises does not "
            "show that the answers get better."
        )
    if any(rounds[0]["error"] is not None for rounds in begun):
        lines.append(
            "s and f are known here only because gold measured them; from one evaluator alone they are not identifiable."
        )
    for audit in [rounds[-1]["audit"] for rounds in begun if rounds[-1]["audit"]]:
        lines.append(
            f"An audit of {audit['labels']} labels bounds s − f from below by {audit['bound']:+.3f} (one-sided 95\u00a0%)."
        )
    seeds = sorted({run["seed"] for run in runs if run["seed"] is not None})
    known = f" (seed {', '.join(map(str, seeds))})" if seeds else ""
    what, whose = ("This is one run", "its") if len(runs) == 1 else (f"These are {len(runs)} runs", "their")
    lines.append(f"{what}{known}: intervals speak of {whose} answers, not of other seeds, models or tasks.")
    off = [row["off_scale"] for rounds in begun for row in rounds if row["off_scale"] is not None]
    if off and sum(off) / len(off) >= 0.005:
        lines.append(
            f"On average {percent(sum(off) / len(off), 0)} of the evaluator's probability lay outside its scale's words; "
            "scores are read from the rest."
        )
    return lines


def _once(said: Sequence[tuple[str, list[str]]]) -> list[tuple[str | None, str]]:
    """What all say, once; then what only some say, under their labels."""
    everywhere = [text for text in said[0][1] if text and all(text in texts for _, texts in said)]
    common: list[tuple[str | None, str]] = [(None, text) for text in everywhere]
    own = [(label, " ".join(text for text in texts if text not in everywhere)) for label, texts in said]
    return common + [(label, text) for label, text in own if text]


def _list(parts: Sequence[tuple[str, str]]) -> str:
    return parts[0][1] if len(parts) == 1 else ", ".join(f"{text} ({label})" for label, text in parts)


def _numbers(task: Mapping[str, Any]) -> dict[str, Any]:
    return {name: task[name] for name in ("threshold", "candidates") if name in task}


def count(number: int, noun: str) -> str:
    """``3 rounds``, ``1 round``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def share(value: float, interval: Sequence[float]) -> str:
    """A share with its interval, in per cent."""
    return f"{percent(value)} [{percent(interval[0])}, {percent(interval[1])}]"


def signed(value: float) -> str:
    """Three digits with a sign, the minus a real one."""
    return f"{value:+.3f}".replace("-", "−")


def percent(value: float, digits: int = 1) -> str:
    """A share in per cent, its sign kept on the line of its number."""
    return f"{100 * value:.{digits}f}\u00a0%"
