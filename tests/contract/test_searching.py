"""A search in front of a model is a backend by every law, and completes as its search finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import winnow as wn
from winnow.evaluators.verifier import matches
from winnow.models.grammar import Grammar
from winnow.models.tabular import Tabular
from winnow.ports.asking import ask_all
from winnow.ports.laws import BACKEND_LAWS, BackendCase, ModelCase, model_requests
from winnow.ports.requests import Complete, LogProb
from winnow.search.searching import Searching
from winnow.values.errors import CapabilityError, InputError
from winnow.values.random import Key

MODEL = Tabular.random("abc", order=2, key=Key(4))
SETTINGS: dict[str, dict[str, Any]] = {
    "beam": {"width": 4},
    "smc": {"particles": 12, "power": 2.0},
    "mcts": {"simulations": 8, "batch": 2, "width": 3},
    "best-of-n": {"num": 5, "evaluator": matches("ab")},
}


def asked(prompts: tuple[str, ...], stop: tuple[str, ...] = (), first: int = 0) -> Complete:
    return Complete(
        prompts=prompts, slots=first + np.arange(len(prompts)), key=Key(3, ("here",)), max_tokens=5, stop=stop
    )


@pytest.mark.parametrize("law", BACKEND_LAWS)
@pytest.mark.parametrize("name", SETTINGS)
def test_it_keeps_the_laws_of_a_backend(name: str, law: str) -> None:
    def make() -> Searching:
        return Searching(MODEL, name, **SETTINGS[name])

    case = ModelCase(make, ("a", "bc", "abca"), ("b", "ca"))
    requests = (*model_requests(case), asked(("a", "b"), stop=("c",)))
    BACKEND_LAWS[law](BackendCase(make=make, requests=requests))


@pytest.mark.parametrize("name", SETTINGS)
def test_a_row_depends_on_its_own_slot_only(name: str) -> None:
    backend = Searching(MODEL, name, **SETTINGS[name])
    together = ask_all(backend, [asked(("a", "b", "ab"))])[0]
    for row, prompt in enumerate(("a", "b", "ab")):
        alone = ask_all(backend, [asked((prompt,), first=row)])[0]
        assert alone.text[0] == together.text[row]
        assert alone.logprob[0] == pytest.approx(together.logprob[row], abs=1e-12)


def test_it_writes_what_the_search_prefers() -> None:
    reply = ask_all(Searching(MODEL, "beam", width=4), [asked(("a", "cb"))])[0]
    for row, prompt in enumerate(("a", "cb")):
        found = wn.search(MODEL, prompt, "beam", width=4, depth=5)
        assert reply.text[row] == found.text
        assert reply.logprob[row] == pytest.approx(found.logprob[found.best], abs=1e-12)
        assert reply.finish[row] == ("end" if found.finished[found.best] else "length")
    assert reply.cost.calls > 0


@pytest.mark.parametrize("name", SETTINGS)
def test_log_probabilities_are_the_models_own_up_to_the_stop(name: str) -> None:
    backend = Searching(MODEL, name, **SETTINGS[name])
    seen = set()
    for first in range(12):
        reply = ask_all(backend, [asked(("a", "bb"), stop=("c",), first=first)])[0]
        for row, prompt in enumerate(("a", "bb")):
            text, finish = reply.text[row], reply.finish[row]
            assert "c" not in text
            seen.add(finish)
            whole = text + "c" if finish == "stop" else text
            truth = ask_all(MODEL, [LogProb(prompts=(prompt,), continuations=((whole,),))])[0].logprob[0][0]
            if finish != "end":
                assert reply.logprob[row] == pytest.approx(truth, abs=1e-9)
                assert reply.num_tokens[row] == len(whole)
            else:
                assert reply.logprob[row] < truth
    assert "stop" in seen


def test_smc_writes_in_proportion_to_its_weights() -> None:
    """With power 1 a particle drawn by weight is a draw from the model, whatever the resampling."""
    backend = Searching(MODEL, "smc", particles=4, trigger=1.0)
    reply = ask_all(backend, [asked(("a",) * 600)])[0]
    texts = MODEL.enumerate_texts(5, "a")
    share = float(np.exp([p for t, p in zip(texts.text, texts.logprob, strict=True) if t.startswith("b")]).sum())
    seen = np.mean([text.startswith("b") for text in reply.text])
    assert abs(seen - share) <= 3 * np.sqrt(share * (1 - share) / 600)


def test_an_evaluator_picks_among_samples() -> None:
    backend = Searching(MODEL, "best-of-n", num=12, evaluator=matches("cc"))
    reply = ask_all(backend, [asked(("a",) * 20)])[0]
    plain = ask_all(MODEL, [asked(("a",) * 20)])[0]
    assert sum("cc" in text for text in reply.text) > sum("cc" in text for text in plain.text)


def test_a_grammar_bound_search_completes_too() -> None:
    reply = ask_all(Searching(Grammar(MODEL, "b(ab|c)*"), "beam", width=3), [asked(("a",))])[0]
    assert reply.text[0].startswith("b")


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(InputError, match="did you mean 'width'"):
        Searching(MODEL, "beam", widht=3)
    with pytest.raises(CapabilityError, match="edits with a masked model"):
        ask_all(Searching(MODEL, "evolve"), [asked(("a",))])
    with pytest.raises(CapabilityError, match="cannot answer Complete"):
        ask_all(Searching(Grammar(MODEL, "b*"), "best-of-n", evaluator=matches("b")), [asked(("a",))])


def test_what_is_asked_beside_a_request_moves_no_bit_of_its_reply() -> None:
    """Or a resumed run, with fewer requests left, would not go on as the whole one did."""
    backend = wn.load("bundled+beam:4")
    prompts = tuple(f"Q: The capital of {name}?\nA:" for name in ("Lark", "Cloak"))
    one, other = asked(prompts, stop=("\n",)), asked(tuple(f"x{p}" for p in prompts) * 5, stop=("\n",), first=2)
    alone = ask_all(backend, [one])[0]
    beside = ask_all(backend, [one, other])[0]
    assert alone.text == beside.text
    assert alone.logprob.tobytes() == beside.logprob.tobytes()
