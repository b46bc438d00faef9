"""The benchmark of adapt reads its loops as it says: a killed run goes on, and a promise that is missed is reported."""

from __future__ import annotations

import copy

from benchmarks.adaption import SIZES, SMALL, jobs_of, kept, name_of
from benchmarks.adaption_rows import audited, forecasts, more_samples, readme, rows_of, section
from tests.support.organism import Organism
from winnow.adaption.rivals import BY_HAND, LOOP
from winnow.values.records import to_json

RIVALS = (LOOP, "greedy", "best temperature", "majority vote", "best of n, self-evaluated", BY_HAND)


def record(number, error, half=0.05, center=None):
    center = error if center is None else center
    interval = [center - half, center + half]
    return {
        "round": number, "error": error, "abstentions": 0.0,
        "predicted": None if number == 0 else {
            "one_step": {"error": center, "interval": interval, "kinds": {"abstained": 0.0}},
            "free_running": {"error": center, "interval": interval, "kinds": {"abstained": 0.0}},
        },
    }  # fmt: skip


def job(rule="soft", seed=0, **changes):
    table = {"accepted": 200, "right_accepted": 170, "rejected": 200, "right_rejected": 30}
    rival = {"samples": 4, "error": 0.3, "n": 100, "note": "4 samples at most"}
    tried = {"1": 0.4, "2": 0.305, "4": 0.3}
    rivals = [
        {**rival, "rival": name, "by_samples": tried if "vote" in name or "best of n" in name else None}
        for name in RIVALS
    ]
    rivals[0] = {**rivals[0], "error": 0.1, "samples": 1}
    made = {
        "model": "organism", "rule": rule, "seed": seed, "commit": "abc", "seconds": 60.0, "extra": [],
        "rounds": [record(0, 0.5), record(1, 0.3), record(2, 0.2)], "tables": [table] * 3, "rivals": rivals,
    }  # fmt: skip
    return {**copy.deepcopy(made), **changes}


ALL = [job(rule, seed) for rule, seed in jobs_of(2)]


def missed(rows):
    return [row["row"] for row in rows if not row.get("holds", True)]


def test_what_holds_holds_and_each_promise_can_be_missed():
    assert missed(rows_of(ALL, num_audits=2, power=False)) == []
    wide = [job(rounds=[record(0, 0.5), record(1, 0.3, half=0.061)])]
    assert missed(forecasts("soft", wide)) == ["soft: rounds inside the one-step 95 % predictive interval"]
    beside = [job(rounds=[record(0, 0.5), record(1, 0.3, center=0.42)])]
    assert len(missed(forecasts("soft", beside))) == 1
    assert missed(forecasts("random", wide)) == []  # only the selected loop has promised
    worse = [{**row, "error": 0.05} if row["rival"] == "greedy" else row for row in job()["rivals"]]
    assert (
        missed(rows_of([job(rivals=worse), *ALL[1:]], num_audits=2, power=False)) == []
    )  # beaten on one seed, ahead on the mean
    assert "the loop's context, greedy, minus greedy" in missed(
        rows_of([job(seed=s, rivals=worse) for s in range(2)] + ALL[2:], num_audits=2, power=False)
    )


def test_a_cap_that_binds_is_reported():
    assert missed(more_samples([job()["rivals"]])) == []
    binding = [
        {**row, "by_samples": {"1": 0.4, "2": 0.35, "4": 0.3}} if row["by_samples"] else row for row in job()["rivals"]
    ]
    assert len(missed(more_samples([binding]))) == 2


def test_a_loop_that_was_kept_is_not_run_again_and_another_models_is_not_counted(tmp_path):
    name, file = name_of(Organism(), small=False), tmp_path / "soft-0.json"
    assert kept(file, name) is None
    file.write_text(to_json({**job(), **name}))
    assert kept(file, name)["rounds"][1]["error"] == 0.3
    assert kept(file, name_of(Organism(), small=True)) is None
    file.write_text(to_json({**job(), **name, "model": "another"}))
    assert kept(file, name) is None


def test_every_rule_has_its_sizes_and_the_longest_loops_come_first():
    assert [rule for rule, _ in jobs_of(5)] == ["soft"] * 5 + ["random"] * 5 + ["inverted"]
    assert set(SIZES) == set(SMALL) == {"soft", "random", "inverted"}


def test_the_readmes_table_and_the_log_say_the_figures():
    text = readme(ALL)
    assert "| **the context the loop made, read greedily** | **0.100** [0.100, 0.100] |" in text
    assert "| the model as it is, sampled / greedy | 0.500 / 0.300 |" in text
    said = section(list(rows_of(ALL, num_audits=2, power=False)), ALL, "command")
    assert "    soft 1: 0.500 0.300 0.200" in said
    assert "5 minutes of loops; model organism" in said


def test_the_audits_rows_come_from_the_loops_own_answers():
    bad = {"accepted": 200, "right_accepted": 30, "rejected": 200, "right_rejected": 170}
    good, turned = audited("soft", ALL[:1], num_runs=10), audited("soft", [job(tables=[bad] * 3)], num_runs=10)
    assert {row["stopped"] for row in good} == {0.0}
    assert {row["at the start"] for row in turned} == {1.0}
