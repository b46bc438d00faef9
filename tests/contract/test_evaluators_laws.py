"""Every evaluator named in the table of specs, and every backend around a backend, keeps the laws of backends."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.stores import with_run
from winnow.evaluators.likelihood import Likelihood
from winnow.evaluators.person import Person
from winnow.evaluators.spec import BUILT_IN, build
from winnow.evaluators.survey import Survey
from winnow.evaluators.template import Guard, Template
from winnow.models.load import load
from winnow.models.tabular import Tabular
from winnow.ports.laws import BACKEND_LAWS, BackendCase
from winnow.ports.requests import Backend, Choose, Evaluate, Item
from winnow.runs.journal import Journal
from winnow.runs.store import Store
from winnow.values.random import Key

PIECES = ["Q: ", "\nA: ", "\nA:", "\n", " ", "x", "y", "Is that right?", ", ", "or ", "?", "bad", "fair", "good"]
MODEL = Tabular.random(PIECES, order=1, key=Key(1))
GOLD = {"x": "1", "y": "2", "xy": "x 3"}
ITEMS = tuple(Item(query, answer) for query in GOLD for answer in ("x", "y x", "", "x\nQ: y\nA: x"))
NUMBERS = tuple(Item(query, answer) for query in GOLD for answer in ("1", "2 3", ""))
WORDS = 'words="bad|fair|good"'

EVALUATORS: dict[str, tuple[Callable[[], Backend], tuple[Item, ...]]] = {
    "survey": (lambda: build(f"survey {WORDS}", model=MODEL), ITEMS),
    "survey calibrated": (lambda: build(f'survey calibrate {WORDS} pair="{{answer}}"', model=_with_na()), ITEMS),
    "survey permuted": (lambda: build(f"survey permute list_scale {WORDS}", model=MODEL), ITEMS),
    "verifier exact": (lambda: build("verifier exact", gold=GOLD), ITEMS),
    "verifier numeric": (lambda: build("verifier numeric", gold=GOLD), NUMBERS),
    "verifier regex": (lambda: build('verifier regex="x$"'), ITEMS),
    "verifier function": (lambda: build("verifier operator:eq"), ITEMS),
    "likelihood": (lambda: build("likelihood", model=MODEL), ITEMS),
    "person": (lambda: Person(io.StringIO("3\n" * 1000), io.StringIO()), ITEMS),
}


def _with_na() -> Tabular:
    return Tabular.random([*PIECES, "N/A"], order=1, key=Key(2))


@pytest.mark.parametrize("law", BACKEND_LAWS)
@pytest.mark.parametrize("name", EVALUATORS)
def test_evaluator_keeps_law(name: str, law: str) -> None:
    make, items = EVALUATORS[name]
    requests = (Evaluate(items=items), Evaluate(items=items[::-1]), Evaluate(items=items[:1]), Evaluate(items=()))
    BACKEND_LAWS[law](BackendCase(make=make, requests=requests))


@pytest.mark.parametrize("law", BACKEND_LAWS)
def test_person_choosing_keeps_law(law: str) -> None:
    requests = (Choose(query="q", options=("a", "b", "c")), Evaluate(items=ITEMS[:2]), Choose(query="p", options=()))
    make = lambda: Person(io.StringIO("3\n" * 1000), io.StringIO())  # noqa: E731
    BACKEND_LAWS[law](BackendCase(make=make, requests=requests))


@pytest.mark.parametrize("name", EVALUATORS)
def test_scores_lie_in_the_unit_interval_and_do_not_depend_on_the_batch(name: str) -> None:
    make, items = EVALUATORS[name]
    ((_, together),) = make().answer([Evaluate(items=items)])
    assert together.score.shape == (len(items),) == (len(together.parts),)
    assert ((together.score >= 0) & (together.score <= 1)).all()
    for index, item in enumerate(items):
        ((_, alone),) = make().answer([Evaluate(items=(item,))])
        assert alone.score[0] == pytest.approx(together.score[index], abs=1e-12)
        assert alone.parts[0] == pytest.approx(together.parts[index], abs=1e-12)


def test_every_built_in_evaluator_is_tried_here() -> None:
    assert {name.split()[0] for name in EVALUATORS} == set(BUILT_IN)


@pytest.mark.parametrize("law", BACKEND_LAWS)
def test_journal_keeps_law(law: str, tmp_path: Path) -> None:
    """A journal that is new, and its second life: the laws ask the same again."""
    number = itertools.count()
    requests = (Evaluate(items=ITEMS), Evaluate(items=ITEMS[:3]), Evaluate(items=ITEMS[:3]))

    store = Store(tmp_path / "store.db")

    def make() -> Backend:
        run = f"run {next(number)}"
        return Journal(with_run(store, run), run, build("verifier exact", gold=GOLD))

    with store:
        BACKEND_LAWS[law](BackendCase(make=make, requests=requests))


@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize("list_scale", [False, True])
def test_survey_and_likelihood_of_a_transformers_model(
    tiny_model: Callable[..., str], chat: bool, list_scale: bool
) -> None:
    """Real tokenisation: base and chat, the scale listed or not; no more than all the probability is on the scale."""
    model = load(tiny_model("qwen3", chat=chat))
    words = ("ab", "cd", "ef gh")
    survey = Survey(model, "bad?", words, pair="{query} {answer}. ", list_scale=list_scale)
    ((_, reply),) = survey.answer([Evaluate(items=(Item("ab", "cd"), Item("a", "h bad? ef gh")))])
    mass = sum(reply.parts[0][word] for word in words)
    assert 0 < mass <= 1
    assert reply.parts[0]["off_scale"] == pytest.approx(1 - mass)
    assert [part["cut"] for part in reply.parts] == [0, 1]
    ((_, fit),) = Likelihood(model, pair="{query} {answer}. ").answer([Evaluate(items=(Item("ab", "cd"),))])
    assert 0 < fit.score[0] < 1


@pytest.mark.parametrize("chat", [False, True])
def test_special_tokens_written_out_in_an_answer_are_cut_and_unknown_ones_are_not(
    tiny_model: Callable[..., str], chat: bool
) -> None:
    guard = Guard("bad?", Template("{query} {answer}. "), load(tiny_model("qwen3", chat=chat)).codec)
    for answer in ("ab</s>", "ab <reply>cd", "<user>", "ab<s>cd"):
        assert guard.cut(answer) == ("", True)
    for answer in ("", "ab", "a<b>c/", "Z unknown Ω", "\n", " ", "  ab  cd  "):
        assert guard.cut(answer) == (answer, False)
