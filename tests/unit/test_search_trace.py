"""The drawing of a search: what it shows, that it stays readable at 2,000 nodes, and that text in it is only text."""

from __future__ import annotations

import itertools
import re

import numpy as np

import winnow as wn
from winnow.models.masked_tabular import tabular_masked
from winnow.models.tabular import Tabular
from winnow.report.trace import trace_page
from winnow.search.trace import Branch, Trace, trace
from winnow.values.random import Key

MODEL = Tabular.random("abc", order=1, key=Key(4))


def test_kept_branches_spell_the_results_and_their_probabilities_multiply() -> None:
    found = wn.search(MODEL, "a", "beam", width=4, depth=5)
    drawn = trace(found, found.problem)
    assert drawn.num_nodes == len(found.native.tree)
    leaves = {branch.parent for branch in drawn.branches}
    told = {}
    for index, branch in enumerate(drawn.branches):
        if index not in leaves and branch.kept:
            text, total, here = "", 0.0, index
            while here >= 0:
                text, total = drawn.branches[here].text + text, total + drawn.branches[here].logprob
                here = drawn.branches[here].parent
            told[text.replace("■", "")] = total
            assert branch.total - total < 1e-9
    results = dict(zip(found.texts, found.logprob.tolist(), strict=True))
    assert all(abs(told[text] - results[text]) < 1e-9 for text in told)
    assert found.text in told
    assert any(not branch.kept for branch in drawn.branches)
    page = trace_page(drawn)
    assert page.count('class="pruned"') > 0
    assert page.count('class="best"') > 0


def test_particles_that_write_the_same_are_one_branch_with_a_number() -> None:
    found = wn.search(MODEL, "a", "smc", particles=400, depth=5)
    drawn = trace(found, found.problem)
    assert drawn.num_nodes > 1000
    assert len(drawn.branches) < 500
    first = [branch for branch in drawn.branches if branch.parent == 0]
    assert sum(branch.times for branch in first) == 400


def test_two_thousand_nodes_stay_readable() -> None:
    """No label lies on another, few of the many pruned ones are drawn, and all of them are counted."""
    branches = [Branch(-1, "", 0.0, 0.0, 1.0, True, True)]
    for index in range(2000):
        kept = index % 50 == 0
        branches.append(Branch(0 if index < 20 else index // 20, f" word{index}", -3.0, -9.0, 1.0, kept, index == 0))
    page = trace_page(Trace("search tree", "a prompt", tuple(branches), 2000))
    places = re.findall(r'<text x="([\d.]+)" y="([\d.]+)">([^<]*)<', page)
    assert len(places) < 1500
    rows: dict[float, list[tuple[float, float]]] = {}
    for x, y, text in places:
        rows.setdefault(float(y), []).append((float(x), float(x) + 5.5 * len(text)))
    for spans in rows.values():
        ordered = sorted(spans)
        assert all(end <= start + 1 for (_, end), (start, _) in itertools.pairwise(ordered))
    hidden = sum(
        int(number) for number in re.findall(r"\+ ?(?:\xa0)?(\d+)(?:\xa0| )more<", page.replace("&#160;", " "))
    )
    assert hidden > 0
    assert len(page) < 1_500_000


def test_text_is_only_text() -> None:
    evil = '</text><script>alert("x")</script>\n\x1b[2J\ud800'
    branches = (Branch(-1, "", 0.0, 0.0, 1.0, True, True), Branch(0, evil, -1.0, -1.0, 1.0, True, True))
    page = trace_page(Trace("search tree", evil, branches, 2))
    page.encode()
    assert "<script" not in page
    assert "\x1b" not in page
    assert "default-src &#x27;none&#x27;" in page


def test_samples_and_descent_are_drawn_too() -> None:
    from winnow.evaluators.verifier import matches

    best = wn.search(MODEL, "a", "best-of-n", num=5, depth=4, evaluator=matches("b"))
    assert len(trace(best, best.problem).branches) == 6
    evolved = wn.search(MODEL, "a_c_", "evolve", masked=tabular_masked("abc", length=4), population=5, rounds=6)
    drawn = trace(evolved, evolved.problem)
    alive = {branch.text for branch in drawn.branches}
    assert set(evolved.texts) <= alive
    assert sum(branch.best for branch in drawn.branches) >= 2
    assert np.isnan(drawn.branches[-1].logprob)
    assert "<svg" in trace_page(drawn)
