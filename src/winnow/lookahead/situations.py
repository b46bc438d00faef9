"""Situations in which a choice is made before its reason is written: articles before nouns, lines before their rhymes.

Knows the files they come from and what makes one usable. Knows no model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from winnow.values.errors import InputError, nearest
from winnow.values.random import Key, choose
from winnow.values.records import parse_jsonl, read_text

KEYS = ("context", "openings", "initials", "neutral", "ending", "group", "cluster", "unseen")
VARIANTS = 3  # of a situation of the bundled world: behind no, one and two couplets


@dataclass(frozen=True, kw_only=True)
class Situation:
    """A context, openings to choose between, and after any of them an ending that agrees with some openings.

    Openings with the same endings are one *class*; an ending belongs to one class. For articles the openings are " a"
    and " an", the endings nouns; for a rhyme the openings are things, the endings their colours and what rhymes.

    Parameters
    ----------
    context : text up to the choice.
    openings : each opening with the endings that agree with it; texts with their leading spaces.
    initials : endings are small letters, each for all words that begin with it: then the endings cover what can come.
    neutral : openings that agree with every ending (" the"): what is written after them is what the model has in mind.
    ending : the ending that the context demands; then neutral openings are not needed.
    group, cluster : figures are made a group; situations of one cluster are resampled together.
    unseen : openings that training never had in this context, where that is known.

    Raises
    ------
    InputError
        When there are fewer than two classes, an ending belongs to two, begins another, or all begin with the same letter.
    """

    context: str
    openings: Mapping[str, tuple[str, ...]]
    initials: bool = False
    neutral: tuple[str, ...] = ()
    ending: str | None = None
    group: str = "all"
    cluster: str = ""
    unseen: tuple[str, ...] = ()
    where: str = ""

    def __post_init__(self) -> None:
        def refuse(message: str, remedy: str) -> None:
            raise InputError(message, where=self.where, remedy=remedy)

        if not self.context or not all(self.openings) or not all(all(ends) and ends for ends in self.openings.values()):
            refuse("context, openings and endings must not be empty", "give each opening its endings")
        if len(self.classes) < 2:
            refuse("all openings have the same endings", "give openings that agree with different endings")
        every = [ending for ends in self.classes for ending in ends]
        for one in every:
            if every.count(one) > 1:
                refuse(f"ending {one!r} agrees with two openings", "leave it out, or give both the same endings")
            for other in every:
                if other != one and other.startswith(one):
                    refuse(f"ending {one!r} begins {other!r}", "leave one of them out")
        if len({one.lstrip()[:1] for one in every}) < 2:
            refuse("all endings begin with the same letter", "give endings with different first letters")
        if self.initials and not all(len(one) == 1 and one.islower() for one in every):
            refuse("initials must be small letters", 'for example {" a": "bcdfghjklmnpqrstvwxyz", " an": "aeiou"}')
        if self.ending is None and not self.neutral:
            refuse("nothing says what the ending would be", "give 'ending', or 'neutral' openings such as [\" the\"]")
        if self.ending is not None and self.ending not in every:
            refuse(f"the ending {self.ending!r} is no opening's", nearest(self.ending, every))
        if stray := [one for one in self.unseen if one not in self.openings]:
            refuse(f"{stray[0]!r} is no opening", nearest(stray[0], self.openings))

    @cached_property
    def classes(self) -> tuple[tuple[str, ...], ...]:
        """Sets of endings, in order of first appearance: ``K``."""
        return tuple(dict.fromkeys(tuple(dict.fromkeys(ends)) for ends in self.openings.values()))

    def class_of(self, opening: str) -> int:
        """The class an opening belongs to."""
        return self.classes.index(tuple(dict.fromkeys(self.openings[opening])))

    @property
    def demanded(self) -> int | None:
        """The class of the ending that the context demands; None where the model is to tell."""
        return next((k for k, ends in enumerate(self.classes) if self.ending in ends), None)

    @property
    def frame(self) -> tuple[tuple[str, ...], ...]:
        """What must be the same for two situations' openings to be compared: which openings make which class."""
        return tuple(tuple(o for o in self.openings if self.class_of(o) == k) for k in range(len(self.classes)))


def read_situations(path: Path) -> list[Situation]:
    """Situations of a JSON-lines file, one a line; also of the bundled world's ``articles.jsonl`` and ``rhymes.jsonl``.

    Raises
    ------
    InputError
        Naming the line: not JSON, a key that is missing, unknown or of another type, a situation that is none.
    """
    rows = list(parse_jsonl(read_text(path), str(path)))
    if not rows:
        raise InputError("holds no situations", where=str(path), remedy="one JSON object a line, see --help")
    for keys, build in (({"article", "noun"}, world_articles), ({"answer", "everyday"}, world_rhymes)):
        if keys <= rows[0][1].keys():
            try:
                return build([row for _, row in rows])
            except (KeyError, StopIteration) as error:
                raise InputError(
                    f"is not like the bundled world's file: {error}", where=str(path), remedy="see --help"
                ) from None
    return [_situation(row, f"{path}:{line}") for line, row in rows]


def english(name: str) -> list[Situation]:
    """The built-in English ones: "articles" or "rhymes"."""
    text = (resources.files("winnow") / "data" / "english" / f"{name}.jsonl").read_text(encoding="utf-8")
    return [_situation(row, f"english {name}:{line}") for line, row in parse_jsonl(text, f"english {name}")]


