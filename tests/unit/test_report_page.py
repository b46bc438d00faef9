"""The page without a browser: it parses, data survive the way, hostile text is text, what it says is in the ledger."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.support.runs import MARKUP, hostile_run, small_run
from winnow.report import write_report
from winnow.report.ancestry import ancestry, contributions, walks
from winnow.report.data import from_directory, from_run
from winnow.report.page import embed, ledger, page
from winnow.report.rounds import closed_form
from winnow.report.samples import in_turn, samples
from winnow.report.sections import sections
from winnow.report.words import headline, summary, theory, unknown
from winnow.values.errors import InputError

VOID = {"meta", "br", "img", "hr", "input", "link"}


class Parser(HTMLParser):
    """Every element closed in order; texts by element, scripts apart."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.text = ""
        self.policy = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]
        known = dict(attrs)
        if known.get("http-equiv") == "Content-Security-Policy":
            self.policy = known["content"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif self.open and self.open[-1] == "style":
            self.styles.append(data)
        else:
            self.text += data


@pytest.fixture(scope="module")
def run():
    return small_run()


@pytest.fixture(scope="module")
def hostile():
    return from_run(hostile_run(), label=f"label {MARKUP[0]}")


def test_the_page_is_well_formed_and_the_same_for_the_same_run(run):
    data = from_run(run)
    text = page([data])
    parsed = Parser(text)
    assert len(parsed.scripts) == 3
    assert text == page([from_run(small_run())])
    assert "http://" not in parsed.text


def test_hostile_text_stays_text(hostile):
    parsed = Parser(page([hostile], title=f"title {MARKUP[1]}", lede=MARKUP[3]))
    assert parsed.tags.count("script") == 3
    assert not {"img", "iframe", "object"} & set(parsed.tags)
    for markup in MARKUP:
        assert markup in parsed.text
    assert not set("<>&\u2028\u2029") & set(parsed.scripts[0])


def test_the_policy_names_the_hash_of_every_script_and_of_the_style(run):
    parsed = Parser(page([from_run(run)]))
    for content in (*parsed.scripts[1:], *parsed.styles):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in parsed.policy
    assert "default-src 'none'" in parsed.policy
    assert not re.search(r"script-src[^;]*unsafe", parsed.policy)


def test_embedded_data_survive_the_way(hostile):
    values = [*MARKUP, "\ud800", "\x00", "é", {"a": [1, None, 0.1]}]
    text = embed(values)
    assert json.loads(text) == values
    assert text.isascii()
    assert not set("<>&") & set(text)
    drawn = json.loads(Parser(page([hostile])).scripts[0])
    cells = drawn["plots"]["lineage-0"]["spec"]["layer"][-1]["data"]["values"]
    answers = {row["number"]: row for row in hostile["answers"]}
    assert all(cell["answer"] == answers[cell["number"]]["answer"] for cell in cells)
    assert {cell["answer"] for cell in cells} & set(MARKUP)


def test_a_directory_gives_the_page_that_the_run_gives(run, tmp_path):
    run.save(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({"task": from_run(run)["task"], "seed": run.seed, "winnow": "0"}))
    told, read = from_run(run, label="x"), from_directory(tmp_path, label="x")
    for key in ("rounds", "answers", "context", "task", "model", "seed"):
        assert json.loads(json.dumps(read[key])) == json.loads(json.dumps(told[key])), key
    assert sections([told]) == sections([read])


def test_a_directory_without_settings_still_gives_a_page(run, tmp_path):
    run.save(tmp_path)
    data = from_directory(tmp_path)
    assert {row["kind"] for row in data["answers"]} == {None}
    Parser(page([data]))


def test_a_directory_that_holds_no_run_is_said_so(tmp_path):
    with pytest.raises(InputError, match="holds no run"):
        from_directory(tmp_path)
    for name in ("rounds.jsonl", "answers.jsonl", "context.json"):
        (tmp_path / name).write_text("{}\n")
    with pytest.raises(InputError, match="not a ledger of ours"):
        from_directory(tmp_path)


def test_every_walk_leads_from_a_final_example_to_an_answer_without_parents(run):
    data = from_run(run)
    row_of = {row["number"]: row for row in data["answers"]}
    for path in walks(row_of, data["context"]):
        assert path[0] in data["context"]
        assert all(parent in row_of[child]["parents"] for child, parent in pairwise(path))
        assert row_of[path[-1]]["round"] == 0


def test_contributions_sum_to_one_in_every_round_and_are_those_of_brute_force(run):
    data = from_run(run)
    weight = contributions(data["answers"], data["context"])
    row_of = {row["number"]: row for row in data["answers"]}
    for number in range(len(run.rounds)):
        assert sum(w for n, w in weight.items() if row_of[n]["round"] == number) == pytest.approx(1.0)

    def chance(start: int, end: int) -> float:
        parents = row_of[start]["parents"]
        return float(start == end) or sum(chance(parent, end) for parent in parents) / max(len(parents), 1)

    someone = next(number for number in weight if row_of[number]["round"] == 1)
    expected = np.mean([chance(example, someone) for example in data["context"]])
    assert weight[someone] == pytest.approx(expected)
    assert ancestry(data | {"context": []}) is None


def test_light_ancestors_are_drawn_as_one_when_they_are_many(run, monkeypatch):
    data = from_run(run)
    full = ancestry(data)
    monkeypatch.setattr("winnow.report.ancestry.CELLS", 5)
    few = ancestry(data)
    assert few.columns == full.columns
    for column in few.columns:
        cells = [node for node in few.nodes if node["round"] == column["round"]]
        assert len(cells) <= 5 + 3
        assert sum(node["contribution"] for node in cells) == pytest.approx(1.0, abs=1e-4)
        alone = [node for node in cells if node["number"] is not None]
        together = [int(node["query"].split()[0]) for node in cells if node["number"] is None]
        assert len(alone) + sum(together) == column["ancestors"]


def test_samples_show_rare_kinds_first_and_name_the_context(run):
    data = from_run(run)
    for chosen in samples(data, each=3):
        rows = [row for row in data["answers"] if row["round"] == chosen.number and row["accepted"]]
        shown = {sample.answer["kind"] for sample in chosen.accepted}
        assert len(shown) == min(3, len({row["kind"] for row in rows}))
        assert len(chosen.accepted) == min(3, len(rows))
        for sample in (*chosen.accepted, *chosen.rejected):
            assert [row["number"] for row in sample.context] == list(sample.answer["parents"])
    assert in_turn([], 3) == []


def test_the_summary_says_what_the_ledger_says(run):
    data = from_run(run)
    said = " ".join(text for topic in summary([data]) for _, text in topic.paragraphs)
    last = run.rounds[-1]
    assert f"{100 * last['error']:.1f}\u00a0%" in said
    inside = sum(
        row["predicted"]["one_step"]["interval"][0] <= row["error"] <= row["predicted"]["one_step"]["interval"][1]
        for row in run.rounds[1:]
    )
    assert theory([data]).startswith(f"{inside} of {len(run.rounds) - 1} ")
    assert ledger(data)[-1][1] == f"{last['error']:.3f}"
    assert headline([data, data]).startswith("2 runs")


def test_an_audited_run_shows_its_labels_round_by_round_and_another_has_no_column_for_them(run):
    assert "labels so far" not in Parser(page([from_run(run)])).text
    audited = [{**row, "audit": {"labels": 1040 + row["round"], "bound": 0.2519}} for row in run.rounds]
    text = Parser(page([{**from_run(run), "rounds": audited}])).text
    assert "s − f at least" in text
    assert all(f"{row['audit']['labels']:,}" in text for row in audited)
    assert text.count("+0.252") >= len(audited)


def test_without_gold_the_page_says_what_is_not_identifiable(tmp_path):
    data = from_run(small_run(gold=None, abstentions=()))
    assert any("not identifiable" in text for text in unknown([data]))
    assert "nobody can say" in headline([data])
    assert closed_form(data["rounds"]) is None
    names = [section.id for section in sections([data])]
    assert "error" not in names
    assert {"score", "acceptance", "price-score", "distinct", "scores", "lineage", "tokens"} <= set(names)
    Parser(write_report([data], tmp_path / "deep" / "page.html").read_text(encoding="utf-8"))


def test_a_run_that_never_began_gives_a_page_too(run):
    empty = from_run(run) | {"rounds": [], "answers": [], "context": [], "spent": {}}
    assert "No round was finished" in Parser(page([empty])).text


def test_the_closed_form_follows_the_odds(run):
    line = closed_form(run.rounds)
    first = run.rounds[0]
    odds = [value / (1 - value) for value in line]
    assert odds[1] / odds[0] == pytest.approx(first["false_positive_rate"] / first["sensitivity"])
    assert line[0] == pytest.approx(first["error"])


def test_the_package_carries_the_template():
    found = Path(__file__).parents[2] / "src" / "winnow" / "report" / "template"
    assert {file.name for file in found.iterdir()} == {"page.html", "page.css", "page.js"}
