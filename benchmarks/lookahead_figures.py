"""The figures and tables of docs/answers/lookahead.md, from the studies' files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.lookahead_page import files_of, fill
from winnow.values.records import write_text

NAMES = {
    "shakespeare": "shakespeare_byte2M on Shakespeare",
    "babyllama": "babyllama_char105 on Shakespeare",
    "stories": "stories260K on gsm8k questions",
    "babystories": "babyllama_char105 on gsm8k questions",
    "wikitext": "stories260K on wikitext-2",
    "bytewiki": "shakespeare_byte2M on wikitext-2",
    "bundled": "bundled model on its own world (control)",
    "babyllama-power": "babyllama_char105 on Shakespeare, (5) at every position",
    "babystories-power": "babyllama_char105 on gsm8k questions, (5) at every position",
    "stories-power": "stories260K on gsm8k questions, (5) at every position",
    "shakespeare-power": "shakespeare_byte2M on Shakespeare, (5) at every position",
    "bundled-power": "bundled model on its own world, (5) at every position",
}
SAID = {"gain": "gain over the naive model", "beyond": "beyond the rival"}


def draw(directory: Path) -> None:
    """Everything that can be drawn from what is there."""
    studies = {
        name: json.loads((directory / f"{name}.json").read_text())
        for name in NAMES
        if (directory / f"{name}.json").is_file()
    }
    write_text(directory / "summary.md", "\n".join(summary(studies)) + "\n")
    page = directory.with_suffix(".md")
    write_text(page, fill(page.read_text(), files_of(directory)))
    for name, study in studies.items():
        write_text(directory / f"{name}.md", "\n".join(table(name, study)) + "\n")
    whole = {name: one for name, one in studies.items() if one["horizon"]}
    _draw(directory / "depth.svg", _by_depth(whole))
    _draw(directory / "horizon.svg", _horizon(whole))
    _draw(directory / "ponder.svg", _ponder(studies))
    file = directory / "checkpoints.json"
    if file.is_file():
        _draw(directory / "checkpoints.svg", _checkpoints(json.loads(file.read_text())))


def _told(one: Mapping[str, Any], digits: int = 4) -> str:
    return f"{one['mean']:+.{digits}f} [{one['low']:+.{digits}f}, {one['high']:+.{digits}f}]"


def summary(studies: Mapping[str, Any]) -> Iterator[str]:
    """The tables of the page: headlines, splits, horizons, where to look, texts written."""
    yield "| study | reported on | naive, nats | temperature | rival | source's mixture, best | beyond the rival, best |"
    yield "|---|---|---|---|---|---|---|"
    for name, one in studies.items():
        plain, ahead = one["plain"], one["headline"]
        yield (
            f"| {NAMES[name]} | {one['reporting']:,} of {one['positions']:,} | {one['naive']['mean']:.4f} | "
            f"{_told(one['temperature'])} | {_told(one['rival']['gain'])} | {_told(plain['gain'])} "
            f"({plain['setting']}, weight {plain['gain']['weight']:.3f}) | **{_told(ahead['beyond'])}** "
            f"({ahead['setting']}, {ahead['tokens']:.1f} tokens) |"
        )
    yield ""
    yield "| study | rival |"
    yield "|---|---|"
    for name, one in studies.items():
        yield f"| {NAMES[name]} | {one['rival']['said']} |"
    yield ""
    yield "Best on the tuning half within each family and choice: gain over the naive model, and beyond the rival."
    yield ""
    yield "| study | choice | setting | gain | beyond |"
    yield "|---|---|---|---|---|"
    for name, one in studies.items():
        for choice, row in _choices(one["table"]):
            yield f"| {NAMES[name]} | {choice} | {row['setting']} | {_told(row['gain'])} | {_told(row['beyond'])} |"
    yield ""
    yield "| study | gain of | split | part | share | nats a token |"
    yield "|---|---|---|---|---|---|"
    for name, one in studies.items():
        for row in one["splits"]:
            where = f"{row['split']} | {row['part']} | {row['share']:.3f}"
            yield f"| {NAMES[name]} | {row['of']} | {where} | {_told(row)} |"
    yield ""
    heads = ("study", "texts", "forward tokens each", "nats a token, naive model", "repeated 4-grams", "compression")
    yield "| " + " | ".join([*heads, "different 2-grams", "variety"]) + " |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, one in studies.items():
        for row in one.get("written", []):
            told = [
                "-" if row[key] is None else _told(row[key], 3)
                for key in ("plausibility", "repetition", "compression", "variety")
            ]
            yield (
                f"| {NAMES[name]} | {row['kind']} ({row['texts']}) | {row['tokens']:,.0f} | {told[0]} | {told[1]} | "
                f"{told[2]} | {row['distinct']:.3f} | {told[3]} |"
            )


def _choices(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    deep = [row for row in rows if row["depth"] > 1]
    choices: dict[str, Callable[[Mapping[str, Any]], bool]] = {
        "counts (a = 0)": lambda row: bool(row["family"] == "beams" and row["exponent"] == 0),
        "probability (a = 1)": lambda row: bool(row["family"] == "beams" and row["exponent"] == 1),
        "a = 2": lambda row: bool(row["family"] == "beams" and row["exponent"] == 2),
        "linear": lambda row: bool(row["family"] == "beams" and row["mixing"] == "linear"),
        "geometric": lambda row: bool(row["family"] == "beams" and row["mixing"] == "geometric"),
        "width 2": lambda row: bool(row["family"] == "beams" and row["width"] == 2),
        "width 8": lambda row: bool(row["family"] == "beams" and row["width"] == 8),
        "depth 2": lambda row: bool(row["family"] == "beams" and row["depth"] == 2),
        "depth 6": lambda row: bool(row["family"] == "beams" and row["depth"] == 6),
        "(5)": lambda row: bool(row["family"] == "power"),
    }
    for choice, mine in choices.items():
        found = [row for row in deep if mine(row)]
        if found:
            yield choice, max(found, key=lambda row: float(row["beyond"]["tuning"]))


def table(name: str, one: Mapping[str, Any]) -> Iterator[str]:
    """Every setting of a study."""
    yield f"# {NAMES[name]}: every setting"
    yield ""
    about = f"{one['positions']:,} positions in {one['units']}; seed {one['settings']['seed']}"
    yield f"{about}. {one['verdict'].capitalize()}."
    yield ""
    heads = ("setting", "tokens a position", "coverage", "weight", "cover", "gain over the naive model", "weight")
    yield "| " + " | ".join([*heads, "beyond the rival"]) + " |"
    yield "|---|---|---|---|---|---|---|---|"
    for row in one["table"]:
        gain, beyond = row["gain"], row["beyond"]
        yield (
            f"| {row['setting']} | {row['tokens']:.1f} | {row['coverage']:.3f} | {gain['weight']:.3f} | "
            f"{gain['cover']:.3f} | {_told(gain)} | {beyond['weight']:.3f} | {_told(beyond)} |"
        )
    yield ""
    yield "| tokens ahead | agreement of futures with the text, above chance | nats above frequencies |"
    yield "|---|---|---|"
    for row in one["horizon"]:
        yield f"| {row['distance']} | {_told(row['agreement above chance'])} | {_told(row['nats above frequencies'])} |"
    yield ""
    yield "| way of spending | which | share looked at | tokens a position | gain beyond the rival |"
    yield "|---|---|---|---|---|"
    for row in one["ponder"]:
        yield f"| {row['way']} | {row['said']} | {row['share']:.3f} | {row['tokens']:.2f} | {_told(row['gain'])} |"


def _by_depth(studies: Mapping[str, Any]) -> dict[str, Any]:
    values = []
    for name, one in studies.items():
        for what in ("gain", "beyond"):
            for width in sorted({row["width"] for row in one["table"] if row["family"] == "beams"}):
                for depth in range(1, one["settings"]["depth"] + 1):
                    rows = [
                        r for r in one["table"] if r["family"] == "beams" and (r["width"], r["depth"]) == (width, depth)
                    ]
                    best = max(rows, key=lambda row: float(row[what]["tuning"]))[what]
                    values.append({
                        "study": NAMES[name], "what": SAID[what], "width": f"width {width}", "depth": depth,
                        "mean": best["mean"], "low": best["low"], "high": best["high"],
                    })  # fmt: skip
    x = {"field": "depth", "type": "ordinal"}
    return _facets(values, _lines(x, "width", "nats a token"), row="study", column="what")


def _horizon(studies: Mapping[str, Any]) -> dict[str, Any]:
    values = [
        {"study": NAMES[name], "distance": row["distance"], **row["agreement above chance"]}
        for name, one in studies.items()
        for row in one["horizon"]
    ]
    x = {"field": "distance", "type": "ordinal", "title": "tokens ahead"}
    return {"data": {"values": values}, "width": 480, "layer": _lines(x, "study", "agreement above chance")}


def _ponder(studies: Mapping[str, Any]) -> dict[str, Any]:
    values = [
        {"study": NAMES[name], "way": row["way"], "tokens": row["tokens"], **row["gain"]}
        for name, one in studies.items()
        for row in one["ponder"]
    ]
    x = {"field": "tokens", "type": "quantitative", "title": "forward tokens a position"}
    return _facets(values, _lines(x, "way", "nats a token beyond the rival"), facet="study")


def _checkpoints(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    values = [
        {"checkpoint": one["model"], "what": what, **told}
        for one in found
        for what, told in (("source's mixture", one["plain"]["gain"]), ("beyond the rival", one["headline"]["beyond"]))
    ]
    x = {"field": "checkpoint", "type": "ordinal", "title": "tokens of training"}
    return {"data": {"values": values}, "width": 480, "layer": _lines(x, "what", "nats a token")}


def _lines(x: Mapping[str, Any], colour: str, title: str) -> list[dict[str, Any]]:
    """A line of means with an interval at every point."""
    color = {"field": colour, "type": "nominal", "legend": {"labelLimit": 400}}
    mean = {"field": "mean", "type": "quantitative", "title": title}
    low = {"field": "low", "type": "quantitative"}
    return [
        {"mark": {"type": "line", "point": True}, "encoding": {"x": x, "y": mean, "color": color}},
        {
            "mark": {"type": "rule", "opacity": 0.5},
            "encoding": {"x": x, "y": low, "y2": {"field": "high"}, "color": color},
        },
    ]


def _facets(values: list[dict[str, Any]], layer: list[dict[str, Any]], **by: str) -> dict[str, Any]:
    fields: dict[str, Any] = {name: {"field": field, "type": "nominal", "title": None} for name, field in by.items()}
    return {
        "data": {"values": values},
        "facet": fields.get("facet", fields),
        **({"columns": 2} if "facet" in by else {}),
        "spec": {"width": 300, "height": 180, "layer": layer},
        "resolve": {"scale": {"y": "independent"}},
    }


def _draw(path: Path, spec: Mapping[str, Any]) -> None:
    import vl_convert

    schema = "https://vega.github.io/schema/vega-lite/v6.json"
    write_text(path, vl_convert.vegalite_to_svg({"$schema": schema, "background": "white", **spec}) + "\n")
