"""A codec of symbols: a text is symbols written one after another, and one more token ends it."""

from __future__ import annotations

from collections.abc import Sequence

from winnow.ports.requests import Prompt
from winnow.values.errors import CapabilityError, InputError


class Symbols:
    """Token ``i`` is symbol ``i``; the token after the last symbol ends a text and has no text of its own.

    Encoding takes the longest symbol that fits, from left to right. An empty text has no tokens.

    Parameters
    ----------
    vocabulary : different, non-empty symbols; a string gives one symbol a character.

    Raises
    ------
    ValueError
        When symbols repeat or one is empty.
    """

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self.symbols = tuple(vocabulary)
        if len(set(self.symbols)) != len(self.symbols) or not all(self.symbols):
            raise ValueError("symbols must differ and none may be empty")
        self._longest_first = sorted(range(len(self.symbols)), key=lambda token: -len(self.symbols[token]))

    @property
    def vocabulary_size(self) -> int:
        return len(self.symbols) + 1

    @property
    def end_tokens(self) -> tuple[int, ...]:
        return (len(self.symbols),)

    def encode(self, prompt: Prompt) -> list[int]:
        """Tokens of a text.

        Raises
        ------
        InputError
            Where no symbol fits.
        CapabilityError
            When given chat messages.
        """
        if not isinstance(prompt, str):
            raise CapabilityError("takes text, not chat messages", where="tabular model")
        tokens: list[int] = []
        place = 0
        while place < len(prompt):
            token = next((t for t in self._longest_first if prompt.startswith(self.symbols[t], place)), None)
            if token is None:
                raise InputError(
                    f"no token for {prompt[place : place + 20]!r}",
                    where="tabular model",
                    remedy=f"use its symbols: {' '.join(self.symbols[:20])}",
                )
            tokens.append(token)
            place += len(self.symbols[token])
        return tokens

    def encode_continuation(self, prompt: Prompt, continuation: str) -> list[int]:
        """Tokens of a continuation: of both together when the prompt's tokens stay what they are, else by itself."""
        head = self.encode(prompt)
        both = self.encode(f"{prompt}{continuation}") if isinstance(prompt, str) else head
        return both[len(head) :] if both[: len(head)] == head else self.encode(continuation)

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of tokens; the end token has none."""
        return "".join(self.symbols[token] for token in tokens if token < len(self.symbols))
