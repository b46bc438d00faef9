"""``winnow.search`` from Python: what it returns, what it says when it is stopped, and what it asks of heads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import winnow as wn
from winnow.evaluators.verifier import Verifier, matches
from winnow.models.masked import Masked
from winnow.models.masked_tabular import tabular_masked
from winnow.models.tabular import Tabular
from winnow.ports.program import Limits, Note, Program
from winnow.ports.requests import Appraisals, Appraise, Cost, LogProb, Request
from winnow.search.beam import beam
from winnow.search.call import BUILT_IN, SearchStopped, named, settings_of
from winnow.search.found import Found
from winnow.search.problem import Problem
from winnow.search.result import Result
from winnow.values.errors import CapabilityError, InputError, LimitReached
from winnow.values.population import Population
from winnow.values.random import Key

MODEL = Tabular.random("abc", order=1, key=Key(4))


def search(*args: Any, **kwargs: Any) -> Result:
    found = wn.search(*args, **kwargs)
    assert isinstance(found, Result)
    assert isinstance(found, Population)
    return found


@pytest.mark.parametrize("name", ["beam", "smc", "mcts", "best-of-n"])
def test_log_probabilities_are_the_models_own(name: str) -> None:
    evaluator = matches("b") if name == "best-of-n" else None
    settings = {"width": 4} if name == "beam" else {}
    found = search(MODEL, "ab", name, evaluator=evaluator, depth=4, **settings)
    texts = MODEL.enumerate_texts(4, "ab")
    truth = dict(zip(zip(texts.text, texts.ended, strict=True), texts.logprob, strict=True))
    for text, ended, logprob in zip(found.texts, found.finished, found.logprob, strict=True):
        assert logprob == pytest.approx(truth[text, bool(ended)], abs=1e-12)
    assert len(found) == len(found.log_weight) == len(found.members)
    assert found.cost.calls > 0
    assert found.text == found.record()["best"]
    assert found.stop == ""


def test_the_same_seed_gives_the_same_and_another_does_not() -> None:
    one, again, other = (search(MODEL, "a", "smc", particles=40, depth=6, seed=seed) for seed in (1, 1, 2))
    assert one.record() == again.record()
    assert one.texts != other.texts


def test_smc_weights_its_evaluators_texts() -> None:
    found = search(MODEL, "a", "smc", particles=400, depth=3, evaluator=matches("b"), inverse_temperature=3.0)
    texts = MODEL.enumerate_texts(3, "a")
    factor = np.exp(3.0 * np.array(["b" in text for text in texts.text]))
    total = float((np.exp(texts.logprob) * factor).sum())
    assert found.log_evidence == pytest.approx(np.log(total), abs=0.25)
    weight = np.exp(found.log_weight - found.log_weight.max())
    share = float(weight @ np.array(["b" in text for text in found.texts]) / weight.sum())
    truth = float((np.exp(texts.logprob) * factor)[[i for i, t in enumerate(texts.text) if "b" in t]].sum() / total)
    assert share == pytest.approx(truth, abs=4 * np.sqrt(truth * (1 - truth) / 400))


@pytest.mark.parametrize(("potential", "factor"), [("end", lambda t: "b" in t), ("steps", lambda t: _steps_with_b(t))])
def test_an_evaluator_counts_at_the_end_or_at_every_step(potential: str, factor: Any) -> None:
    judge, strength = matches("b"), 0.7
    texts = MODEL.enumerate_texts(3, "a")
    truth = float(sum(np.exp(p) * np.exp(strength * factor(t)) for p, t in zip(texts.logprob, texts.text, strict=True)))
    estimates = [
        search(
            MODEL, "a", "smc", particles=8, depth=3, evaluator=judge, inverse_temperature=strength, potential=potential,
            seed=seed,
        ).log_evidence
        for seed in range(150)
    ]  # fmt: skip
    sample = np.exp(np.array(estimates, np.float64))
    assert abs(sample.mean() - truth) <= 3 * sample.std(ddof=1) / np.sqrt(sample.size)


def _steps_with_b(text: str) -> int:
    """Steps after which there was a b; a text that ended before its third token has a step for its end."""
    steps = [text[:size] for size in range(1, min(len(text) + 1, 3) + 1)]
    return sum("b" in one for one in steps)


@pytest.mark.parametrize("mutation", ["spans", "gibbs"])
@pytest.mark.parametrize(("prompt", "whole"), [("a_c_", True), ("ab", False)])
def test_edited_texts_have_exact_log_probabilities_wherever_it_stops(mutation: str, prompt: str, whole: bool) -> None:
    """In every partial result and in the last: the model's own of what stands after the prompt."""
    exact = tabular_masked("abc", length=4)
    names: dict[str, Any] = {"mask_token": exact.mask_token, "mask_text": exact.mask_text, "special": exact.special}
    masked = Masked(
        lambda tokens, places: np.zeros((len(tokens), exact.codec.vocabulary_size)),
        exact.codec,
        identity="even",
        context_length=20,
        **names,
    )
    settings: dict[str, Any] = {"population": 5, "rounds": 4, "depth": 2, "mutation": mutation, "fitness": "likelihood"}
    stops = set()
    for limit in [*range(3, 30), None]:
        try:
            found = search(MODEL, prompt, "evolve", masked=masked, limits=Limits(max_requests=limit), **settings)
        except LimitReached:
            continue
        stops.add(found.said["rounds"])
        for text, logprob in zip(found.texts, found.logprob, strict=True):
            head, tail = ("", text) if whole else (prompt, text[len(prompt) :])
            (reply,) = dict(MODEL.answer([LogProb(prompts=(head,), continuations=((tail,),))])).values()
            assert logprob == pytest.approx(float(reply.logprob[0][0]), abs=1e-12)
    assert stops == set(range(5))


