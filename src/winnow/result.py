"""What a loop leaves behind, as far as it ran: rounds, answers, the adapted context, what it cost, and it all in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from winnow import __version__
from winnow.adaption.buffer import Answer
from winnow.adaption.context import Context
from winnow.adaption.iterate import Outcome, Stop
from winnow.adaption.table import table
from winnow.adaption.task import Task
from winnow.ports.requests import Cost
from winnow.values.records import write_jsonl, write_text

NOT_IDENTIFIABLE = "sensitivity and false-positive rate are not identifiable from one evaluator"


@dataclass(kw_only=True)
class Run:
    """A loop that ran, as far as it ran.

    ``rounds`` holds one record a round (``winnow.adaption.ledger`` names its keys); ``stop`` says why it ended.
    """

    task: Task
    model: str
    seed: int
    rounds: list[dict[str, Any]] = field(default_factory=list)
    answers: tuple[Answer, ...] = ()
    examples: tuple[Answer, ...] = ()
    stop: Stop = Stop("limit", "not begun")
    cost: Cost = Cost()  # of everything
    loop_cost: Cost = Cost()  # of the rounds alone, without the response curve
    id: str = ""  # in its store, if it has one
    store: str = ""
    before: str | None = None  # how the store's run stood when this began: None for a new one
    num_asked: int = 0  # requests asked, and answered from the store
    num_replayed: int = 0

    @property
    def context(self) -> Context:
        """What the next query would be answered in."""
        return Context(self.task.pair, self.task.header, tuple(answer.item for answer in self.examples))

    def table(self) -> str:
        """One line a round."""
        return table(self.rounds)

    def conclusion(self) -> list[str]:
        """What happened, in words: how the loop ended, what is known of the evaluator, and what it cost."""
        lines = [f"stopped: {self.stop.message}"]
        if len(self.rounds) > 1 and self.rounds[0]["error"] is not None:
            first, last = self.rounds[0], self.rounds[-1]
            lines.append(
                f"error {first['error']:.3f} -> {last['error']:.3f} {_range(last['error_interval'])} after "
                f"{last['round']} rounds (n = {last['queries']} a round)"
            )
        elif len(self.rounds) > 1:
            first, last = self.rounds[0], self.rounds[-1]
            lines.append(
                f"mean score {first['mean_score']:.3f} -> {last['mean_score']:.3f} (n = {last['queries']} a round)"
            )
        if self.rounds and self.rounds[0]["error"] is None:
            lines.append(NOT_IDENTIFIABLE)
        if self.rounds and (audit := self.rounds[-1]["audit"]):
            since = f" (those since round {audit['since']})" if audit["since"] else ""
            lines.append(
                f"audit, {audit['labels']} labels{since}: "
                f"s {_rate(audit['sensitivity'])}, f {_rate(audit['false_positive_rate'])}, "
                f"one-sided 95 % bound of s - f {audit['bound']:+.3f}"
            )
        lines.append(
            f"cost: {self.cost.calls} calls, {self.cost.prompt_tokens:,} prompt and {self.cost.new_tokens:,} new tokens"
        )
        return lines

    def save(self, directory: Path) -> None:
        """Write the ledger into a directory: rounds, answers, lineage, and the adapted context as text and messages."""
        write_jsonl(directory / "rounds.jsonl", self.rounds)
        write_jsonl(directory / "answers.jsonl", [_answer_record(answer) for answer in self.answers])
        edges = Outcome(self.answers, self.examples, None, self.stop).lineage
        lines = [
            f"{c},{p},{s!r}\n"
            for c, p, s in zip(edges.child.tolist(), edges.parent.tolist(), edges.share.tolist(), strict=True)
        ]
        write_text(directory / "lineage.csv", "child,parent,share\n" + "".join(lines))
        settings = {name: getattr(self.task, name) for name in ("max_tokens", "temperature", "top_p")}
        self.context.save(
            directory, model=self.model, stop=list(self.task.stop), made_by=f"winnow {__version__}", **settings
        )


def _answer_record(answer: Answer) -> dict[str, Any]:
    record = answer._asdict()
    item = record.pop("item")
    return {**record, "query": item.query, "answer": item.answer}


def _range(interval: list[float]) -> str:
    return f"[{interval[0]:.3f}, {interval[1]:.3f}]"


def _rate(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"
