"""A regular expression or grammar around a language model: what it forbids has probability zero; the mass left is told.

Log-probabilities stay the model's own; ``log_mass`` of a reply is the log of what the grammar leaves at each node. So a
beam ranks by the model's probability of the whole text and not by what is left of it at each step, and SMC, which
proposes from what is left, puts the mass into its weights: its target is the model given that the text obeys the grammar.

Which tokens may come is computed by llguidance, on the bytes of what is written after a tree's root; where only one
text can follow, it leaves only the tokenizer's own tokens for it. Importing this file does not import llguidance;
making a Grammar does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from winnow.ports.requests import Codec, LanguageModel, NextToken, NextTokens, Request, draw, require
from winnow.values.errors import CapabilityError, InputError
from winnow.values.logspace import FloatArray, IntArray, most_probable

KINDS = ("regex", "lark", "json")
REMEMBERED = 4096  # prefixes whose state is kept


@runtime_checkable
class Serialised(Protocol):
    """A codec that can show its tokenizer as tokenizers' JSON, the bytes of every token in it."""

    @property
    def serialised(self) -> str | None: ...


class Grammar:
    """A language model that can write only what a grammar allows; answers NextToken.

    Not a distribution: the probabilities at a node sum to exp(log_mass), not to one.

    Parameters
    ----------
    model : answers NextToken.
    text : the grammar.
    kind : "regex" (Rust's syntax, of the whole completion), "lark" (llguidance's dialect) or "json" (a JSON schema).

    Raises
    ------
    InputError
        When the grammar is none, or no text of the model's tokens can meet it.
    CapabilityError
        When llguidance is missing, or the model has no end token with which to close a text.
    """

    def __init__(self, model: LanguageModel, text: str, *, kind: str = "regex") -> None:
        require(model, {NextToken})
        if kind not in KINDS:
            raise InputError(f"no kind {kind!r}", where="grammar", remedy=f"known: {', '.join(KINDS)}")
        if not model.codec.end_tokens:
            raise CapabilityError(
                "has no end token, so a text that meets a grammar cannot be closed",
                where=model.identity,
                remedy="choose a model with one",
            )
        self.model, self.text, self.kind = model, text, kind
        self._states: dict[tuple[int, ...], Any] = {(): _start(model.codec, text, kind)}
        self._ends = np.array(model.codec.end_tokens, np.int64)
        if not self._allowed(()).any():
            raise InputError("no text of this model's tokens can meet it", where=f"{kind} {text!r}")

    @property
    def identity(self) -> str:
        return f"{self.kind} {self.text!r} of {self.model.identity}"

    @property
    def answers(self) -> frozenset[type[Request[Any]]]:
        return frozenset({NextToken})

    @property
    def codec(self) -> Codec:
        return self.model.codec

    @property
    def context_length(self) -> int:
        return self.model.context_length

    @property
    def chat(self) -> bool:
        return self.model.chat

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        require(self, {type(request) for request in requests})
        asked = [cast(NextToken, request) for request in requests]
        whole = [NextToken(tree=request.tree, nodes=request.nodes) for request in asked]
        for index, reply in self.model.answer(whole):
            yield index, self._masked(asked[index], reply)

    def _masked(self, request: NextToken, reply: NextTokens) -> NextTokens:
        allowed = np.array([self._allowed(tuple(request.tree.tokens(int(node)))) for node in request.nodes])
        logprob = np.where(allowed.reshape(reply.logprob.shape), reply.logprob, -np.inf)
        with np.errstate(divide="ignore"):
            mass = np.asarray(logsumexp(logprob, axis=1), np.float64)
        token, value = _reduce(logprob, request)
        return NextTokens(token=token, logprob=value, cost=reply.cost, log_mass=np.minimum(mass, 0.0))

    def _allowed(self, written: tuple[int, ...]) -> NDArray[np.bool_]:
        """Which tokens may follow what was written: ``[V]``; none after a text that is closed or has gone wrong."""
        size = self.codec.vocabulary_size
        state = self._state(written)
        if state is None:
            return np.zeros(size, np.bool_)
        accepting = state.is_accepting()
        bits = np.unpackbits(np.frombuffer(state.compute_bitmask(), np.uint8), bitorder="little")[:size]
        allowed = np.zeros(size, np.bool_)
        allowed[: bits.size] = bits if not state.is_error() else 0
        allowed[self._ends] = accepting
        return allowed

    def _state(self, written: tuple[int, ...]) -> Any:
        """The matcher after these tokens, None where there is none."""
        if written not in self._states:
            before = self._state(written[:-1])
            after = None
            if before is not None and written[-1] not in self._ends:
                after = before.deep_copy()
                after = after if after.consume_token(written[-1]) else None
            if len(self._states) >= REMEMBERED:
                self._states = {(): self._states[()]}
            self._states[written] = after
        return self._states[written]


