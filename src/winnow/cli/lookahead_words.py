"""``winnow lookahead words``: does a character-level model find the words of unspaced text?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from winnow.cli.options import warnings_in_a_line

if TYPE_CHECKING:
    from winnow.lookahead.clusters import Interval
    from winnow.lookahead.segmentation import Report, Way
    from winnow.lookahead.unspaced import Line


@click.command()
@click.argument("model", metavar="MODEL")
@click.argument("texts", metavar="TEXT...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--held-out",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.05,
    show_default=True,
    help="The last share of TEXT, whose lines lose their spaces; the rest is where the floor's words come from.",
)
@click.option("--lexicon", type=click.Path(path_type=Path), help="Take the floor's words from this text instead.")
@click.option(
    "--max-lines", type=click.IntRange(min=1), default=200, show_default=True, help="Lines to take, by chance, at most."
)
@click.option(
    "--max-characters", type=click.IntRange(min=2), default=60, show_default=True, help="Leave longer lines out."
)
@click.option(
    "--width", type=click.IntRange(min=1), default=4, show_default=True, help="Segmentations kept for the ceiling."
)
@click.option(
    "--memory",
    type=click.IntRange(min=0),
    default=12,
    show_default=True,
    help="Segmentations that end in so many same characters are one: dynamic programming. 0: never.",
)
@click.option(
    "--lags",
    default="2,4,8",
    show_default=True,
    help="Decide a space after so many characters; a way each. An empty text: none.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Names the lines and the bootstrap's numbers.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, all else on stderr.")
@click.option("--device", default=None, help="Where a local model runs: cpu, cuda, mps.")
@click.option("--batch-size", type=click.IntRange(min=1), default=None, help="Rows a local model takes at once.")
def words(model: str, texts: tuple[Path, ...], **options: Any) -> int:
    """Does MODEL's left-to-right choice segment TEXT without its spaces?

    At each character a character-level model decides whether a space comes first: by one forward pass, one or more
    characters ahead, and by the best way to the end of the line (the ceiling: dynamic programming of a --width). The floor
    takes the longest known word. F1 counts spaces; intervals are over lines.

    \b
    winnow lookahead words path/to/model text.txt
    winnow lookahead words path/to/model text.txt --max-lines 50 --width 64 --memory 0 --json
    """
    from winnow.lookahead.segmentation import compare
    from winnow.lookahead.unspaced import alphabet_of, words_of
    from winnow.models.load import load
    from winnow.ports.program import run
    from winnow.values.random import Key
    from winnow.values.records import read_text, to_json

    lags = _lags(options["lags"])
    key = Key(options["seed"]).child("lookahead", "words")
    rest, lines = _split([(path, read_text(path)) for path in texts], options["held_out"])
    lexicon = words_of(read_text(options["lexicon"]) if options["lexicon"] else rest)
    lines = _some(lines, options["max_characters"], options["max_lines"], key)
    if not lexicon:
        from winnow.values.errors import InputError

        raise InputError(
            "no text is left for the floor's words", where="--held-out", remedy="lower it, or give --lexicon"
        )
    local = {name: options[name] for name in ("device", "batch_size") if options[name] is not None}
    with warnings_in_a_line():
        loaded = load(model, **local)
        alphabet = alphabet_of(loaded.codec, lines, name=model)
        report = run(
            compare(
                lines, alphabet, lexicon, width=options["width"], lags=lags, memory=options["memory"] or None, key=key
            ),
            loaded,
        )
    click.echo(to_json({"model": model, **as_object(report)}) if options["as_json"] else table(report))
    click.echo(report.verdict, file=sys.stderr if options["as_json"] else sys.stdout)
    return 0


def _lags(text: str) -> list[int]:
    from winnow.values.errors import InputError

    try:
        lags = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        lags = [0]
    if any(lag < 1 for lag in lags):
        raise InputError(f"{text!r} is no list of numbers from 1 up", where="--lags", remedy="for example 2,4,8")
    return lags


def _split(texts: list[tuple[Path, str]], share: float) -> tuple[str, list[Line]]:
    """The beginnings of all texts together, and the lines of their ends."""
    from winnow.lookahead.unspaced import lines_of

    rests, lines = [], []
    for path, text in texts:
        cut = text.rfind("\n", 0, round(len(text) * (1 - share))) + 1 if share < 1 else 0
        rests.append(text[:cut])
        lines += lines_of(text[cut:], text.count("\n", 0, cut) + 1, name=str(path))
    return "\n".join(rests), lines


def _some(lines: list[Line], longest: int, num: int, key: Any) -> list[Line]:
    from winnow.values.errors import InputError
    from winnow.values.random import permutation

    fitting = [line for line in lines if len(line.characters) <= longest]
    if not fitting:
        raise InputError(
            f"no line of at least two words and at most {longest} characters",
            where="TEXT",
            remedy="raise --held-out or --max-characters, or give more text",
        )
    return [fitting[index] for index in sorted(permutation(key, "lines", len(fitting))[:num])]


def as_object(report: Report) -> dict[str, Any]:
    """JSON of a report; an estimate is {value, low, high}."""

    def plain(value: Any) -> Any:
        return value._asdict() if hasattr(value, "_asdict") else value

    ways = [{name: plain(value) for name, value in way._asdict().items()} for way in report.ways]
    return {**report._asdict(), "ways": ways, "verdict": report.verdict}


def table(report: Report) -> str:
    """A row a way."""

    def shown(one: Interval | None, sign: str = "") -> str:
        return "-" if one is None else f"{one.value:{sign}.3f} ({one.low:{sign}.3f} to {one.high:{sign}.3f})"

    def row(way: Way) -> tuple[str, ...]:
        rest = (f"{one.value:.3f}" for one in (way.precision, way.recall, way.whole))
        return way.name, shown(way.f1), *rest, shown(way.gain, "+")

    head = ("spaces put by", "F1", "precision", "recall", "whole lines", "F1 over greedy")
    rows = [head, *(row(way) for way in report.ways)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    told = [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
    told.append(
        f"{report.num_lines} lines, {report.num_characters} characters, {report.num_spaces} spaces. The ceiling is proven "
        f"for {report.proven:.0%} of the lines; in {report.truth_higher:.1%} the line's own spaces are more probable (a "
        f"mistake of the search), in {report.found_higher:.1%} less (of the model). Nats a line: found "
        f"{report.logprob[0]:.2f}, own {report.logprob[1]:.2f}."
    )
    return "\n".join(told)
