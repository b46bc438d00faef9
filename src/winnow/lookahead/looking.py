"""A language model that looks: a backend that answers Look and Horizon by running them over the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from winnow.lookahead.amplify import Counted
from winnow.lookahead.beams import no_full_distribution
from winnow.lookahead.horizon import Horizon, horizon
from winnow.lookahead.look import Look, look
from winnow.ports.program import run
from winnow.ports.requests import Backend, NextToken, Request, require

VERSION = 2  # of what a look is; another one is another backend to a store


class Looking:
    """Answers Look and Horizon; what a reply cost is what the model was fed for it.

    Raises
    ------
    CapabilityError
        When the model does not give next-token distributions; before anything is asked.
    """

    answers: frozenset[type[Request[Any]]] = frozenset({Look, Horizon})

    def __init__(self, model: Backend) -> None:
        if NextToken not in model.answers:
            known = ", ".join(sorted(kind.__name__ for kind in model.answers)) or "nothing"
            raise no_full_distribution(f"it answers {known}", where=model.identity)
        self.model = model

    @property
    def identity(self) -> str:
        return f"looking {VERSION} with {self.model.identity}"

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        require(self, {type(request) for request in requests})
        for index, request in enumerate(requests):
            counted = Counted(self.model)
            reply: Any = run(look(request) if isinstance(request, Look) else horizon(request), counted)  # type: ignore[arg-type]
            yield index, replace(reply, cost=counted.cost)
