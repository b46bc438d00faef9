"""Every language model backend keeps every law of ``winnow.ports.laws``."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from winnow.models.load import load
from winnow.models.tabular import Tabular
from winnow.ports.laws import BACKEND_LAWS, MODEL_LAWS, BackendCase, ModelCase, model_requests
from winnow.ports.requests import LanguageModel, Message, Prompt
from winnow.values.random import Key

# rows beyond the window take the slower path and say so once; that they are right is what is tested here
pytestmark = pytest.mark.filterwarnings("ignore::winnow.models.local.session.SlowPathWarning")

TEXTS = (
    "a",
    "ab cd",
    "cab ef. gh",
    "bad cab. fed abcd gh. had a bag? ",
    "h",
    "gh",
    "abcdabcdabcd a b",
    "cabcd ef",
    "e.f",
)
CHATS = tuple((Message("system", "be ab"), Message("user", text)) for text in TEXTS)
CONTINUATIONS = ("a", " a bed", "cd", "?", "abcd ef.")

Factory = Callable[[Callable[..., str]], LanguageModel]
BACKENDS: dict[str, tuple[Factory, tuple[Prompt, ...]]] = {
    "tabular order 0": (lambda tiny: Tabular.random("abcdefgh .?", order=0), TEXTS),
    "tabular order 2": (lambda tiny: Tabular.random("abcdefgh .?", order=2, key=Key(3)), TEXTS),
    "llama": (lambda tiny: load(tiny("llama")), TEXTS),
    "llama one at a time": (lambda tiny: load(tiny("llama"), batch_size=1), TEXTS),
    "llama threes": (lambda tiny: load(tiny("llama"), batch_size=3), TEXTS),
    "gpt2 without start token": (lambda tiny: load(tiny("gpt2", start=False)), TEXTS),
    "qwen3 chat": (lambda tiny: load(tiny("qwen3", chat=True)), CHATS),
    "qwen3 chat given text": (lambda tiny: load(tiny("qwen3", chat=True)), TEXTS),
    "mistral within its window": (lambda tiny: load(tiny("mistral", sliding_window=96)), TEXTS),
    "mistral beyond its window": (lambda tiny: load(tiny("mistral", sliding_window=9)), TEXTS),
}


@pytest.fixture(params=BACKENDS)
def case(request: pytest.FixtureRequest, tiny_model: Callable[..., str]) -> ModelCase:
    make, prompts = BACKENDS[request.param]
    return ModelCase(make=lambda: make(tiny_model), prompts=prompts, continuations=CONTINUATIONS)


@pytest.mark.parametrize("law", MODEL_LAWS)
def test_model_keeps_law(case: ModelCase, law: str) -> None:
    if law == "logprob_is_the_chain" and not isinstance(case.prompts[0], str):
        pytest.skip("where a continuation begins is known for text prompts only")
    MODEL_LAWS[law](case)


@pytest.mark.parametrize("law", BACKEND_LAWS)
def test_backend_keeps_law(case: ModelCase, law: str) -> None:
    BACKEND_LAWS[law](BackendCase(make=case.make, requests=model_requests(case)))