def _reduce(logprob: FloatArray, request: NextToken) -> tuple[IntArray, FloatArray]:
    """As ``ports.select_tokens``, where a row may have lost all its mass: it draws token 0, of log-probability -inf."""
    rows, vocabulary = logprob.shape
    if request.uniform is not None:
        left = np.isfinite(logprob).any(axis=1)
        token = np.zeros((rows, 1), np.int64)
        token[left, 0] = draw(logprob[left], request.uniform[left])
    elif request.tokens is not None:
        token = np.broadcast_to(request.tokens, (rows, request.tokens.size)).astype(np.int64)
    elif request.top is not None:
        token = most_probable(logprob, request.top)
    else:
        token = np.broadcast_to(np.arange(vocabulary), logprob.shape)
    return token, np.take_along_axis(logprob, token, axis=1)


def _start(codec: Codec, text: str, kind: str) -> Any:
    try:
        import llguidance
    except ImportError:
        raise CapabilityError(
            "needs the package llguidance", where="grammar", remedy="pip install llguidance"
        ) from None
    ends = list(codec.end_tokens)
    serialised = codec.serialised if isinstance(codec, Serialised) else None
    try:
        tokenizer = llguidance.LLTokenizer(serialised or "", n_vocab=codec.vocabulary_size, eos_token=ends)
    except ValueError:  # not a tokenizer it can read
        tokenizer = llguidance.LLTokenizer(llguidance.TokenizerWrapper(_Spelled(codec)))
    make = {
        "regex": llguidance.LLMatcher.grammar_from_regex,
        "lark": llguidance.LLMatcher.grammar_from_lark,
        "json": llguidance.LLMatcher.grammar_from_json_schema,
    }[kind]
    try:
        matcher = llguidance.LLMatcher(tokenizer, make(text), log_level=0)
    except ValueError as error:
        raise InputError(f"is no {kind}: {str(error).splitlines()[0]}", where=f"grammar {text!r}") from None
    if matcher.is_error():
        lines = [line.strip() for line in matcher.get_error().splitlines() if line.strip()]
        reason = next((line for line in lines if line.startswith("error")), lines[0])
        raise InputError(f"is no {kind}: {reason}", where=f"grammar {text!r}")
    return matcher


class _Spelled:
    """A codec that is asked how each token reads behind another one, as llguidance wants to see it.

    A token that is no whole character, or has no text, is left out of every text. Where llguidance sees only one way to go
    on it wants the tokenizer's own tokens for it; they must spell exactly what was asked.
    """

    bos_token_id = None

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self.eos_token_id = codec.end_tokens[0]
        size = codec.vocabulary_size
        self._anchor = next(token for token in range(size) if _plain(codec.decode([token])))
        self._lead = codec.decode([self._anchor])
        spelled = [codec.decode([self._anchor, token])[len(self._lead) :] for token in range(size)]
        silent = {token for token, text in enumerate(spelled) if not text or "\ufffd" in text}
        self.special_token_ids = sorted(silent | set(codec.end_tokens))
        # those are written in bytes that no text holds
        special = set(self.special_token_ids)
        self.tokens = [b"\xff%d" % token if token in special else text.encode() for token, text in enumerate(spelled)]
        self._by_bytes = {text: token for token, text in reversed(list(enumerate(self.tokens))) if token not in special}
        self._longest = max(map(len, self._by_bytes), default=0)

    def __call__(self, text: Any) -> list[int]:
        raw = text if isinstance(text, bytes) else text.encode()
        try:
            head, both = self._codec.encode(self._lead), self._codec.encode(self._lead + raw.decode())
            own = both[len(head) :]
            if both[: len(head)] == head and b"".join(self.tokens[token] for token in own) == raw:
                return own
        except (InputError, UnicodeDecodeError):
            pass
        return self._longest_first(raw)

    def _longest_first(self, raw: bytes) -> list[int]:
        tokens, place = list[int](), 0
        while place < len(raw):
            ends = range(min(len(raw), place + self._longest), place, -1)
            end = next((end for end in ends if raw[place:end] in self._by_bytes), None)
            if end is None:
                break
            tokens.append(self._by_bytes[raw[place:end]])
            place = end
        return tokens


def _plain(text: str) -> bool:
    return text.isascii() and text.isalpha()
