"""The template of one query/answer pair, and what an answer must not contain to be put into it.

Text written by the model cannot end the evaluator's prompt early or add a verdict of its own: an answer that holds the
evaluator's question or opens another pair is cut there, one that writes out a special token is cut whole.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

from winnow.ports.requests import Codec
from winnow.values.errors import InputError, nearest

FIELD = re.compile(r"\{(\w+)\}")
UNHEARD_OF = "\U0010fffd"  # for private use, so in nobody's vocabulary
LINE_END = r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]"


class Cut(NamedTuple):
    """An answer up to the first thing that does not belong into one, and whether there was such a thing."""

    text: str
    was_cut: bool


class Template:
    """A pair's template with the fields ``{query}`` and ``{answer}``; any other brace stands for itself.

    Raises
    ------
    InputError
        When there is no ``{answer}``, a field is named twice, or a field has another name (with the nearest one).
    """

    def __init__(self, text: str) -> None:
        fields = FIELD.findall(text)
        for name in fields:
            if name not in ("query", "answer"):
                raise InputError(
                    f"has no field {{{name}}}", where=f"pair {text!r}", remedy=nearest(name, ["query", "answer"])
                )
        if fields.count("answer") != 1 or fields.count("query") > 1:
            raise InputError("must hold {answer} once and {query} at most once", where=f"pair {text!r}")
        self.text = text
        before, after = text.split("{answer}")
        self._before, self._after = before, after
        literals = FIELD.sub("\0", before).split("\0")
        self.labels = tuple(label for label in (part.strip() for part in literals) if label)

    def fill(self, query: str, answer: str) -> str:
        """The whole pair; nothing inside query or answer is taken for a field."""
        return self._before.replace("{query}", query) + answer + self._after.replace("{query}", query)

    @property
    def space(self) -> str:
        """The white space right before the answer."""
        return self._before[len(self._before.rstrip()) :]

    def lead(self, query: str) -> str:
        """The pair up to its answer, without the white space right before it."""
        return (self._before[: -len(self.space)] if self.space else self._before).replace("{query}", query)


class Guard:
    """Cuts answers: at ``question``, at a line that opens with one of the template's labels, and whole ones that hold a
    special token, which would end the text or another's turn.
    """

    def __init__(self, question: str, template: Template, codec: Codec | None = None) -> None:
        # white space inside the question may be any, and a question of three words is known without its last mark
        bare = question.strip()
        words = (bare.rstrip("?!.: ") if len(bare.split()) >= 3 else bare).split()
        patterns = [r"\s+".join(map(re.escape, words))] if words else []
        patterns += [LINE_END + r"\s*" + r"\s+".join(map(re.escape, label.split())) for label in template.labels]
        self._pattern = re.compile("|".join(patterns), re.IGNORECASE) if patterns else None
        self._special = _SpecialTokens(codec, bare) if codec is not None else None

    def cut(self, answer: str) -> Cut:
        """The answer up to the first thing that does not belong into it."""
        found = self._pattern.search(answer) if self._pattern else None
        text = answer[: found.start()].rstrip() if found else answer
        if self._special is not None and self._special.written_out_in(text):
            return Cut("", True)
        return Cut(text, found is not None)


class _SpecialTokens:
    """Knows special tokens by what a codec does with them: encoding gives them, decoding gives them no text.

    The unknown token looks alike and does no harm; it is known by a character that no text of any vocabulary holds.
    """

    def __init__(self, codec: Codec, lead: str) -> None:
        self._codec, self._lead = codec, lead  # some texts have no tokens of their own, so none is encoded alone
        self._silent: dict[int, bool] = {}
        self._anchor = [token for token in self._encode("") if codec.decode([token]).strip()][-1:]
        self._usual = self._count("", unknown=frozenset())
        self._unknown = frozenset(self._count(UNHEARD_OF, unknown=frozenset()) - self._usual)

    def written_out_in(self, text: str) -> bool:
        """Whether a text holds more special tokens than any text does."""
        return bool(self._count(text, unknown=self._unknown) - self._usual)

    def _count(self, text: str, unknown: frozenset[int]) -> Counter[int]:
        return Counter(token for token in self._encode(text) if token not in unknown and self._says_nothing(token))

    def _says_nothing(self, token: int) -> bool:
        if token not in self._silent:
            with_it, without = self._codec.decode([*self._anchor, token]), self._codec.decode(self._anchor)
            self._silent[token] = with_it == without
        return self._silent[token]

    def _encode(self, text: str) -> list[int]:
        try:
            return self._codec.encode(f"{self._lead} {text}" if text else self._lead)
        except InputError:  # a text without tokens is the model's to refuse
            return []