def world(name: str) -> list[Situation]:
    """The bundled world's: "articles" or "rhymes"."""
    text = (resources.files("winnow") / "data" / f"{name}.jsonl").read_text(encoding="utf-8")
    rows = [row for _, row in parse_jsonl(text, name)]
    return (world_articles if name == "articles" else world_rhymes)(rows)


def world_articles(rows: Sequence[Mapping[str, Any]]) -> list[Situation]:
    """Couplets up to their second article; the noun is the one that rhymes. Each behind no, one and two other couplets.

    Every noun of the rows is an ending of its article. Nouns that rhyme with each other are one cluster.
    """
    nouns = {article: tuple(r["noun"] for r in rows if r["article"] == article) for article in (" a", " an")}
    plain = [row for row in rows if row["seen"] == "couplet"] or list(rows)
    couplets = [f"{row['prompt']}{row['article']}{row['noun']}.\n" for row in plain]
    before = _before(len(rows), couplets)
    return [
        Situation(
            context=before[index][variant] + row["prompt"],
            openings=nouns,
            ending=row["noun"],
            group=f"articles: {row['seen']}",
            cluster=" ".join(sorted((row["noun"].strip(), row["rhymes_with"].strip()))),
            where=f"articles {index + 1}",
        )
        for index, row in enumerate(rows)
        for variant in range(VARIANTS)
    ]


def world_rhymes(rows: Sequence[Mapping[str, Any]]) -> list[Situation]:
    """Second lines of colour couplets up to the thing whose colour must rhyme: which thing is chosen?

    A thing's own endings are the everyday colour and whatever else rhymes with it. Rows of one first line are one
    situation and, with what stands before them, one cluster.
    """
    lines: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        lines.setdefault(row["rhymes_with"], []).append(row)
    rhyming = {noun: {str(row["answer"]) for row in mine} for noun, mine in lines.items()}
    own = {
        str(row["everyday"]): tuple(sorted(rhyming[noun]))
        for noun, mine in lines.items()
        for row in mine
        if row["everyday_rhymes"]
    }
    starts = {noun: _shared([str(row["prompt"]) for row in mine]) for noun, mine in lines.items()}
    couplets = [f"{row['prompt']}{row['answer']}.\n" for row in rows if row["seen"]]
    before = _before(len(lines), couplets)
    return [
        Situation(
            context=before[index][variant] + starts[noun],
            openings={row["prompt"][len(starts[noun]) :]: own[row["everyday"]] for row in mine},
            ending=next(str(row["answer"]) for row in mine if row["everyday_rhymes"]),
            group="rhymes: the thing before its colour",
            cluster=noun,
            unseen=tuple(row["prompt"][len(starts[noun]) :] for row in mine if not row["seen"]),
            where=f"rhymes {noun.strip()}",
        )
        for index, (noun, mine) in enumerate(lines.items())
        for variant in range(VARIANTS)
    ]


def shared(rows: Sequence[Sequence[Any]]) -> int:
    """How long a beginning all rows have in common."""
    return next((place for place, column in enumerate(zip(*rows)) if len(set(column)) > 1), min(map(len, rows)))


def _before(num: int, couplets: Sequence[str]) -> list[list[str]]:
    """For each of ``num`` situations: nothing, one couplet, two couplets to stand before it."""
    drawn = choose(Key(0).child("lookahead", "before"), "couplets", range(num), len(couplets), VARIANTS - 1)
    return [["".join(couplets[one] for one in row[:variant]) for variant in range(VARIANTS)] for row in drawn]


def _shared(texts: Sequence[str]) -> str:
    """What texts begin with in common, up to a space that is not of it."""
    common = texts[0][: shared(texts)]
    return common[: common.rstrip().rfind(" ")] if common.rstrip() == common else common.rstrip()


def _situation(row: Mapping[str, Any], where: str) -> Situation:
    for name in row:
        if name not in KEYS:
            raise InputError(f"unknown key {name!r}", where=where, remedy=nearest(name, KEYS))
    initials = "openings" not in row and "initials" in row
    for name in ("context", "initials" if initials else "openings"):
        if name not in row:
            raise InputError(f"has no key {name!r}", where=where, remedy=nearest(name, row))
    texts = [row["context"], *(row[name] for name in ("ending", "group", "cluster") if row.get(name) is not None)]
    listed = [row.get(name, []) for name in ("neutral", "unseen")]
    openings = row["initials" if initials else "openings"]
    if initials and isinstance(openings, dict):
        openings = {name: list(ends) if isinstance(ends, str) else ends for name, ends in openings.items()}
    if isinstance(openings, dict):
        listed += openings.values()
    if (
        not isinstance(openings, dict)
        or not all(isinstance(one, str) for one in texts)
        or not all(isinstance(many, list) and all(isinstance(one, str) for one in many) for many in listed)
    ):
        raise InputError(
            "a value has the wrong type",
            where=where,
            remedy="context, ending, group and cluster are text, neutral and unseen lists, openings lists by their text",
        )
    return Situation(
        context=row["context"],
        openings={name: tuple(ends) for name, ends in openings.items()},
        initials=initials,
        neutral=tuple(row.get("neutral", ())),
        ending=row.get("ending"),
        group=row.get("group") or "all",
        cluster=row.get("cluster") or "",
        unseen=tuple(row.get("unseen", ())),
        where=where,
    )
