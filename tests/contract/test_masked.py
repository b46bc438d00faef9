"""Masked models keep their laws: the exact one, and a random BERT behind transformers; broken ones are caught."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.support.masked import write_masked
from winnow.models.masked import Masked, load_masked
from winnow.models.masked_tabular import tabular_masked
from winnow.ports.laws import LawBroken
from winnow.ports.masked_laws import MASKED_LAWS, MaskedCase
from winnow.ports.requests import Appraisals, Appraise, Cost, FillMask
from winnow.runs.encoding import decode_reply, decode_request, encode_reply, encode_request, fingerprint
from winnow.values.errors import ContextError


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Masked:
    return load_masked(write_masked(tmp_path_factory.mktemp("bert"), start=True, positions=32, spread=0.3))


@pytest.mark.parametrize("law", MASKED_LAWS)
def test_the_exact_model_keeps_the_law(law: str) -> None:
    rows = ([0, 1, 2], [2, 2, 2], [1, 0, 1])
    MASKED_LAWS[law](MaskedCase(lambda: tabular_masked("abc"), rows, special=(3,)))


@pytest.mark.parametrize("law", MASKED_LAWS)
def test_a_transformers_model_keeps_the_law(law: str, bert: Masked) -> None:
    rows = ([5, 6, 7, 8], [9, 5, 6, 7], [10, 9, 8, 7, 6])
    MASKED_LAWS[law](MaskedCase(lambda: bert, rows, special=bert.special))


def test_probabilities_are_the_models_own(bert: Masked) -> None:
    """Against one plain forward pass: the same odds between ordinary tokens."""
    row = bert.codec.encode("ab cd")
    request = FillMask(rows=(np.array(row),), hidden=(np.array([2, 3]),), read=np.array([2]))
    reply = dict(bert.answer([request]))[0]
    masked = np.array([row])
    masked[0, [2, 3]] = bert.mask_token
    plain = bert._forward(masked, np.array([2]))[0]
    ordinary = [token for token in range(plain.size) if token not in bert.special]
    gap = reply.logprob[0, ordinary] - plain[ordinary]
    assert gap == pytest.approx(gap[0], abs=1e-5)
    assert gap[0] >= 0


@pytest.mark.parametrize(("spoil", "law"), [
    (lambda full, tokens: full + 0.1, "sums_to_one"),
    (lambda full, tokens: np.roll(full, int(tokens[0, 0]), axis=1), "batch_equals_single"),
])  # fmt: skip
def test_offenders_are_caught(spoil: Callable[..., Any], law: str) -> None:
    class Offender:
        identity, answers = "offender", frozenset({FillMask})

        def answer(self, requests: Any) -> Any:
            for index, reply in tabular_masked("abc").answer(requests):
                rows = np.array([len(requests[index].rows)])[:, None]
                reply = type(reply)(token=reply.token, logprob=spoil(reply.logprob, rows), cost=Cost())
                yield index, reply

    with pytest.raises(LawBroken):
        MASKED_LAWS[law](MaskedCase(Offender, ([0, 1, 2], [2, 2, 2]), special=()))


def test_a_text_longer_than_the_context_is_refused(bert: Masked) -> None:
    row = np.full(40, 6)
    with pytest.raises(ContextError, match="40 tokens, the context holds 32"):
        list(bert.answer([FillMask(rows=(row,), hidden=(np.array([1]),), read=np.array([1]))]))


def test_requests_and_replies_survive_the_journal() -> None:
    request = FillMask(
        rows=(np.array([1, 2]), np.array([3])),
        hidden=(np.array([0, 1]), np.array([0])),
        read=np.array([1, 0]),
        uniform=np.array([0.25, 0.5]),
    )
    encoded = json.loads(json.dumps(encode_request(request)))
    again = decode_request(encoded, FillMask)
    assert fingerprint("m", again) == fingerprint("m", request)
    asked = Appraise(rows=(np.array([4, 5]),))
    assert fingerprint("m", decode_request(encode_request(asked), Appraise)) == fingerprint("m", asked)
    said = Appraisals(value=np.array([0.5]), done=np.array([0.125]), cost=Cost(1, 2, 0))
    back = decode_reply(json.loads(json.dumps(encode_reply(said))), Appraise)
    assert back.value.tolist() == [0.5]
    assert back.done.tolist() == [0.125]
    with pytest.raises(ValueError, match="give one of tokens, uniform"):
        FillMask(rows=(), hidden=(), read=np.array([]), tokens=np.array([]), uniform=np.array([]))
