"""The report in a real headless Chromium: no errors, as many marks as rows, and markup in answers stays text."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.chromium import NAMES, Chromium
from tests.support.runs import MARKUP, hostile_run, small_run
from winnow.report import write_report

RIVALS = [
    {"rival": name, "samples": 1, "error": 0.4, "error_interval": [0.3, 0.5], "n": 42, "tokens": 1000, "note": note}
    for name, note in (("greedy", ""), (f"header {MARKUP[0]}", repr(MARKUP[1])))
]

# a mark is what Vega holds for it and what the page shows for it; a line shows all its points as one path
COUNT = """
Object.fromEntries(Object.entries(winnowViews).map(([id, view]) => {
  const found = {};
  const walk = (mark) => {
    if (mark.name && mark.name.endsWith("_marks")) found[mark.name.slice(0, -6)] = mark.items.length;
    for (const item of mark.items) for (const inner of item.items || []) if (inner.marktype) walk(inner);
  };
  walk(view.scenegraph().root);
  const shown = {};
  for (const group of document.getElementById(id).querySelectorAll("g[class*='_marks']")) {
    const name = [...group.classList].find((one) => one.endsWith("_marks")).slice(0, -6);
    shown[name] = group.classList.contains("mark-line") ? "line" : group.children.length;
  }
  return [id, { found, shown }];
}))
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        reason = "no Chromium here (Debian: apt-get install chromium)"
        if os.environ.get("WINNOW_REQUIRE_CHROMIUM") == "1":
            pytest.fail(f"{reason}, and WINNOW_REQUIRE_CHROMIUM=1 forbids skipping")
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="winnow-chromium-", ignore_cleanup_errors=True) as profile:
        browser = Chromium(program, profile)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One run, several with rivals, one without gold, one that is all markup."""
    place, run, hostile = tmp_path_factory.mktemp("pages"), small_run(), hostile_run()
    control = small_run(select="random", buffer="appended")
    blind = small_run(gold=None, abstentions=())
    return {
        "one": write_report([run], place / "one.html"),
        "several": write_report([run, control, hostile], place / "several.html", labels=list("abc"), rivals=RIVALS),
        "blind": write_report([blind], place / "blind.html"),
        "hostile": write_report(
            [hostile], place / "hostile.html", labels=[f"label {MARKUP[0]}"], lede=MARKUP[3], rivals=RIVALS
        ),
    }


KINDS = ("one", "several", "blind", "hostile")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_opens_without_a_complaint_and_loads_nothing(chromium, pages, kind, dark):
    chromium.open(pages[kind], dark=dark)
    assert chromium.complaints == []
    assert chromium.evaluate("performance.getEntriesByType('resource').length") == 0


@pytest.mark.parametrize("kind", KINDS)
def test_every_plot_shows_as_many_marks_as_it_has_rows(chromium, pages, kind):
    chromium.open(pages[kind])
    rows = {id: plot["rows"] for id, plot in data_of(pages[kind])["plots"].items()}
    counted = chromium.evaluate(COUNT)
    assert {id: marks["found"] for id, marks in counted.items()} == rows
    for id, marks in counted.items():
        assert all(shown in ("line", rows[id][name]) for name, shown in marks["shown"].items()), id
        assert marks["shown"].keys() == rows[id].keys(), id


def test_the_marks_are_those_of_the_ledger(chromium, pages):
    run = small_run()
    chromium.open(pages["one"])
    found = {id: marks["found"] for id, marks in chromium.evaluate(COUNT).items()}
    rounds = len(run.rounds)
    predicted = {"band": rounds - 1, "expected": rounds - 1}
    assert found["error-0"] == predicted | dict.fromkeys(("closed", "free", "interval", "measured"), rounds)
    assert found["price-0"]["change"] == rounds - 1
    assert found["kinds-0"]["kind"] == sum(share > 0 for row in run.rounds for share in row["kinds"].values())
    ancestors, young = set(), [answer.number for answer in run.examples]
    while young:
        ancestors |= set(young)
        young = sorted({parent for number in young for parent in run.answers[number].parents} - ancestors)
    assert found["lineage-0"]["ancestor"] == len(ancestors)


@pytest.mark.parametrize("kind", KINDS)
def test_a_plot_takes_no_place_but_its_own(chromium, pages, kind):
    body = pages[kind].read_text(encoding="utf-8").split('<script type="application/json"')[0]
    written = re.findall(r"<h2[^>]*>([^<]+)</h2>", body)
    chromium.open(pages[kind])
    assert chromium.evaluate("[...document.querySelectorAll('h2')].map((one) => one.textContent)") == written
    ids = chromium.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids))


def test_markup_in_answers_queries_and_labels_is_text(chromium, pages):
    chromium.open(pages["hostile"])
    assert chromium.complaints == []  # a dialog would be one
    tags = Counter(chromium.evaluate("[...document.querySelectorAll('*')].map((one) => one.localName)"))
    assert tags["script"] == 3
    assert tags["img"] == tags["iframe"] == 0
    text = chromium.evaluate("document.body.textContent.replace(/\\r/g, '')")
    visible = text.replace(chromium.evaluate("[...document.scripts].map((one) => one.textContent).join('')"), "")
    for markup in MARKUP:
        assert markup in visible
    assert chromium.evaluate("document.title.length") > 0


def test_a_tooltip_says_what_the_model_wrote_as_text(chromium, pages):
    chromium.open(pages["hostile"])
    nodes = data_of(pages["hostile"])["plots"]["lineage-0"]["spec"]["layer"][-1]["data"]["values"]
    seen = set()
    for index, node in enumerate(nodes):
        if node["answer"] not in MARKUP or node["answer"] in seen:
            continue
        seen.add(node["answer"])
        spot = chromium.evaluate(
            f"(() => {{ const one = document.querySelectorAll('#lineage-0 .ancestor_marks path')[{index}];"
            "one.scrollIntoView({block: 'center'}); const box = one.getBoundingClientRect();"
            "return {x: box.x + box.width / 2, y: box.y + box.height / 2}; })()"
        )
        chromium.ask("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
        chromium.ask("Input.dispatchMouseEvent", type="mouseMoved", **spot)
        told = chromium.evaluate(
            "({text: [...document.querySelectorAll('#tip bdi')].map((one) => one.textContent), "
            "tags: [...document.querySelectorAll('#tip *')].map((one) => one.localName), hidden: tip.hidden})"
        )
        assert not told["hidden"]
        assert node["answer"] in told["text"]
        assert node["query"] in told["text"]
        assert set(told["tags"]) == {"div", "span", "bdi"}
    assert len(seen) >= 3
    assert chromium.complaints == []


def test_the_policy_stops_a_script_that_is_not_ours(chromium, pages):
    chromium.open(pages["one"])
    stopped = chromium.evaluate(
        "new Promise((done) => {"
        "document.addEventListener('securitypolicyviolation', (one) => done(one.violatedDirective));"
        "const script = document.createElement('script'); script.textContent = 'window.ran = true';"
        "document.body.append(script); setTimeout(() => done('nothing'), 5000); })"
    )
    assert stopped.startswith("script-src")
    assert chromium.evaluate("window.ran === undefined")


@pytest.mark.parametrize("kind", ["one", "several"])
def test_a_phone_shows_it_without_scrolling_sideways(chromium, pages, kind):
    chromium.open(pages[kind], width=390, height=800)
    assert chromium.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_it_can_be_printed_and_pictured(chromium, pages, tmp_path):
    chromium.open(pages["several"])
    chromium.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 50_000
    assert len(chromium.ask("Page.printToPDF", printBackground=True)["data"]) > 50_000


def data_of(page: Path) -> dict[str, Any]:
    text = page.read_text(encoding="utf-8")
    start = text.index('<script type="application/json" id="data">') + len('<script type="application/json" id="data">')
    return dict(json.loads(text[start : text.index("</script>", start)]))
