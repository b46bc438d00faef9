"""The tables of docs/answers/lookahead.md, from the studies' files: no number is written there by hand.

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``; ``fill`` writes it anew. Everything is in nats a
token, with 95 % intervals, on the half of the positions that nothing was fitted on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

Files = Mapping[str, Any]
READS = {
    "shakespeare": "`shakespeare_byte2M`, Shakespeare (home)",
    "babyllama": "`babyllama_char105`, Shakespeare (far)",
    "stories": "`stories260K`, gsm8k questions (far)",
    "babystories": "`babyllama_char105`, gsm8k questions (far)",
    "wikitext": "`stories260K`, wikitext-2 (far)",
    "bytewiki": "`shakespeare_byte2M`, wikitext-2 (far)",
    "bundled": "bundled model, its own world (control)",
}
COMMON = 0.6  # the power that two of the studies chose
SHOWN = ("entropy", "fitted", "random")
PARTS = (
    ("true token", "begins a beam"),
    ("true token", "begins no beam"),
    ("token frequency", "lowest quarter"),
    ("token frequency", "highest quarter"),
    ("entropy of the model", "lowest quarter"),
    ("entropy of the model", "highest quarter"),
    ("clause", "first token"),
    ("line", "last word (where a rhyme would be)"),
)
_PLACE = re.compile(r"(<!-- table: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def files_of(directory: Path) -> dict[str, Any]:
    """Every file of the studies by its name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(directory.glob("*.json"))}


def fill(page: str, files: Files) -> str:
    """The page with its tables made anew.

    Raises
    ------
    KeyError
        When the page wants a table that there is none of.
    """
    return _PLACE.sub(lambda found: f"{found[1]}{table(found[2], files)}{found[3]}", page)


def table(name: str, files: Files) -> str:
    """One table as Markdown."""
    return "".join(f"| {' | '.join(cells)} |\n" for cells in TABLES[name](files))


def told(one: Mapping[str, Any] | None, digits: int = 4) -> str:
    """An estimate with its interval; a difference that is none to the last digit is 0."""
    if one is None:
        return "-"
    if one["mean"] == one["low"] == one["high"] == 0.0:
        return "0"
    return f"{one['mean']:+.{digits}f} [{one['low']:+.{digits}f}, {one['high']:+.{digits}f}]"


def _stronger(one: Mapping[str, Any]) -> str:
    """Beyond the stronger rival; files made before there was one have none."""
    return told(one.get("control", {}).get("beyond"))


def _head(*cells: str) -> Iterator[tuple[str, ...]]:
    yield cells
    yield tuple("---" for _ in cells)


def _names(files: Files, end: str = "") -> list[str]:
    return [name for name in READS if f"{name}{end}" in files]


def headlines(files: Files) -> Iterator[tuple[str, ...]]:
    """A row a study: what the model gains by itself, what the source's mixture gains, what is left beyond depth 1."""
    yield from _head(
        "model, text", "n", "naive", "temperature alone", "rival", "source's mixture", "**beyond the rival**",
        "tokens a position", "beyond the stronger rival",
    )  # fmt: skip
    for name in _names(files):
        one = files[name]
        ahead, plain = one["headline"], one["plain"]
        yield (
            f"{READS[name]} [{name}](lookahead/{name}.md)", f"{one['reporting']:,}", f"{one['naive']['mean']:+.3f}",
            told(one["temperature"]), told(one["rival"]["gain"]), told(plain["gain"]),
            f"**{told(ahead['beyond'])}** {ahead['setting']}", f"{ahead['tokens'] - 1:.1f}", _stronger(one),
        )  # fmt: skip


def powers(files: Files) -> Iterator[tuple[str, ...]]:
    """(5) of depth 2 at every position, the same power at depth 1; the power that was chosen, and .6 beside it."""
    yield from _head(
        "model, text", "n", "tokens a position", "power", "**beyond the rival**", "the same at depth 1",
        "beyond the stronger rival",
    )  # fmt: skip
    for name in _names(files, "-power"):
        one = files[f"{name}-power"]
        row = {(r["exponent"], r["depth"]): r for r in one["table"] if r["family"] == "power"}
        best = max((r for r in row.values() if r["depth"] == 2), key=lambda r: float(r["beyond"]["tuning"]))
        stronger = {r["setting"]: r for r in one.get("control", {}).get("powers", [])}
        if "control" in one:
            stronger[one["headline"]["setting"]] = one["control"]["beyond"]
        for number, power in enumerate(dict.fromkeys((best["exponent"], COMMON))):
            this = row[power, 2]
            label = "" if number else f"{READS[name]} [{name}-power](lookahead/{name}-power.md)"
            yield (
                label, f"{this['beyond']['positions']:,}", f"{this['tokens'] - 1:.1f}",
                f"{power:g}" + ("" if number else " (chosen)"), f"**{told(this['beyond'])}**",
                told(row[power, 1]["beyond"]), told(stronger.get(this["setting"])),
            )  # fmt: skip


