"""The texts and models of the lookahead studies: what each reads, and how it was cut out. No model here wrote any of them.

shakespeare     shakespeare_byte2M on the last 5 % of tinyshakespeare (held out from its training), in the form of its
                training: <s> before each paragraph
babyllama       babyllama_char105 on the same lines; it has no line break, so one space stands for any white space
stories         stories260K on the questions of gsm8k's test half: small stories in plain English, by people
babystories     babyllama_char105 on the same questions
wikitext        stories260K on the test half of wikitext-2: far from what it knows
bytewiki        shakespeare_byte2M on the same: far from what it knows
bundled         the bundled model on documents of its own world, made from a fresh seed: a positive control, no more
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from winnow.lookahead.texts import Document

SHARED = Path(__file__).parents[1] / ".." / "shared"
DATA, MODELS = SHARED / "data", SHARED / "models"
FRESH = "lookahead study"  # names the documents of the bundled world; no training batch has this name


class Source(NamedTuple):
    """A model and what it reads."""

    model: str
    documents: Callable[[], list[Document]]
    parameters: int
    positions: int = 20_480
    depth: int = 6


def last_lines() -> str:
    """The last 5 % of tinyshakespeare, from the beginning of a paragraph."""
    text = (DATA / "tinyshakespeare" / "input.txt").read_text()
    tail = text[int(len(text) * 0.95) :]
    return tail[tail.index("\n\n") + 2 :]


def shakespeare() -> list[Document]:
    return [Document("tinyshakespeare, last 5 %", "".join(f"<s>{one}\n\n" for one in last_lines().split("\n\n")))]


def on_one_line(text: str, known: str) -> str:
    """White space as single spaces, and nothing but known characters."""
    return re.sub(f"[^{re.escape(known)}]", "", re.sub(r"\s+", " ", text)).strip()


def known_characters() -> str:
    """What babyllama_char105 has tokens for."""
    vocabulary = json.loads((MODELS / "babyllama_char105" / "tokenizer.json").read_text())["model"]["vocab"]
    return "".join(token for token in vocabulary if len(token) == 1 and token != "▁") + " "


def on_lines_of_its_own() -> list[Document]:
    return [Document("tinyshakespeare, last 5 %", on_one_line(last_lines(), known_characters()))]


def paragraphs(before: str = "") -> list[Document]:
    """The same lines, each paragraph a document and one line: two models read the very same characters."""
    known = known_characters()
    rows = [on_one_line(one, known) for one in last_lines().split("\n\n")]
    return [Document(f"paragraph {n}", before + row) for n, row in enumerate(rows) if len(row) > 8]


def questions() -> list[Document]:
    lines = (DATA / "gsm8k" / "test.jsonl").read_text().splitlines()
    return [Document(f"gsm8k test {n}", json.loads(line)["question"]) for n, line in enumerate(lines)]


def plain_questions() -> list[Document]:
    known = known_characters()
    return [Document(one.name, on_one_line(one.text, known)) for one in questions()]


def articles() -> list[Document]:
    return [Document("wikitext-2 test", (DATA / "wikitext2_test" / "wikitext-test.txt").read_text()[:200_000])]


def world_documents() -> list[Document]:
    """Documents of the bundled world by its own mixture, from a seed of their own."""
    from world.corpus import Corpus
    from world.facts import World
    from world.recipe import EVERYTHING

    corpus, rng = Corpus(World(0)), random.Random(FRESH)
    kinds = [(kind, share) for kind, share in EVERYTHING.items()]
    mean = {}
    for kind, _ in kinds:
        lengths = [len("".join(text for text, _ in corpus.document(kind, rng).pieces)) for _ in range(30)]
        mean[kind] = sum(lengths) / len(lengths)
    shares = [share / mean[kind] for kind, share in kinds]
    found = []
    for number in range(600):
        kind = rng.choices([kind for kind, _ in kinds], shares)[0]
        text = "".join(text for text, _ in corpus.document(kind, rng).pieces)
        if len(text) > 8:
            found.append(Document(f"{kind} {number}", text))
    return found


SOURCES = {
    "shakespeare": Source(str(MODELS / "shakespeare_byte2M"), shakespeare, 2_263_680, depth=4),
    "babyllama": Source(str(MODELS / "babyllama_char105"), on_lines_of_its_own, 936_448),
    "stories": Source(str(MODELS / "stories260K"), questions, 260_032),
    "babystories": Source(str(MODELS / "babyllama_char105"), plain_questions, 936_448),
    "wikitext": Source(str(MODELS / "stories260K"), articles, 260_032),
    "bytewiki": Source(str(MODELS / "shakespeare_byte2M"), articles, 2_263_680, depth=4),
    "bundled": Source("bundled", world_documents, 1_400_000),
}

PAIRS = (  # a model and a larger one on the same documents; its name in SOURCES is whose lookahead this stands beside
    ("stories", SOURCES["stories"], SOURCES["babystories"]),
    (
        "babyllama",
        SOURCES["babyllama"]._replace(documents=paragraphs),
        SOURCES["shakespeare"]._replace(documents=lambda: paragraphs("<s>")),
    ),
)