def test_a_limit_gives_what_was_found_and_before_that_is_an_error() -> None:
    found = search(MODEL, "a", "smc", particles=30, depth=9, limits=Limits(max_requests=3))
    assert "--max-requests 3" in found.stop
    assert max(found.num_tokens) == 3
    assert len(found) == 30
    with pytest.raises(LimitReached):
        search(MODEL, "a", "beam", width=2, depth=9, limits=Limits(max_requests=0))


class Watcher:
    def __init__(self, stop_at: int) -> None:
        self.stop_at, self.kinds = stop_at, list[str]()

    def on_note(self, note: Note) -> None:
        self.kinds.append(note.kind)
        if len(self.kinds) == self.stop_at:
            raise KeyboardInterrupt

    def on_reply(self, done: int, asked: int, cost: Cost) -> None:
        """Not needed."""


def test_control_c_gives_the_best_so_far() -> None:
    watcher = Watcher(3)
    found = search(MODEL, "a", "smc", particles=6, depth=9, observer=watcher)
    assert found.stop == "interrupted"
    assert set(found.num_tokens.tolist()) <= {1, 2, 3}
    assert len(found) == 6


def test_a_tree_search_stopped_before_its_first_token_has_a_text_all_the_same() -> None:
    model = Tabular("abc", np.array([[0.5, 0.3, 0.2, 0.0]] * 4))  # never ends by itself
    found = search(model, "a", "mcts", depth=9, simulations=50, batch=2, width=3, observer=Watcher(4))
    assert found.stop == "interrupted"
    assert found.text
    assert not found.finished.any()


def test_what_breaks_on_the_way_carries_what_was_found() -> None:
    asked: list[str] = []

    def check(query: str, answer: str) -> float:
        asked.append(answer)
        if len(asked) > 6:
            raise RuntimeError("no more")
        return 0.5

    evaluator = Verifier("fragile", check, identity="fragile")
    with pytest.raises(SearchStopped, match="no more") as stopped:
        search(
            Tabular.random("abcdefgh", order=2),
            "a",
            "mcts",
            depth=9,
            simulations=4,
            batch=2,
            evaluator=evaluator,
            value="evaluator",
        )
    assert stopped.value.exit_code == 2
    assert len(stopped.value.partial) > 0


class Heads:
    """Says that a text with a b in it is good, and that one with two is done."""

    identity = "heads"
    answers: frozenset[type[Request[Any]]] = frozenset({Appraise})

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        for index, request in enumerate(requests):
            assert isinstance(request, Appraise)
            many = np.array([row.tolist()[1:].count(1) for row in request.rows])
            yield index, Appraisals(value=many / (1 + many), done=(many >= 2).astype(float), cost=Cost(len(many), 0, 0))


def test_heads_value_texts_and_say_when_they_are_done() -> None:
    class Both:
        """A model with heads."""

        def __getattr__(self, name: str) -> Any:
            return getattr(MODEL, name)

        @property
        def answers(self) -> frozenset[type[Request[Any]]]:
            return MODEL.answers | {Appraise}

        def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
            for index, request in enumerate(requests):
                backend: Any = Heads() if isinstance(request, Appraise) else MODEL
                for _, reply in backend.answer([request]):
                    yield index, reply

    found = search(Both(), "a", "mcts", depth=8, simulations=60, width=4, value="heads")
    assert found.text.count("b") == 2
    assert found.text.endswith("b")
    assert found.finished[found.best]


def test_a_program_of_ones_own_and_its_settings() -> None:
    def mine(problem: Problem, *, width: int = 2) -> Program[Found]:
        return (yield from beam(problem.tree, 0, width=width, depth=3, end_tokens=problem.end_tokens))

    assert len(search(MODEL, "a", mine, width=3)) == 3
    with pytest.raises(InputError, match=r"mine has no setting 'widht'.*did you mean 'width'"):
        search(MODEL, "a", mine, widht=3)


