"""The amplified model: a language model whose next-token distribution is mixed with what its own lookahead finds.

It is a backend like any other: it scores, completes and is searched. What a request costs is what its lookahead asked of
the model underneath.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from winnow.lookahead.beams import beams, distributions, no_full_distribution
from winnow.lookahead.language import complete, next_token, score
from winnow.lookahead.mixing import check_mixing, first_tokens, mixed
from winnow.lookahead.particles import futures, power_marginal
from winnow.ports.around import Around
from winnow.ports.program import Program, run
from winnow.ports.requests import (
    Backend,
    Codec,
    Complete,
    Cost,
    LanguageModel,
    LogProb,
    NextToken,
    Request,
    require,
)
from winnow.values.errors import ContextError, InputError
from winnow.values.logspace import FloatArray, IntArray
from winnow.values.random import Key
from winnow.values.tree import Tree


@dataclass(frozen=True, kw_only=True)
class Lookahead:
    """How far and how to look: everything an amplified model is beside the model.

    Parameters
    ----------
    width, depth : of the beams; depth counts the first token.
    weight : of the lookahead in the mixture, in [0, 1].
    average : exponent a of (3): 1 weighs beams by probability, 0 counts them.
    power : with a number, (5) takes the place of beams: ``num_futures`` sampled a first token, power the exponent.
    mixing : "linear" or "geometric".
    cover : share of the model's own distribution in the lookahead's, so that no token is left without probability.
    seed : names the random numbers of (5).
    """

    width: int = 8
    depth: int = 4
    weight: float = 0.5
    average: float = 1.0
    power: float | None = None
    mixing: str = "linear"
    cover: float = 0.05
    num_futures: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        check_mixing(self.weight, self.cover, self.mixing)
        for name, value in (("width", self.width), ("depth", self.depth), ("num_futures", self.num_futures)):
            if value < 1:
                raise InputError(f"must be at least 1, not {value}", where=name)
        if self.power is not None and not 0.0 < self.power < np.inf:
            raise InputError(
                f"must be a number above 0, not {self.power:g}", where="power", remedy="1 is the model itself"
            )
        if not 0.0 <= self.average < np.inf:
            raise InputError(f"must be a number from 0 up, not {self.average:g}", where="average")
        certain = self.weight == 1.0 or (self.mixing == "geometric" and self.weight > 0.0)
        if self.power is None and self.cover == 0.0 and certain:
            raise InputError(
                f"{self.mixing} mixing of weight {self.weight:g} gives tokens that begin no beam probability zero",
                where="cover",
                remedy="give a cover above 0",
            )


class Amplified:
    """A model and its lookahead as one language model. Answers NextToken, Complete and LogProb.

    Guarantees: with weight 0 every reply is the model's own, to the bit. Full-width beams with ``average`` a equal (5) with
    ``power`` a.  Its context is shorter than the model's by ``depth - 1``, the room the lookahead needs.

    Raises
    ------
    CapabilityError
        When the model does not give whole next-token distributions.
    ContextError
        When ``depth`` is beyond the model's context.
    """

    answers: frozenset[type[Request[Any]]] = frozenset({NextToken, Complete, LogProb})

    def __init__(self, model: LanguageModel, settings: Lookahead) -> None:
        if NextToken not in model.answers:
            known = ", ".join(sorted(kind.__name__ for kind in model.answers)) or "nothing"
            raise no_full_distribution(f"it answers {known}", where=model.identity)
        check_depth(settings.depth, model)
        self.model, self.settings = model, settings

    @property
    def identity(self) -> str:
        return f"amplified@{hashlib.sha256(f'{self.settings!r} {self.model.identity}'.encode()).hexdigest()[:16]}"

    @property
    def codec(self) -> Codec:
        return self.model.codec

    @property
    def context_length(self) -> int:
        return self.model.context_length - (0 if self.settings.weight == 0.0 else self.settings.depth - 1)

    @property
    def chat(self) -> bool:
        return self.model.chat

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        require(self, {type(request) for request in requests})
        if self.settings.weight == 0.0:
            require(self.model, {type(request) for request in requests})
            yield from self.model.answer(requests)
            return
        for index, request in enumerate(requests):
            yield index, self._answer(request)

    def distribution(self, tree: Tree, nodes: IntArray) -> Program[FloatArray]:
        """The amplified distribution at nodes: ``[N, V]`` natural log; a program over the model underneath."""
        settings, size = self.settings, self.codec.vocabulary_size
        for node in nodes:
            length = len(tree.sequence(int(node)))
            if length + settings.depth - 1 > self.model.context_length:
                raise ContextError(
                    f"a row has {length} tokens and the lookahead {settings.depth - 1} more, the context holds "
                    f"{self.model.context_length}",
                    where="lookahead",
                    remedy="shorten the row, or lower the depth",
                )
        # a node that is named twice is looked at once
        different, back = np.unique(nodes, return_inverse=True)
        p = yield from distributions(tree, different, size)
        if settings.power is None:
            found = yield from beams(
                tree, different, p, widths=(settings.width,), depth=settings.depth, end_tokens=self.codec.end_tokens
            )
            last = found[settings.width]
            q = first_tokens(last.first[-1], last.logprob[-1], size, average=settings.average)
        else:
            expected = yield from futures(
                tree,
                different,
                p,
                powers=(settings.power,),
                depth=settings.depth,
                num=settings.num_futures,
                key=Key(settings.seed).child("amplify"),
                slots=np.array([_slot(tree.sequence(int(node))) for node in different], np.int64),
                end_tokens=self.codec.end_tokens,
            )
            q = np.exp(power_marginal(p, expected[0, -1], settings.power))
        return mixed(p, q, weight=settings.weight, cover=settings.cover, mixing=settings.mixing)[back]

    def _answer(self, request: Request[Any]) -> Any:
        counted = Counted(self.model)
        if isinstance(request, NextToken):
            reply: Any = run(next_token(request, self.distribution), counted)
            return replace(reply, cost=Cost(request.nodes.size, counted.cost.prompt_tokens, 0))
        if isinstance(request, Complete):
            reply = run(complete(request, self.distribution, self), counted)
            return replace(
                reply, cost=Cost(len(request.prompts), counted.cost.prompt_tokens, int(sum(reply.num_tokens)))
            )
        asked = cast(LogProb, request)
        reply = run(score(asked, self.distribution, self), counted)
        return replace(reply, cost=Cost(len(asked.prompts), counted.cost.prompt_tokens, 0))


class Counted(Around):
    """A backend around a backend that keeps count of what its replies cost."""

    def __init__(self, backend: Backend) -> None:
        self.backend, self.cost = backend, Cost()

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        for index, reply in self.backend.answer(requests):
            self.cost = self.cost.plus(reply.cost)
            yield index, reply


def amplify(
    model: LanguageModel,
    width: int = 8,
    depth: int = 4,
    *,
    weight: float = 0.5,
    average: float = 1.0,
    power: float | None = None,
    mixing: str = "linear",
    cover: float = 0.05,
    num_futures: int = 8,
    seed: int = 0,
) -> Amplified:
    """A language model mixed with its own lookahead, as a language model (source document 003; equations (3) to (5)).

    Parameters
    ----------
    As of ``Lookahead``.

    Raises
    ------
    InputError
        When a weight or cover is outside [0, 1], or a number is below one.
    CapabilityError, ContextError
        As of ``Amplified``.

    Examples
    --------
    >>> from winnow.models.tabular import Tabular
    >>> from winnow.search.call import search
    >>> ahead = amplify(Tabular.random("abc"), width=3, depth=3, weight=0.5)
    >>> len(search(ahead, "a", "beam", width=2, depth=4))
    2
    """
    return Amplified(
        model,
        Lookahead(
            width=width,
            depth=depth,
            weight=weight,
            average=average,
            power=power,
            mixing=mixing,
            cover=cover,
            num_futures=num_futures,
            seed=seed,
        ),
    )


def check_depth(depth: int, model: LanguageModel) -> None:
    """Refuse a depth for which the context has no room after a single token.

    Raises
    ------
    ContextError
        Naming both lengths.
    """
    if depth > model.context_length:
        raise ContextError(
            f"{depth} tokens of lookahead, the context holds {model.context_length}",
            where="depth",
            remedy=f"at most {model.context_length}",
        )


def _slot(sequence: Sequence[int]) -> int:
    """A number for a prefix, the same wherever it stands: what names the random numbers of its futures."""
    digest = hashlib.blake2b(np.asarray(sequence, "<i8").tobytes(), digest_size=4).digest()
    return int.from_bytes(digest, "little")
