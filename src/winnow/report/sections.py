"""The sections of the page: which plots stand in each, under which words, and what is said where nothing can be plotted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from winnow.report import answers, rounds
from winnow.report.ancestry import WALKS, Ancestry, ancestry
from winnow.report.data import RunData
from winnow.report.drawing import Plot

Draw: TypeAlias = Callable[[RunData, Sequence[RunData]], Plot | None]
Key: TypeAlias = tuple[tuple[str, str], ...]  # (class of the swatch, words)


class Panel(NamedTuple):
    """One plot under its label, or the reason why there is none; a table under it, its first row the headings."""

    id: str
    label: str
    plot: Plot | None
    note: str = ""
    table: Sequence[Sequence[str]] = ()


class Section(NamedTuple):
    """A heading, a caption, a key, and panels in columns."""

    id: str
    title: str
    caption: str
    key: Key
    panels: list[Panel]
    columns: int


KINDS: Key = (("dot right", "right"), ("dot wrong", "wrong"), ("dot grey", "abstained"))
ANSWERS: Key = (("dot muted", "answers"),)
TERMS: Key = (
    ("block selection", "selection"),
    ("block transmission", "transmission"),
    ("block grey", "parentless"),
    ("bar ink", "change"),
)
LINES: Key = (
    ("dot ink", "measured"),
    ("band", "predicted one step ahead"),
    ("dash", "free running"),
    ("dotted", "closed form"),
)
PRICE = (
    "The Price equation splits the change of mean {trait} between rounds into selection (parents weighted by the contexts "
    "they stand in), transmission (children unlike their parents) and what has no parent. The thick mark is the change; "
    "the terms sum to it."
)
RATES: Key = (("dot right", "s, right answers"), ("square wrong", "f, wrong answers"), ("diamond ink", "all"))


def sections(runs: Sequence[RunData], rivals: Sequence[Mapping[str, Any]] = ()) -> list[Section]:
    """Everything that is plotted, in order; a section no run has data for is left out."""
    gold = any(row["error"] is not None for run in runs for row in run["rounds"])
    over = partial(_over_rounds, runs)
    found = [
        over(
            "error",
            "Error against prediction",
            "Points are measured, with 95\u00a0% Wilson intervals. Each bar predicts one round from the round before it: "
            "the measured composition, through the acceptance and the response curve measured on queries the loop never "
            "sees (95\u00a0%). The dashed line starts from round 0 and is never corrected. The dotted line is the source's "
            "closed form for a perfect imitator: each round multiplies the odds of error by f/s.",
            LINES,
            rounds.error,
        ),
        _rivals(runs, rivals),
        over(
            "score",
            "Mean score",
            "What the evaluator says of the answers."
            if gold
            else "What the evaluator says; no gold holds it to account.",
            (),
            rounds.mean_score,
        ),
        over(
            "acceptance",
            "What selection let through",
            "The probability that an answer survives: of right answers (sensitivity s), of wrong ones (false-positive rate "
            "f), and of all. The loop can improve only while s is above f."
            if gold
            else "The share of answers that survived. Sensitivity and false-positive rate are not identifiable here.",
            RATES if gold else RATES[2:],
            rounds.acceptance,
        ),
        over(
            "price",
            "Selection and transmission",
            PRICE.format(trait="correctness"),
            TERMS,
            rounds.price,
        ),
        over(
            "price-score",
            "The same, of the score" if gold else "Selection and transmission",
            "The evaluator's own score as the trait; known without gold." if gold else PRICE.format(trait="score"),
            TERMS,
            partial(rounds.price, trait="score"),
        ),
        over(
            "kinds",
            "What the answers were",
            "Shares of right and wrong answers, and of abstentions, which are neither."
            if gold
            else "The share of abstentions.",
            KINDS if gold else (("dot grey", "abstained"), ("dot muted", "everything else")),
            rounds.kinds,
        ),
        over(
            "distinct",
            "How many different answers",
            "The effective number: exp of the entropy of the answers' texts. A collapse shows here first.",
            (),
            rounds.distinct,
        ),
        _histograms(runs, gold),
        _lineages(runs, gold),
        over(
            "tokens",
            "Tokens by round",
            "Prompt and new tokens. Under 0 stands all that was spent until round 0 was done, the response curve included.",
            (),
            answers.tokens,
        ),
    ]
    return [one for one in found if one is not None and any(panel.plot for panel in one.panels)]


def _over_rounds(runs: Sequence[RunData], name: str, title: str, caption: str, key: Key, draw: Draw) -> Section:
    plots = [draw(run, runs) for run in runs]
    panels = [
        Panel(f"{name}-{index}", run["label"], made, "" if made else "Not known for this run.")
        for index, (run, made) in enumerate(zip(runs, plots, strict=True))
    ]
    return Section(name, title, caption, key, panels, len(runs))


def _histograms(runs: Sequence[RunData], gold: bool) -> Section:
    wanted = []  # the first and the last round of each run
    for run in runs:
        numbers = sorted({row["round"] for row in run["answers"]})
        wanted.append(sorted({numbers[0], numbers[-1]}) if numbers else [])
    domain = answers.reach(runs, wanted)
    panels = []
    for which in range(2):
        for index, (run, numbers) in enumerate(zip(runs, wanted, strict=True)):
            if which < len(numbers):
                made = answers.histogram(run, numbers[which], domain)
                label = f"{run['label']}, round {numbers[which]}" if len(runs) > 1 else f"round {numbers[which]}"
                note = "" if made else "No answer was scored."
                panels.append(Panel(f"scores-{index}-{numbers[which]}", label, made, note))
    caption = (
        "Scores of right answers upwards, of wrong ones and abstentions downwards, in the first round and the last."
        if gold
        else "Scores of all answers in the first round and the last."
    )
    return Section("scores", "Scores", caption, KINDS if gold else ANSWERS, panels, max(len(runs), 2))


def _lineages(runs: Sequence[RunData], gold: bool) -> Section:
    panels = []
    for index, run in enumerate(runs):
        drawing = ancestry(run)
        note = "The final context is empty." if drawing is None else _counted(drawing)
        made = None if drawing is None else answers.lineage(drawing, final=_born(run))
        panels.append(Panel(f"lineage-{index}", run["label"], made, note))
    caption = (
        "Every answer the final context descends from. A cell's height is its share of the ancestry: the chance that a "
        f"walk from a final example back through the contexts meets it. The lines are {WALKS} such walks."
    )
    key = KINDS if gold else ANSWERS
    return Section("lineage", "Lineage of the final context", caption, key, panels, len(runs))


def _born(run: RunData) -> int | None:
    """The round all final examples were born in, if there is one."""
    members = set(run["context"])
    found = {row["round"] for row in run["answers"] if row["number"] in members}
    return int(found.pop()) if len(found) == 1 else None


def _counted(drawing: Ancestry) -> str:
    first = drawing.columns[0]
    text = (
        f"{len(drawing.nodes):,} ancestors, {first['ancestors']} of them in round {first['round']} "
        f"(effectively {first['effective']:.0f})"
    )
    if first["right"] is not None:
        text += f"; by ancestry {100 * first['right']:.0f}\u00a0% of round {first['round']} is right"
    return f"{text}. {drawing.num_edges:,} descents in all."


def _rivals(runs: Sequence[RunData], rivals: Sequence[Mapping[str, Any]]) -> Section | None:
    if not rivals:
        return None
    last = runs[0]["rounds"][-1] if runs[0]["rounds"] else None
    known = last if last is not None and last["error"] is not None else None
    table = [("who", "samples a query", "tokens", "error", "95\u00a0% interval", "questions", "")]
    for row in rivals:
        low, high = row["error_interval"]
        counts = (
            f"{row['samples']}",
            f"{row['tokens']:,}",
            f"{row['error']:.3f}",
            f"{low:.3f}–{high:.3f}",
            f"{row['n']}",
        )
        table.append((row["rival"], *counts, row["note"]))
    label = f"{runs[0]['label']}, and what else its tokens buy"
    panel = Panel("rivals-0", label, answers.rivals(rivals, known), table=table)
    caption = "Every rival answers the loop's own queries with at most the tokens of its rounds and of its own line."
    return Section("rivals", "Rivals at equal tokens", caption, (), [panel], 1)