def shallow(files: Files) -> Iterator[tuple[str, ...]]:
    """What depth 1 does by itself: the source's mixture over the naive model, and over the rival."""
    yield from _head("model, text", "depth", "source's mixture, best", "beyond the rival, best")
    for name in _names(files):
        rows = [row for row in files[name]["table"] if row["family"] == "beams"]
        for said, mine in (
            ("1", [row for row in rows if row["depth"] == 1]),
            ("2", [row for row in rows if row["depth"] == 2]),
            ("deeper", [row for row in rows if row["depth"] > 2]),
        ):
            best = [max(mine, key=lambda row: float(row[what]["tuning"]))[what] for what in ("gain", "beyond")]
            yield (READS[name] if said == "1" else "", said, told(best[0]), told(best[1]))


def places(files: Files) -> Iterator[tuple[str, ...]]:
    """Where the headline's setting gains and loses, over the rival."""
    names = [name for name in _names(files) if files[name]["headline"]["beyond"]["weight"] > 0]
    yield from _head("share and gain beyond the rival where", *(READS[name] for name in names))
    for split, part in PARTS:
        cells = []
        for name in names:
            rows = [r for r in files[name]["splits"] if (r["of"], r["split"], r["part"]) == ("beyond", split, part)]
            cells.append(f"{rows[0]['share']:.0%}: {told(rows[0])}" if rows else "-")
        yield (f"{split}: {part}", *cells)


def spending(files: Files) -> Iterator[tuple[str, ...]]:
    """Ways of spending forward tokens: gain beyond the rival."""
    yield from _head("model, text", "way", "tokens a position", "depth 1 there", "beyond that")
    for name in [end for one in READS for end in (one, f"{one}-power") if end in files]:
        one, label = files[name], READS[name.removesuffix("-power")] + (", (5)" if name.endswith("-power") else "")
        rows = {(row["way"], row["said"]): row for row in one["ponder"]}
        for way in SHOWN:
            for share in ("20%", "50%"):
                said = f"the {share} that score highest"
                if (way, said) not in rows or (way, share) == ("random", "50%"):
                    continue
                row, flat = rows[way, said], rows[f"{way}, depth 1", said]
                yield (label, f"{way}, {share}", f"{row['tokens']:.1f}", told(flat["gain"]), told(row["gain"]))
                label = ""
        for row in one["ponder"]:
            if row["way"] == "everywhere":
                yield (label, f"everywhere: {row['said']}", f"{row['tokens']:.1f}", "", told(row["gain"]))
        for row in files.get("larger", []):
            if row["study"] == name:
                yield ("", f"a larger model: `{row['big']}`", "", told(row["gain"]), "")


def checkpoints(files: Files) -> Iterator[tuple[str, ...]]:
    """The bundled model while it was trained."""
    yield from _head(
        "million tokens", "n", "naive", "temperature", "source's mixture", "beyond the rival",
        "beyond the stronger rival", "(5) at every second position, beyond the rival",
    )  # fmt: skip
    for one in files.get("checkpoints", []):
        ahead, power = one["headline"], one["power"]
        yield (
            one["model"].removesuffix("M").lstrip("0"), f"{one['reporting']:,}", f"{one['naive']['mean']:+.3f}",
            told(one["temperature"]), told(one["plain"]["gain"]), f"{told(ahead['beyond'])} {ahead['setting']}",
            _stronger(one), f"{told(power['beyond'])} power {power['exponent']:g}",
        )  # fmt: skip


def horizons(files: Files) -> Iterator[tuple[str, ...]]:
    """How far ahead a model's own futures agree with the text more than with other places of it."""
    names = [name for name in _names(files) if files[name]["horizon"]]
    ahead = range(1, 1 + max(len(files[name]["horizon"]) for name in names))
    yield from _head("tokens ahead", *map(str, ahead))
    for name in names:
        cells = []
        for row in files[name]["horizon"]:
            one = row["agreement above chance"]
            cells.append(f"{one['mean']:.3f}" + ("" if one["low"] > 0 else " (n.s.)"))
        yield (READS[name], *cells)


def texts(files: Files) -> Iterator[tuple[str, ...]]:
    """Texts sampled from naive and amplified at equal budget."""
    yield from _head(
        "model, text", "texts", "forward tokens each", "nats a token, naive model", "repeated 4-grams", "compression",
        "variety",
    )  # fmt: skip
    for name in _names(files):
        for number, row in enumerate(files[name]["written"]):
            yield (
                "" if number else READS[name], f"{row['kind']} ({row['texts']})", f"{row['tokens']:,.0f}",
                *(told(row[key], 2) for key in ("plausibility", "repetition", "compression", "variety")),
            )  # fmt: skip


TABLES: dict[str, Callable[[Files], Iterator[tuple[str, ...]]]] = {
    "headlines": headlines,
    "powers": powers,
    "depth": shallow,
    "where": places,
    "spending": spending,
    "checkpoints": checkpoints,
    "horizon": horizons,
    "written": texts,
}
