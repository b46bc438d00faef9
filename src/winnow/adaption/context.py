"""How a context is written, for models that read text and for models that chat, and the file it is kept in.

Text written by users and models is data: it is put between the fixed parts of a template and never searched for
placeholders, so an answer that reads "{query}" stays an answer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from winnow.evaluators.template import Template
from winnow.ports.requests import Item, Message, Prompt
from winnow.values.errors import InputError
from winnow.values.records import read_text, to_json, write_text

SETTINGS = ("model", "stop", "max_tokens", "temperature", "top_p")  # what a saved context is asked with


class Context(NamedTuple):
    """Examples and the text round them: what a loop has made, ready to answer the next query.

    >>> Context("Q: {query}\\nA: {answer}\\n", "", (Item("1+1?", "2"),)).prompt("2+2?", chat=False)
    'Q: 1+1?\\nA: 2\\nQ: 2+2?\\nA:'
    """

    pair: str
    header: str = ""
    examples: tuple[Item, ...] = ()

    def prompt(self, query: str, *, chat: bool) -> Prompt:
        """Header, examples, and the query up to where its answer begins, in the form the model reads.

        As text, the space before the answer is left to the model. As chat, the header is the system's turn, queries the
        user's, answers the assistant's.
        """
        if chat:
            return (*self.messages(), Message("user", query))
        return self.text() + Template(self.pair).lead(query)

    def text(self) -> str:
        """Header and examples as text."""
        template = Template(self.pair)
        return self.header + "".join(template.fill(*item) for item in self.examples)

    def messages(self) -> tuple[Message, ...]:
        """Header and examples as turns of a chat."""
        turns = [Message("system", self.header.strip())] if self.header.strip() else []
        for item in self.examples:
            turns += [Message("user", item.query), Message("assistant", item.answer)]
        return tuple(turns)

    def save(self, directory: Path, **settings: Any) -> None:
        """Write ``context.txt`` (text) and ``context.json`` (chat messages, pair, ``settings``) into a directory."""
        content = {
            "pair": self.pair,
            "header": self.header,
            "messages": [message._asdict() for message in self.messages()],
            **settings,
        }
        write_text(directory / "context.txt", self.text())
        write_text(directory / "context.json", to_json(content, indent=2) + "\n")

    @classmethod
    def load(cls, directory: Path) -> tuple[Context, dict[str, Any]]:
        """Read what ``save`` wrote: the context, and the settings beside it.

        Raises
        ------
        InputError
            When the file is missing or is not one of ours.
        """
        path = directory / "context.json"
        try:
            content = json.loads(read_text(path))
            turns = [Message(turn["role"], turn["content"]) for turn in content.pop("messages")]
            pair, header = content.pop("pair"), content.pop("header")
            turns = [turn for turn in turns if turn.role != "system"]
            items = tuple(Item(q.content, a.content) for q, a in zip(turns[::2], turns[1::2], strict=True))
            settings = {name: content[name] for name in SETTINGS}
            Template(pair)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"is not a context: {error!r}", where=str(path), remedy="winnow adapt --out DIR writes one"
            ) from None
        return cls(pair, header, items), settings


def prompts(
    pair: str, header: str, contexts: Sequence[Sequence[Item]], queries: Sequence[str], chat: bool
) -> tuple[Prompt, ...]:
    """One prompt a query, each in its own context."""
    return tuple(
        Context(pair, header, tuple(examples)).prompt(query, chat=chat)
        for examples, query in zip(contexts, queries, strict=True)
    )
