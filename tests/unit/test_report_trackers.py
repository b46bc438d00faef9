"""Trackers, through the clients' own readers."""

from __future__ import annotations

import builtins
import importlib

import pytest

import winnow as wn
from tests.support.organism import Organism
from winnow.ports.program import Note
from winnow.report.trackers import Several, parameters_of, scalars, tracker
from winnow.values.errors import InputError


def tracked(*observers):
    """A run of three rounds that is watched."""
    organism = Organism()
    task = wn.Task(
        queries=[f"q{i}?" for i in range(40)],
        gold=["right"] * 40,
        evaluator=organism,
        rounds=2,
        reuse=True,
        max_tokens=2,
    )
    return wn.adapt(organism, task, observer=Several(observers)), parameters_of(task, model="organism", seed=0)


PARAMETERS = parameters_of(wn.Task(queries=["a secret?"], gold=["answer"]), model="organism", seed=0)


def test_no_query_and_no_answer_is_sent():
    assert "secret" not in str(PARAMETERS)
    assert "queries" not in PARAMETERS
    run, _ = tracked()
    for record in run.rounds:
        assert all(isinstance(value, float) for _, value in scalars(Note(kind="round", info=record)))


def test_names_are_the_ledgers_and_the_unknown_is_left_out():
    run, _ = tracked()
    names = dict(scalars(Note(kind="round", info=run.rounds[-1])))
    assert names["error"] == run.rounds[-1]["error"]
    assert names["error_interval/low"] == run.rounds[-1]["error_interval"][0]
    assert names["price/correctness/selection"] == run.rounds[-1]["price"]["correctness"]["selection"]
    assert not any(name.startswith(("predicted", "off_scale", "audit", "round")) for name in names)
    assert list(scalars(Note(kind="response", info={"point": 1}))) == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_reads_back_what_was_sent(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = tracker(f"tensorboard:{tmp_path}", name="one", parameters=PARAMETERS)
    run, _ = tracked(board)
    board.close()
    events = EventAccumulator(str(tmp_path / "one"))
    events.Reload()
    found = [(event.step, event.value) for event in events.Scalars("error")]
    assert [step for step, _ in found] == [0, 1, 2]
    assert [value for _, value in found] == pytest.approx([row["error"] for row in run.rounds], rel=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_mlflow_reads_back_what_was_sent(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    flow = tracker(f"mlflow:{uri}", name="one", parameters=PARAMETERS)
    run, _ = tracked(flow)
    flow.close()
    client = mlflow.MlflowClient(tracking_uri=uri)
    (logged,) = client.search_runs([client.get_experiment_by_name("winnow").experiment_id])
    assert logged.info.run_name == "one"
    assert logged.info.status == "FINISHED"
    assert logged.data.params["select"] == "soft"
    history = client.get_metric_history(logged.info.run_id, "price/correctness/change")
    assert {one.step: one.value for one in history} == pytest.approx(
        {row["round"]: row["price"]["correctness"]["change"] for row in run.rounds[1:]}
    )


@pytest.mark.parametrize(("spec", "package"), [("mlflow", "mlflow"), ("tensorboard", "tensorboard")])
def test_a_missing_package_is_one_line_with_the_remedy(monkeypatch, spec, package):
    real = importlib.import_module

    def missing(name, *rest):
        if name.split(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(InputError, match=r"pip install 'winnow-lm\[trackers\]'"):
        tracker(spec, name="x", parameters={})


def test_an_unknown_tracker_is_named_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'mlflow'"):
        tracker("mlfow", name="x", parameters={})


def test_a_tracker_that_fails_warns_once_and_does_not_end_the_run(monkeypatch, tmp_path):
    class Failing:
        seen = 0

        def on_note(self, note):
            self.seen += 1
            raise builtins.ConnectionError("gone")

        def on_reply(self, done, asked, cost): ...

        def close(self):
            raise AssertionError("it was left alone")

    failing = Failing()
    monkeypatch.setitem(
        __import__("winnow.report.trackers", fromlist=["TRACKERS"]).TRACKERS,
        "failing",
        (lambda where, *, name, parameters: failing, ""),
    )
    watched = tracker("failing", name="x", parameters={})
    with pytest.warns(UserWarning, match="failing failed"):
        run, _ = tracked(watched)
    watched.close()
    assert failing.seen == 1
    assert len(run.rounds) == 3
