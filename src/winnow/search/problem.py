"""A prompt to be continued, and what a search may need to know about it beside the tree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from winnow.ports.program import Program, ask
from winnow.ports.requests import Codec, Evaluate, Item, Prompt
from winnow.values.errors import CapabilityError, ContextError, InputError
from winnow.values.logspace import FloatArray, IntArray
from winnow.values.random import Key
from winnow.values.tree import Tree

ANCHOR = 8  # tokens of the prompt decoded with what follows, so that spaces come out as written


class MaskedCodec(NamedTuple):
    """What a search needs to know of a masked model: how it writes texts, and what it writes for nothing."""

    codec: Codec
    mask_token: int
    mask_text: str
    special: tuple[int, ...]  # tokens that are no part of a text


class Problem(NamedTuple):
    """What one search is given. Programs take it as their first argument."""

    prompt: Prompt
    query: str  # what an evaluator is told the text answers
    tree: Tree  # its one root holds the prompt
    codec: Codec
    key: Key
    context_length: int
    evaluated: bool = False  # whether somebody answers Evaluate
    masked: MaskedCodec | None = None  # where somebody answers FillMask
    heads: bool = False  # whether somebody answers Appraise
    causal: bool = True  # whether a language model answers Complete and LogProb

    @property
    def end_tokens(self) -> tuple[int, ...]:
        return tuple(self.codec.end_tokens)

    @property
    def spaced(self) -> bool:
        """Whether the model's texts have spaces between words."""
        try:
            return self.codec.decode(self.codec.encode("a a")).strip() == "a a"
        except InputError:
            return False

    def texts(self, tree: Tree, nodes: IntArray) -> tuple[str, ...]:
        """What was written at each node, as it continues the prompt; the model's end token is no part of it."""
        head = list(self.tree.prompts[0])
        rows = (tree.tokens(int(node)) for node in nodes)
        return tuple(
            continuation(self.codec, head, row[:-1] if row and row[-1] in self.codec.end_tokens else row)
            for row in rows
        )

    def scores(self, tree: Tree, nodes: IntArray) -> Program[FloatArray]:
        """The evaluator's scores ``[M]`` of what was written at nodes; equal texts are asked once.

        Raises
        ------
        CapabilityError
            When there is no evaluator.
        """
        if not self.evaluated:
            raise CapabilityError("needs an evaluator", where="search", remedy="give --evaluator")
        texts = [text.strip() for text in self.texts(tree, nodes)]
        different = list(dict.fromkeys(texts))
        if not different:
            return np.empty(0)
        reply = yield from ask(Evaluate(items=tuple(Item(self.query, text) for text in different)))
        score = dict(zip(different, reply.score.tolist(), strict=True))
        return np.array([score[text] for text in texts], np.float64)

    def check_room(self, depth: int) -> None:
        """Make sure that ``depth`` tokens fit behind the prompt.

        Raises
        ------
        ContextError
            Naming both lengths, before anything is asked.
        """
        length = len(self.tree.prompts[0])
        if length + depth > self.context_length:
            room = self.context_length - length
            remedy = f"at most --depth {room}" if room > 0 else "there is no room left after the prompt: shorten it"
            raise ContextError(
                f"the prompt has {length} tokens and {depth} more, the context holds {self.context_length}",
                where="prompt",
                remedy=remedy,
            )

    def check_width(self, width: int) -> None:
        """Make sure that the vocabulary can fill a width.

        Raises
        ------
        InputError
            Naming both numbers, before anything is asked.
        """
        vocabulary = self.codec.vocabulary_size
        if width > vocabulary:
            raise InputError(
                f"width {width} is over the vocabulary's {vocabulary} tokens: the first step cannot fill it",
                where="width",
                remedy=f"at most {vocabulary}",
            )

    def ends(self, texts: Sequence[str]) -> tuple[int, ...]:
        """The model's end tokens, and those that end a line or a sentence by the user's wish.

        Raises
        ------
        InputError
            When one of ``texts`` is no single token.
        """
        return (*self.end_tokens, *(self.single(text) for text in texts))

    def single(self, text: str) -> int:
        """The one token that writes ``text`` after the prompt."""
        tokens = self.tokens(text)
        if len(tokens) != 1:
            raise InputError(
                f"{text!r} is {len(tokens)} tokens of this model, not one", where="end", remedy="name a single token"
            )
        return tokens[0]

    def tokens(self, text: str) -> list[int]:
        """Tokens of ``text`` within a text, without what the model wants before one."""
        head = self.codec.encode("a")
        for lead in (head, []):
            both = self.codec.encode("a" + text if lead else text)
            if both[: len(lead)] == lead and len(both) > len(lead):
                return both[len(lead) :]
        raise InputError(f"{text!r} has no tokens of its own", where="search")


def continuation(codec: Codec, head: Sequence[int], tokens: Sequence[int]) -> str:
    """Text of ``tokens`` as they continue ``head``: the space between the two belongs to the continuation."""
    anchor = list(head[-ANCHOR:])
    before, both = codec.decode(anchor), codec.decode([*anchor, *tokens])
    return both[len(before) :] if before and both.startswith(before) else codec.decode(tokens)
