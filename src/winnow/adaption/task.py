"""An evaluable recurrent task: queries, how a pair is written, what evaluates, what selects, and for how long.

The task knows no model and reads no file; ``task_file.py`` makes one from YAML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from winnow.evaluators.template import Template
from winnow.ports.requests import Backend
from winnow.values.errors import InputError, nearest

BUFFERS = ("replaced", "appended")
DRAWS = ("per-query", "shared")
MATCHES = ("exact", "normalised", "numeric")
BEST_OF = 4  # candidates a query where selection takes the best of them and nobody says how many
RULES = ("soft", "threshold", "best", "random", "inverted")


@dataclass(frozen=True, kw_only=True)
class Task:
    """A recurrent task with an evaluator.

    Parameters
    ----------
    queries : what is asked; an answer's query never stands in its own context.
    gold : one right answer a query. Gold measures and may stop a run; it never picks.
    pair : text of one pair with {query} and {answer}; header : fixed text before the pairs.
    stop : strings that end an answer; max_tokens, temperature, top_p : how answers are sampled.
    evaluator : a one-line spec ("survey", "verifier numeric", "module:factory"), a mapping, or a backend that answers
        Evaluate.
    select : soft (survive with probability = score), threshold (score >= threshold), best (the best of ``candidates``
        answers to each query), and two controls: random (as many as soft would keep, at random) and inverted
        (survive with probability 1 - score).
    candidates : answers to each query in a round; 0 is four where ``best`` selects, else one.
    buffer : replaced (holds one round's acceptances) or appended (all rounds').
    draw : per-query (each query gets its own examples from the buffer) or shared (one draw a round).
    examples : pairs in a context, fewer while the buffer holds fewer; round 0 has none.
    rounds : rounds after the start, which is round 0.
    queries_per_round : None for all of them in every round if ``reuse``, else an equal share a round.
    reuse : whether a query may be asked again in a later round once all have been asked.
    abstentions : answers that are neither right nor wrong.
    match : how an answer is compared with gold: exact, normalised or numeric.
    held_out : share of the queries kept from the run to measure the response curve on, when that is asked for.
    max_off_scale : refuse to go on when a survey's words hold less than one minus this of the model's probability in the
        first round; 1 never refuses.
    patience : stop as converged after this many rounds whose mean score stayed within two standard errors; 0 is never.

    Raises
    ------
    InputError
        Naming the field and the remedy.
    """

    queries: Sequence[str]
    gold: Sequence[str] | None = None
    pair: str = "Q: {query}\nA: {answer}\n"
    header: str = ""
    stop: tuple[str, ...] = ("\n",)
    max_tokens: int = 32
    temperature: float = 1.0
    top_p: float = 1.0
    evaluator: str | Mapping[str, Any] | Backend = "survey"
    select: str = "soft"
    threshold: float = 0.5
    candidates: int = 0
    buffer: str = "replaced"
    draw: str = "per-query"
    examples: int = 8
    rounds: int = 6
    queries_per_round: int | None = None
    reuse: bool = False
    abstentions: tuple[str, ...] = ()
    match: str = "normalised"
    held_out: float = 0.3
    max_off_scale: float = 0.9
    patience: int = 0
    name: str = "task"

    def __post_init__(self) -> None:
        for name in ("queries", "gold"):
            if isinstance(getattr(self, name), str):
                raise InputError("is one text, not a list of them", where=name, remedy="put it in a list")
        for name in ("stop", "abstentions"):
            value = getattr(self, name)
            object.__setattr__(self, name, (value,) if isinstance(value, str) else tuple(value))
        try:
            Template(self.pair)
        except InputError as error:
            raise InputError(str(error), where="pair") from None
        if not self.queries:
            raise InputError("there are no queries", where="queries", remedy="one a line")
        if self.gold is not None and len(self.gold) != len(self.queries):
            raise InputError(
                f"{len(self.gold)} gold answers for {len(self.queries)} queries",
                where="gold",
                remedy="one gold answer a query, in the same order",
            )
        for number, query in enumerate(self.queries, 1):
            for stop in self.stop:
                if stop in query:
                    raise InputError(
                        f"query {number} contains the stop string {stop!r}",
                        where="queries",
                        remedy="put it on one line, or choose another stop string",
                    )
        if self.gold is not None:
            self._one_gold_a_query()
        self._one_of("match", MATCHES)
        self._one_of("select", RULES)
        self._one_of("buffer", BUFFERS)
        self._one_of("draw", DRAWS)
        self._at_least("rounds", 1)
        self._at_least("examples", 1)
        self._at_least("max_tokens", 1)
        if self.candidates == 0:
            object.__setattr__(self, "candidates", BEST_OF if self.select == "best" else 1)
        self._at_least("candidates", 1)
        self._at_least("patience", 0)
        self._within("temperature", 0.0, float("inf"))
        self._within("top_p", 1e-9, 1.0)
        self._within("threshold", 0.0, 1.0)
        self._within("held_out", 0.0, 0.9)
        self._within("max_off_scale", 0.0, 1.0)
        if self.queries_per_round is not None:
            self._at_least("queries_per_round", 1)
        if self.select == "best" and self.candidates < 2:
            raise InputError(
                "select best needs at least two candidates a query", where="candidates", remedy=f"candidates: {BEST_OF}"
            )
        if any(not stop for stop in self.stop):
            raise InputError("a stop string must not be empty", where="stop")

    @property
    def batch(self) -> int:
        """Queries asked in one round."""
        if self.queries_per_round is not None:
            return min(self.queries_per_round, len(self.queries))
        return len(self.queries) if self.reuse else max(1, len(self.queries) // (self.rounds + 1))

    def _one_of(self, name: str, choices: Sequence[str]) -> None:
        value = getattr(self, name)
        if value not in choices:
            raise InputError(
                f"{value!r} is not one of {', '.join(choices)}", where=name, remedy=nearest(str(value), choices)
            )

    def _one_gold_a_query(self) -> None:
        known: dict[str, str] = {}
        for number, (query, gold) in enumerate(zip(self.queries, self.gold or (), strict=True), 1):
            if known.setdefault(query, gold) != gold:
                raise InputError(
                    f"query {number} stands twice with different gold ({known[query]!r}, {gold!r})",
                    where="gold",
                    remedy="keep one of them",
                )

    def _at_least(self, name: str, low: int) -> None:
        value = getattr(self, name)
        if not isinstance(value, int):
            raise InputError(f"must be a whole number, not {value!r}", where=name)
        if value < low:
            raise InputError(f"must be at least {low}, not {value}", where=name)

    def _within(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        if not low <= value <= high:
            raise InputError(f"must lie in [{low:g}, {high:g}], not {value}", where=name)
