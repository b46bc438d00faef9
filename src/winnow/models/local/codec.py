"""A transformers tokenizer as a codec: the one place of a local model where text and tokens meet.

A text prompt is encoded as it stands with whatever the tokenizer puts before a text; special tokens written out in it
count as such. Chat messages go through the model's own template, ready for the assistant's turn; when the last message is
the assistant's own, it is left open to be continued.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any, TypeAlias

from winnow.ports.requests import Message, Prompt
from winnow.values.errors import CapabilityError, InputError

ANCHOR = 8  # tokens of the prompt that are decoded together with what follows, so that spaces come out as written
NEAR = 40  # characters of the prompt, and more up to a space, that a continuation is encoded together with
BORDERS = ("\n", ".", "a")  # texts to stand in for a prompt's end
_Front: TypeAlias = tuple[str, bool, list[int]]  # a text, whether special tokens are put around it, its tokens


class TransformersCodec:
    """Text to tokens and back.

    Parameters
    ----------
    tokenizer : a transformers tokenizer.
    name : the model's, for errors.
    vocabulary_size : of the model's output, which may exceed the tokenizer's.
    end_tokens : tokens with which the model ends a text.
    """

    def __init__(self, tokenizer: Any, *, name: str, vocabulary_size: int, end_tokens: tuple[int, ...]) -> None:
        self._tokenizer, self._name = tokenizer, name
        self._size, self._ends = vocabulary_size, end_tokens
        self._backend = getattr(tokenizer, "backend_tokenizer", None)
        self._unknown: int | None = tokenizer.unk_token_id
        self._end: int | None = tokenizer.eos_token_id
        self._end_text = str(tokenizer.eos_token)
        self._special = frozenset(tokenizer.all_special_ids) - {self._unknown}
        self._start = next(
            (t for t in (tokenizer.bos_token_id, tokenizer.eos_token_id, *end_tokens) if t is not None), None
        )

    @property
    def vocabulary_size(self) -> int:
        return self._size

    @property
    def end_tokens(self) -> tuple[int, ...]:
        return self._ends

    @property
    def unknown_token(self) -> int | None:
        """The token that stands for what the tokenizer cannot write; None where it can write everything."""
        return self._unknown

    @property
    def chat(self) -> bool:
        """Whether the tokenizer brings a chat template."""
        return bool(self._tokenizer.chat_template)

    @property
    def serialised(self) -> str | None:
        """The tokenizer as tokenizers' JSON, without padding and truncation; None where it is not one of theirs."""
        if self._backend is None:
            return None
        plain = copy(self._backend)
        plain.no_padding()
        plain.no_truncation()
        return str(plain.to_str())

    def encode(self, prompt: Prompt) -> list[int]:
        """Tokens of a prompt; never empty: a text of no tokens becomes the model's start (else end) token.

        Raises
        ------
        InputError
            When the tokenizer has no tokens for the text, or the chat template refuses the messages.
        CapabilityError
            When messages are given and there is no chat template.
        """
        return self.encode_all([prompt])[0]

    def encode_all(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """``encode`` for many prompts at once."""
        return [self._checked(row, prompt) for row, prompt in zip(self._rows(prompts), prompts, strict=True)]

    def encode_continuations(
        self, prompts: Sequence[Prompt], continuations: Sequence[Sequence[str]]
    ) -> tuple[list[list[int]], list[list[list[int] | None]]]:
        """Prompts' tokens, and the tokens of each continuation after its prompt.

        A continuation is encoded together with its prompt and split where the prompt ends; when the tokenizer joins
        tokens across that border, it is encoded without the prompt, in the way that reads as the continuation after it
        (some tokenizers put a space before a text that stands alone). None stands for a continuation the tokenizer can
        only write with its unknown token: the model cannot have written it.
        """
        heads = self.encode_all(prompts)
        texts = [self._text(prompt) for prompt in prompts]
        pairs = [(row, words) for row, many in enumerate(continuations) for words in many]
        near = self._near(heads, texts)
        whole = [(text, not isinstance(prompt, tuple), head) for text, prompt, head in zip(texts, prompts, heads)]
        tails = self._split([(*(near[row] or whole[row]), words) for row, words in pairs])
        again = [place for place, (row, _) in enumerate(pairs) if tails[place] is None and near[row]]
        for place, tail in zip(again, self._split([(*whole[pairs[p][0]], pairs[p][1]) for p in again]), strict=True):
            tails[place] = tail
        result: list[list[list[int] | None]] = [[] for _ in prompts]
        for (row, words), tail in zip(pairs, tails, strict=True):
            tail = self._apart(heads[row], words) if tail is None else tail
            result[row].append(None if self._unknown is not None and self._unknown in tail else tail)
        return heads, result

    def _near(self, heads: Sequence[list[int]], texts: Sequence[str]) -> list[_Front | None]:
        """The end of each prompt from a space on, when its tokens alone are those it has in the prompt.

        A continuation is then encoded after this end and not after the whole prompt again.
        """
        found: list[_Front | None] = [None] * len(texts)
        cuts = [text.rfind(" ", 0, max(0, len(text) - NEAR)) for text in texts]
        for after in (0, 1):  # some tokenizers put a space before any text, so that one begins after the space
            left = [index for index, cut in enumerate(cuts) if cut > 0 and found[index] is None]
            ends = [texts[index][cuts[index] + after :] for index in left]
            rows = self._encode_mixed([(end, False) for end in ends])
            for index, end, row in zip(left, ends, rows, strict=True):
                if row and heads[index][-len(row) :] == row:
                    found[index] = (end, False, row)
        return found

    def _split(self, asked: Sequence[tuple[str, bool, list[int], str]]) -> list[list[int] | None]:
        """What words become after a text: tokens of both less the text's; None where the text's are not among them."""
        joint = self._encode_mixed([(text + words, special) for text, special, _, words in asked])
        return [
            tokens[len(head) :] if tokens[: len(head)] == head else None
            for tokens, (_, _, head, _) in zip(joint, asked, strict=True)
        ]

    def _apart(self, head: list[int], words: str) -> list[int]:
        """Tokens of a continuation that cannot be encoded with its prompt."""
        alone, *after = self._encode_mixed([(border + words, False) for border in ("", *BORDERS)])
        borders = self._encode_mixed([(border, False) for border in BORDERS])
        ways = [alone, *(row[len(b) :] for row, b in zip(after, borders, strict=True) if row[: len(b)] == b)]
        return next((way for way in ways if self.decode_after(head, way) == words), alone)

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of tokens, special tokens left out."""
        if self._backend is not None:
            return str(self._backend.decode(list(tokens), skip_special_tokens=True))
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def decode_after(self, prompt: Sequence[int], tokens: Sequence[int]) -> str:
        """Text of ``tokens`` as they continue ``prompt``: the space between the two belongs to the continuation."""
        anchor = list(prompt[-ANCHOR:])
        before, both = self.decode(anchor), self.decode([*anchor, *tokens])
        return both[len(before) :] if before and both.startswith(before) else self.decode(tokens)

    def _rows(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        asked = [(self._text(prompt), not isinstance(prompt, tuple)) for prompt in prompts]
        return self._together(asked) or self._encode_mixed(asked)

    def _together(self, asked: Sequence[tuple[str, bool]]) -> list[list[int]] | None:
        """Rows of texts with a long common beginning, which is encoded once; None where that would not do.

        The cut is at a space, with ``NEAR`` common characters behind it, so that it lies alike in every text; what comes of
        it is compared with the first and the last text encoded whole.
        """
        texts = [text for text, _ in asked]
        first, last = min(texts, default=""), max(texts, default="")
        shared = next((at for at, pair in enumerate(zip(first, last)) if pair[0] != pair[1]), len(first))
        cut = first.rfind(" ", 0, max(0, shared - NEAR))
        if len(set(texts)) < 4 or cut < NEAR or len({special for _, special in asked}) > 1:
            return None
        for after in (0, 1):
            front, *whole = self._encode_mixed([(texts[0][: cut + after], asked[0][1]), asked[0], asked[-1]])
            for end in (len(front), len(front) - 1):  # the space alone may be a token of its own there
                rests = self._encode_mixed([(text[cut + after :], False) for text in (texts[0], texts[-1])])
                if all(row == front[:end] + rest for row, rest in zip(whole, rests, strict=True)):
                    every = self._encode_mixed([(text[cut + after :], False) for text in texts])
                    return [front[:end] + rest for rest in every]
        return None

    def _encode_mixed(self, texts: Sequence[tuple[str, bool]]) -> list[list[int]]:
        rows: dict[tuple[str, bool], list[int]] = {}
        for special in (True, False):
            mine = [text for text, wants in dict.fromkeys(texts) if wants is special]
            if mine:
                encoded = self._tokenizer(mine, add_special_tokens=special, return_attention_mask=False, verbose=False)[
                    "input_ids"
                ]
                rows.update(zip(((text, special) for text in mine), encoded, strict=True))
        return [self._open(list(rows[one]), one[0]) for one in texts]

    def _open(self, row: list[int], text: str) -> list[int]:
        """Drop an end token that the tokenizer put after the text."""
        return row[:-1] if row and row[-1] == self._end and not text.endswith(self._end_text) else row

    def _text(self, prompt: Prompt) -> str:
        if isinstance(prompt, str):
            return prompt
        if not self.chat:
            raise CapabilityError("has no chat template", where=self._name, remedy="give the prompt as text")
        messages = [Message(*message)._asdict() for message in prompt]
        resume = bool(messages) and messages[-1]["role"] == "assistant"
        try:
            return str(
                self._tokenizer.apply_chat_template(
                    messages, tokenize=False, add_generation_prompt=not resume, continue_final_message=resume
                )
            )
        except Exception as error:  # whatever the template's author raises
            raise InputError(f"the chat template refuses the messages: {error}", where=self._name) from None

    def _checked(self, row: list[int], prompt: Prompt) -> list[int]:
        content = [token for token in row if token not in self._special]
        text = prompt if isinstance(prompt, str) else " ".join(message.content for message in prompt)
        if content and self._unknown is not None and all(token == self._unknown for token in content):
            shown = text if len(text) <= 60 else text[:57] + "..."
            raise InputError(
                f"its tokenizer has no tokens for {shown!r}", where=self._name, remedy="use words this model knows"
            )
        if not row and self._start is None:
            raise InputError(
                "cannot start from an empty prompt", where=self._name, remedy="give at least one token of text"
            )
        return row or [int(self._start or 0)]
