"""One HTML page that opens offline: a template of our own round JSON data and Vega.

What a model wrote is data. In the page's text it is escaped by the template; in the JSON no ``<``, ``>`` or ``&`` is left;
the plots get it as values only; tooltips are written as text nodes. Should something slip through, the page's
Content-Security-Policy runs the two scripts whose hashes it names and nothing else, and loads nothing from anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from winnow import __version__
from winnow.report.data import RunData
from winnow.report.drawing import CONFIG
from winnow.report.samples import samples
from winnow.report.sections import Section, sections
from winnow.report.words import headline, summary

LEDGER = (
    # heading, key, format
    ("round", "round", "d"),
    ("error", "error", ".3f"),
    ("95\u00a0% interval", "interval", ""),
    ("one step ahead", "one_step", ""),
    ("free running", "free", ".3f"),
    ("accepted", "accepted", ".3f"),
    ("error of accepted", "accepted_error", ".3f"),
    ("s", "sensitivity", ".2f"),
    ("f", "false_positive_rate", ".2f"),
    ("abstentions", "abstentions", ".3f"),
    ("distinct", "effective_number", ".1f"),
    ("mean score", "mean_score", ".3f"),
    ("selection", "selection", "+.3f"),
    ("transmission", "transmission", "+.3f"),
    ("tokens so far", "tokens", ","),
)
AUDIT = (("labels so far", "labels", ","), ("s − f at least", "bound", "+.3f"))  # only where an audit was asked for


def page(
    runs: Sequence[RunData],
    *,
    title: str | None = None,
    lede: str | None = None,
    rivals: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The report of one run, or of several side by side.

    Parameters
    ----------
    runs : at least one.
    title, lede : what stands at the top; made from the first run when not given.
    rivals : records of ``winnow.adaption.rivals``, shown beside the first run.

    Returns
    -------
    HTML that holds everything it needs, about a megabyte; the same for the same data.
    """
    import jinja2

    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["number"] = number
    parts = sections(runs, rivals)
    columns = LEDGER + (AUDIT if any(row["audit"] for run in runs for row in run["rounds"]) else ())
    script, style, vega = _file("page.js"), _file("page.css"), vega_bundle()
    text = environment.from_string(_file("page.html")).render(
        kicker=" · ".join(dict.fromkeys(run["task"].get("name", "") for run in runs)).strip(" ·"),
        title=title or headline(runs),
        lede=lede,
        policy=policy([script, vega], style),
        style=style,
        script=script,
        vega=vega,
        data=embed({"config": CONFIG, "plots": _plots(parts)}),
        runs=runs,
        many=len(runs) > 1,
        summary=summary(runs),
        sections=parts,
        ledger={"headings": [heading for heading, _, _ in columns], "rows": [ledger(run, columns) for run in runs]},
        samples=[samples(run) for run in runs],
        provenance=[provenance(run) for run in runs],
        version=__version__,
    )
    # text that is not Unicode (a lone surrogate out of a model's bytes) must not keep the page from being written
    return text.encode("utf-8", "replace").decode("utf-8")


def ledger(run: RunData, columns: Sequence[tuple[str, str, str]] = LEDGER) -> list[list[str]]:
    """One row of cells a round; selection and transmission are of correctness, or of the score where gold is missing."""
    rows = []
    for row in run["rounds"]:
        terms = row["price"] or {}
        tokens = row["cost"]["prompt_tokens"] + row["cost"]["new_tokens"]
        predicted = row["predicted"] or {"one_step": {}, "free_running": {}}
        theory = {
            "interval": _interval(row["error_interval"]),
            "one_step": _interval(predicted["one_step"].get("interval")),
            "free": predicted["free_running"].get("error"),
        }
        audit = {key: row["audit"][key] for _, key, _ in AUDIT} if row["audit"] else {}
        known = {**row, **theory, **(terms.get("correctness") or terms.get("score") or {}), **audit, "tokens": tokens}
        rows.append([number(known.get(key), form) for _, key, form in columns])
    return rows


def _interval(ends: Sequence[float] | None) -> str | None:
    return None if ends is None else f"{ends[0]:.3f}–{ends[1]:.3f}"


def embed(value: Any) -> str:
    """JSON that can stand inside a script element: ASCII only, without <, > and &."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def policy(scripts: Sequence[str], style: str) -> str:
    """A Content-Security-Policy that lets exactly these scripts and this style be; loads nothing, sends nothing."""
    allowed = " ".join(_hash(script) for script in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_hash(style)}; style-src-attr 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'"
    )


def number(value: Any, form: str = ".3f") -> str:
    """A number as the page writes it; a dash for what is not known."""
    return "–" if value is None else format(value, form).replace("-", "−")


@cache
def vega_bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, out of the package vl-convert-python."""
    import vl_convert

    script = str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
    assert "</script" not in script.lower()
    assert "<!--" not in script
    return script


def provenance(run: RunData) -> list[tuple[str, str]]:
    """Names and values, nested ones with a dot; long lists as their length."""
    rows: list[tuple[str, str]] = [("model", run["model"]), ("seed", "–" if run["seed"] is None else str(run["seed"]))]

    def walk(name: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                walk(f"{name}.{key}" if name else str(key), inner)
        elif isinstance(value, list | tuple) and len(value) > 8:
            rows.append((name, f"{len(value)} of them"))
        elif value not in (None, "", [], ()):
            rows.append((name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)))

    walk("", {key: value for key, value in run["provenance"].items() if value != run["model"]})
    walk("task", run["task"])
    return rows


def _plots(parts: Sequence[Section]) -> dict[str, Any]:
    return {
        panel.id: {"spec": panel.plot.spec, "rows": panel.plot.rows}
        for part in parts
        for panel in part.panels
        if panel.plot is not None
    }


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _file(name: str) -> str:
    return (resources.files("winnow.report") / "template" / name).read_text(encoding="utf-8")
