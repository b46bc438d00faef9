"""What the loop promises besides theory: no leaks, honest ends, accounting that adds up, the same bytes for a seed."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

import winnow as wn
from tests.support.organism import Organism
from winnow.values.errors import ContextError, InputError
from winnow.values.records import to_json

QUERIES = [f"q{i}?" for i in range(60)]
GOLD = ["right"] * 60


def adapt(model, task, **settings):
    """The organism evaluates itself, without a survey."""
    return wn.adapt(model, replace(task, evaluator=model), **settings)


def task(**changes):
    settings = {"queries": QUERIES, "gold": GOLD, "rounds": 3, "reuse": True, "examples": 8, "max_tokens": 2}
    return wn.Task(**{**settings, **changes})


@pytest.mark.parametrize("draw", ["per-query", "shared"])
def test_a_query_never_stands_in_its_own_context(draw):
    organism = Organism()
    adapt(organism, task(draw=draw), seed=0)
    for prompt in organism.prompts:
        asked = re.findall(r"Q: (.+)\n", prompt)
        assert asked[-1] not in asked[:-1]
        assert len(set(asked)) == len(asked)


def test_a_shared_draw_gives_everyone_the_same_examples_but_for_their_own():
    run = adapt(Organism(), task(draw="shared", rounds=1), seed=0)
    contexts = [set(a.parents) for a in run.answers if a.round == 1]
    assert len(set().union(*contexts)) <= 8 + 1


def test_lineage_names_exactly_the_answers_whose_text_stood_in_the_prompt():
    organism = Organism()
    run = adapt(organism, task(), seed=3)
    for answer, prompt in zip(run.answers, organism.prompts, strict=True):
        shown = re.findall(r"Q: (.+)\nA: (.+)\n", prompt)
        assert shown == [tuple(run.answers[p].item) for p in answer.parents]


def test_price_terms_add_up_to_the_change_for_every_trait_and_buffer():
    for buffer in ("replaced", "appended"):
        run = adapt(Organism(), task(buffer=buffer), seed=0)
        assert run.rounds[0]["price"] is None
        for record in run.rounds[1:]:
            for terms in record["price"].values():
                parts = terms["selection"] + terms["transmission"] + terms["parentless"]
                assert parts == pytest.approx(terms["change"], abs=1e-12)
    replaced = adapt(Organism(), task(), seed=0).rounds
    change = (1 - replaced[1]["error"]) - (1 - replaced[0]["error"])
    assert replaced[1]["price"]["correctness"]["change"] == pytest.approx(change, abs=1e-12)


def test_the_same_seed_is_the_same_bytes_and_another_seed_is_not():
    one, same, other = (to_json(adapt(Organism(), task(), seed=s).rounds) for s in (0, 0, 1))
    assert one == same != other


def test_queries_are_asked_once_each_and_the_loop_ends_when_they_are_used_up():
    run = adapt(Organism(), task(reuse=False, queries_per_round=25, rounds=5), seed=0)
    asked = [answer.item.query for answer in run.answers]
    assert len(asked) == len(set(asked)) == 50
    assert run.stop.reason == "queries"


def test_nothing_accepted_ends_the_loop():
    run = adapt(Organism(scores=(0.0, 0.0, 0.0)), task(), seed=0)
    assert (run.stop.reason, len(run.rounds)) == ("nothing accepted", 1)


def test_patience_ends_a_loop_that_no_longer_moves():
    run = adapt(Organism(start=(1.0, 0.0, 0.0)), task(rounds=9, patience=2), seed=0)
    assert (run.stop.reason, len(run.rounds)) == ("converged", 3)


def test_without_gold_everything_works_but_nothing_is_guessed():
    run = adapt(Organism(), task(gold=None), seed=0)
    for record in run.rounds:
        assert record["error"] is record["sensitivity"] is record["false_positive_rate"] is record["predicted"] is None
    assert "score" in run.rounds[1]["price"]
    assert "correctness" not in run.rounds[1]["price"]
    assert wn.api.NOT_IDENTIFIABLE in run.conclusion()


def test_gold_measures_and_never_picks():
    with_gold, without = adapt(Organism(), task(), seed=0), adapt(Organism(), task(gold=None), seed=0)
    assert with_gold.answers == without.answers


def test_an_empty_answer_is_not_evaluated_and_never_kept():
    class Silent(Organism):
        def _complete(self, request):
            reply = super()._complete(request)
            return type(reply)(**{**vars(reply), "text": ("  ", *reply.text[1:])})

    silent = Silent()
    run = adapt(silent, task(select="inverted"), seed=0)
    assert "" not in silent.evaluated
    assert not any(answer.accepted for answer in run.answers if not answer.item.answer)


def test_a_limit_keeps_every_round_so_far(tmp_path):
    from winnow.ports.program import Limits

    full = adapt(Organism(), task(), seed=0)
    run = adapt(Organism(), task(), seed=0, limits=Limits(max_requests=5), out=tmp_path / "run")
    assert run.stop.reason == "limit"
    assert run.rounds == full.rounds[: len(run.rounds)]
    assert len(run.rounds) == 2
    saved = [json.loads(line) for line in (tmp_path / "run" / "rounds.jsonl").read_text().splitlines()]
    assert saved == run.rounds


def test_a_context_that_could_outgrow_the_model_is_refused_before_any_work():
    organism = Organism()
    organism.context_length = 90
    with pytest.raises(ContextError, match=r"90.*at most \d+ examples"):
        adapt(organism, task(), seed=0)
    assert not organism.prompts


def test_an_output_directory_in_use_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(InputError, match="in use"):
        adapt(Organism(), task(), seed=0, out=tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"queries": []}, "queries: there are no queries"),
        ({"gold": ["right"]}, "1 gold answers for 60 queries"),
        ({"rounds": 0}, "rounds: must be at least 1, not 0"),
        ({"select": "sofft"}, "did you mean 'soft'"),
        ({"buffer": "kept"}, "not one of replaced, appended"),
        ({"pair": "Q: {query}"}, "{answer}"),
        ({"queries": ["a\nb"], "gold": None}, "query 1 contains the stop string"),
        ({"temperature": -1.0}, "temperature: must lie in"),
        ({"select": "best", "candidates": 1}, "at least two candidates"),
    ],
)
def test_a_task_that_cannot_be_is_refused_with_field_and_remedy(changes, said):
    with pytest.raises(InputError, match=re.escape(said) if "[" not in said else said):
        task(**changes)


def test_best_needs_no_number_of_candidates():
    assert (task(select="best").candidates, task().candidates, task(select="best", candidates=2).candidates) == (
        4,
        1,
        2,
    )
    run = adapt(Organism(), task(select="best", rounds=1), seed=0)
    assert [(r["answers"], r["num_accepted"]) for r in run.rounds] == [(240, 60)] * 2


def test_selection_rules_on_known_scores():
    from winnow.adaption.selection import survival

    score, group = np.array([0.2, 0.9, 0.9, np.nan]), np.array([0, 0, 1, 1])
    assert survival(task(select="soft"), score, group).tolist() == [0.2, 0.9, 0.9, 0.0]
    assert survival(task(select="inverted"), score, group).tolist() == pytest.approx([0.8, 0.1, 0.1, 0.0])
    assert survival(task(select="best", candidates=2), score, group).tolist() == [0.0, 1.0, 1.0, 0.0]
    random = survival(task(select="random"), score, group)
    assert random[:3].tolist() == pytest.approx([2 / 3] * 3)
    assert random.sum() == pytest.approx(survival(task(select="soft"), score, group).sum())
    assert random[3] == 0.0


def test_a_survey_whose_words_hold_nothing_is_refused_after_one_round_unless_told_otherwise():
    class Mute(Organism):
        def _evaluate(self, request):
            reply = super()._evaluate(request)
            return type(reply)(**{**vars(reply), "parts": ({"off_scale": 0.97},) * len(reply.score)})

    with pytest.warns(wn.api.WinnowWarning, match="97% fell on none"):
        run = adapt(Mute(), task(), seed=0)
    assert (run.stop.reason, len(run.rounds)) == ("off scale", 1)
    assert "0.03 of the model's probability" in run.stop.message
    with pytest.warns(wn.api.WinnowWarning):
        assert adapt(Mute(), task(max_off_scale=1.0), seed=0).stop.reason == "rounds"


def test_every_field_of_a_task_can_be_said_in_its_file():
    from dataclasses import fields

    from winnow.adaption.task_file import _TYPES

    assert {one.name for one in fields(wn.Task)} - {"name"} <= set(_TYPES)


def test_what_a_careless_caller_gives_is_refused_or_understood():
    assert task(stop="END", abstentions="no answer").stop == ("END",)
    for changes, said in [
        ({"queries": "abc", "gold": None}, "is one text"),
        ({"match": "normalized"}, "did you mean 'normalised'"),
        ({"rounds": 1.5}, "whole number"),
        ({"queries": ["a", "a"], "gold": ["x", "y"]}, "stands twice with different gold"),
    ]:
        with pytest.raises(InputError, match=said):
            task(**changes)
    with pytest.raises(InputError, match="two labels or more"):
        adapt(Organism(), task(), audit=-5)


def test_an_audit_of_an_evaluator_that_accepts_everything_or_nothing_stops_in_plain_json():
    for scores in ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)):
        run = adapt(Organism(scores=scores), task(), seed=0, audit=20)
        assert run.stop.reason == "audit"
        assert "s unknown, f unknown" in " ".join(run.conclusion())
        to_json(run.rounds)


def test_a_response_curve_needs_enough_queries_and_a_rule_that_judges_each_answer_alone():
    with pytest.raises(InputError, match="contexts of 20 examples need more"):
        adapt(Organism(), task(examples=20), response=True)
    with pytest.raises(InputError, match="select best judges answers against each other"):
        adapt(Organism(), task(select="best", candidates=3), response=True)


def test_queries_held_out_are_never_asked_in_the_run_even_when_they_stand_twice():
    queries = [f"q{i}?" for i in range(50)] * 2
    rest, held_out = wn.api.split(task(queries=queries, gold=["right"] * 100), seed=0)
    assert not set(rest.queries) & set(held_out)
    assert len(held_out) == len(set(held_out)) == 15


def test_nothing_accepted_of_the_held_out_answers_is_no_prediction_and_no_crash():
    run = adapt(
        Organism(start=(0.02, 0.98, 0.0), scores=(1.0, 0.0, 0.0)), task(select="threshold"), seed=1, response=True
    )
    assert all(record["predicted"] is None or record["predicted"]["one_step"] for record in run.rounds)


def test_gold_stands_by_its_query_in_one_file_and_a_gap_is_named(tmp_path):
    from winnow.adaption.task_file import task_from

    file = tmp_path / "q.csv"
    file.write_text("query,answer\nq1,a1\n,a2\nq3,a3\n")
    said = task_from(queries=file, gold=file)
    assert list(zip(said.task.queries, said.task.gold)) == [("q1", "a1"), ("q3", "a3")]
    file.write_text("query,answer\nq1,a1\nq2,\n")
    with pytest.raises(InputError, match=r"q\.csv:3: the query has no 'answer'"):
        task_from(queries=file, gold=file)
    with pytest.raises(InputError, match="read as a bool, not as text"):
        task_from(queries=["a", "b"], gold=[True, "x"])


class Fooled(Organism):
    """Contexts with a wrong answer bring wrong answers of a persuasive kind, which the evaluator takes for right ones."""

    def _complete(self, request):
        reply = super()._complete(request)
        fooling = [len(re.findall(r"A: (?:wrong|surely)", str(prompt))) >= 1 for prompt in request.prompts]
        text = tuple(
            " surely" if fooled and one == " wrong" else one for one, fooled in zip(reply.text, fooling, strict=True)
        )
        return type(reply)(**{**vars(reply), "text": text})

    def _evaluate(self, request):
        reply = super()._evaluate(request)
        score = [0.99 if item.answer == "surely" else one for item, one in zip(request.items, reply.score, strict=True)]
        return type(reply)(**{**vars(reply), "score": np.array(score)})


def test_an_audit_stops_a_loop_whose_contexts_bring_answers_that_fool_the_evaluator():
    """At the start s = .7 and f = .3; by round 1 what is wrong is accepted more readily than what is right."""
    fooled = task(queries=[f"q{i}?" for i in range(400)], gold=["right"] * 400, rounds=6)
    unwatched = adapt(Fooled(), fooled, seed=0)
    assert unwatched.rounds[0]["sensitivity"] > unwatched.rounds[0]["false_positive_rate"]
    assert unwatched.rounds[1]["sensitivity"] < unwatched.rounds[1]["false_positive_rate"]
    assert unwatched.rounds[-1]["error"] > unwatched.rounds[1]["error"]
    for seed in range(3):
        run = adapt(Fooled(), fooled, seed=seed, audit=400)
        assert (run.stop.reason, len(run.rounds) in (2, 3)) == ("audit", True)
        assert "the evaluator has changed: gold labels since round" in run.stop.message
        honest = adapt(Organism(), fooled, seed=seed, audit=400)
        assert honest.stop.reason == "rounds"
        spent = [record["audit"]["labels"] for record in honest.rounds]
        assert spent == sorted(set(spent))  # some in every round
        assert spent[-1] <= 400


def test_labels_pick_nothing():
    plain, audited = adapt(Organism(), task(), seed=0), adapt(Organism(), task(), seed=0, audit=60)
    assert audited.answers == plain.answers[: len(audited.answers)]
    assert len(audited.rounds) > 1


def test_an_audited_run_shows_its_labels_in_the_table_and_the_last_word_in_its_conclusion():
    run = adapt(Organism(scores=(0.95, 0.05, 0.5)), task(), seed=0, audit=60)
    heading, *rows = run.table().splitlines()
    assert heading.endswith("labels: s, f, s-f >")
    last = run.rounds[-1]["audit"]
    rates = f"{last['sensitivity']:.2f}, {last['false_positive_rate']:.2f}"
    assert rows[-1].endswith(f"{last['labels']}: {rates}, {last['bound']:+.3f}")
    assert f"audit, {last['labels']} labels: " in " ".join(run.conclusion())
    assert "labels" not in adapt(Organism(), task(), seed=0).table()