def test_what_breaks_in_a_program_of_ones_own_is_said_in_a_line_and_what_it_found_is_kept() -> None:
    def follows(problem: Problem, *, after: int = 2) -> Program[Found]:
        return (yield from wrapped(beam(problem.tree, 0, width=2, depth=9), after))

    def wrapped(program: Program[Found], after: int) -> Program[Found]:
        replies = None
        while True:
            step = program.send(replies)
            if isinstance(step, Note):
                after -= 1
            if after < 0:
                raise RuntimeError("no more")
            replies = yield step

    with pytest.raises(
        SearchStopped, match=r"follows \(test_search_call.py:\d+\): raised RuntimeError: 'no more'"
    ) as one:
        search(MODEL, "a", follows)
    assert len(one.value.partial) == 2
    with pytest.raises(InputError, match="raised RuntimeError"):
        search(MODEL, "a", follows, after=0)
    with pytest.raises(InputError, match="gives NoneType, and is no program"):
        search(MODEL, "a", lambda problem: None)

    def nothing(problem: Problem) -> Program[None]:
        yield from beam(problem.tree, 0, width=2, depth=1)

    with pytest.raises(InputError, match="returned NoneType"):
        search(MODEL, "a", nothing)


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_setting_has_a_default_and_is_explained(name: str) -> None:
    about = named(name).__doc__ or ""
    for setting, parameter in settings_of(named(name)).items():
        assert parameter.default is not parameter.empty, setting
        assert f"    {setting} : " in about, setting


def test_blanks_are_filled_in_and_the_words_around_them_stay() -> None:
    masked = tabular_masked("abc", length=4)
    whole = search(MODEL, "a_c_", "evolve", masked=masked, population=6, rounds=4, fitness="likelihood")
    assert all(text[0] == "a" and text[2] == "c" and len(text) == 4 for text in whole.texts)
    assert np.isfinite(whole.logprob).all()
    assert min(whole.lineage.parent) < 6  # the first six were filled in from nothing
    with pytest.raises(CapabilityError, match="edits with a masked model"):
        search(MODEL, "a_c_", "evolve")


def test_the_package_is_a_package_too() -> None:
    import winnow.search
    from winnow.search.mcts import mcts

    assert callable(winnow.search)
    assert winnow.search.__path__
    assert mcts.__module__ == "winnow.search.mcts"


def test_a_search_of_another_package_is_found_by_its_entry_point(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A package that is installed beside this one: its metadata on the path, its code not imported before it is asked."""
    (tmp_path / "narrow_search.py").write_text("from winnow.search.programs import beam as narrow\n")
    about = tmp_path / "narrow_search-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: narrow-search\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[winnow.searches]\nnarrow = narrow_search:narrow\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert search(MODEL, "a", "narrow", width=1, depth=3).text == search(MODEL, "a", "beam", width=1, depth=3).text
    with pytest.raises(InputError, match="did you mean 'narrow'"):
        named("narow")


def test_the_live_table_shows_where_a_search_stands(capsys: pytest.CaptureFixture[str]) -> None:
    from winnow.cli.search_screen import SearchScreen

    screen = SearchScreen(Limits(max_tokens=500, max_requests=50))
    screen.live = True
    search(MODEL, "a", "smc", particles=8, depth=4, power=2.0, observer=screen)
    screen.close()
    lines = [line.rpartition("\r")[2] for line in capsys.readouterr().err.split("\n")]
    assert lines[0].split() == ["step", "best", "effective", "ESS", "tokens", "left"]
    assert len(lines) >= 3
    step, best, effective, size, tokens, *left = lines[1].split()
    assert step == "0"
    assert float(best) < 0
    assert 1 <= float(effective) <= 8
    assert 1 <= float(size) <= 8
    assert int(tokens) > 0
    assert left == ["49", "requests,", str(500 - int(tokens)), "tokens"]


def test_a_blank_takes_the_space_before_it_where_words_carry_their_own() -> None:
    from winnow.models.symbols import Symbols
    from winnow.search.editing import _joined
    from winnow.search.problem import MaskedCodec

    words = Symbols([" ", " a", "a", " b", "b"])
    letters = Symbols([" ", "a", "b"])
    for codec, expected in ((words, 0), (letters, 1)):
        mask = codec.vocabulary_size - 1
        row = [*codec.encode("a"), *codec.encode(" "), mask, *codec.encode(" b")]
        joined = _joined(MaskedCodec(codec, mask, "_", (mask,)), row)
        assert len(row) - len(joined) == 1 - expected
        assert codec.decode(joined).replace(" ", "") == "ab"
