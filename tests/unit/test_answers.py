"""docs/answers/lookahead.md says what the studies' files say, and the studies are as large as promised."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.lookahead_page import TABLES, files_of, fill

PAGE = Path(__file__).parents[2] / "docs" / "answers" / "lookahead.md"
FILES = files_of(PAGE.with_suffix(""))
STUDIES = ("shakespeare", "babyllama", "stories", "wikitext", "bundled")


def test_every_table_is_made_from_the_files_and_none_is_missing():
    page = PAGE.read_text()
    assert set(re.findall(r"<!-- table: ([\w ]+) -->", page)) == set(TABLES)
    assert fill(page, FILES) == page, "python -m benchmarks.lookahead --figures"


def test_a_number_that_was_changed_by_hand_is_seen():
    page = PAGE.read_text()
    start = page.index("<!-- table: headlines -->")
    place = start + re.search(r"[+-]\d\.\d{3}", page[start:]).start()
    digit = str((int(page[place + 4]) + 1) % 10)
    changed = page[: place + 4] + digit + page[place + 5 :]
    assert changed != page
    assert fill(changed, FILES) == page


def test_a_table_that_there_is_none_of_is_an_error():
    with pytest.raises(KeyError, match="nonsense"):
        fill("<!-- table: nonsense -->\n<!-- end -->", FILES)


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_is_of_twenty_thousand_positions_fitted_on_one_half_and_reported_on_the_other(name):
    study = FILES[name]
    assert study["positions"] >= 20_000
    assert 0.4 < study["reporting"] / study["positions"] < 0.6
    whole = [row for row in study["table"] if row["family"] == "beams"]
    assert all(row["beyond"]["positions"] == study["reporting"] for row in whole), "a mean is over all positions"
    assert {row["width"] for row in whole} == set(study["settings"]["widths"])
    assert isinstance(study["settings"]["seed"], int)
    best = max((row for row in whole if row["depth"] > 1), key=lambda row: float(row["beyond"]["tuning"]))
    assert best["setting"] == study["headline"]["setting"], "chosen on the tuning half"
