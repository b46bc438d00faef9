"""Twisted and grammar-bound particle clouds against sums over all texts."""

from __future__ import annotations

import re

import numpy as np
import pytest

from winnow.models.grammar import Grammar
from winnow.models.tabular import Tabular
from winnow.ports.laws import BACKEND_LAWS, BackendCase
from winnow.ports.program import Program, gather, run
from winnow.ports.requests import NextToken
from winnow.search.beam import beam
from winnow.search.found import Found
from winnow.search.smc import Target, smc
from winnow.values.errors import CapabilityError, InputError
from winnow.values.logspace import FloatArray, IntArray
from winnow.values.population import ess
from winnow.values.random import Key
from winnow.values.tree import Tree

DEPTH, REPEATS = 4, 200
MODEL = Tabular.random("abc", order=1, key=Key(11))
RARE = int(MODEL.table[0, :3].argmin())


def counts_b(tree: Tree, nodes: IntArray) -> Program[FloatArray]:
    """log of the factor: twice as good for each b, whatever comes between."""
    return np.array([np.log(2.0) * tree.tokens(int(node)).count(1) for node in nodes])
    yield ()


def clouds(model: object, num: int, target: Target, temperature: float = 1.0) -> list[Found]:
    tree = Tree([MODEL.codec.encode("a")])
    programs = [
        smc(
            tree,
            0,
            num_particles=num,
            depth=DEPTH,
            key=Key(seed),
            end_tokens=(3,),
            target=target,
            temperature=temperature,
        )
        for seed in range(REPEATS)
    ]
    return run(gather(programs), model)  # type: ignore[arg-type]


def mean_is(estimates: np.ndarray, truth: float) -> bool:
    return abs(estimates.mean() - truth) <= 3 * estimates.std(ddof=1) / np.sqrt(estimates.size)


@pytest.mark.parametrize("twist", [None, counts_b])
def test_a_reward_at_the_end_has_the_enumerated_evidence_twisted_or_not(twist: object) -> None:
    texts = MODEL.enumerate_texts(DEPTH, "a")
    truth = float(sum(np.exp(p) * 2.0 ** t.count(1) for p, t in zip(texts.logprob, texts.tokens, strict=True)))
    found = clouds(MODEL, 6, Target(reward=counts_b, twist=twist))  # type: ignore[arg-type]
    estimates = np.exp([one.log_evidence for one in found])
    assert mean_is(estimates, truth)
    assert estimates.std() > 0


def test_a_score_at_every_step_has_the_enumerated_evidence() -> None:
    """What ``--evaluator ... --potential steps`` weighs by: the factor of each beginning, multiplied."""
    texts = MODEL.enumerate_texts(DEPTH, "a")
    steps = [sum(t[:n].count(1) for n in range(1, len(t) + 1)) for t in texts.tokens]
    truth = float(sum(np.exp(p) * 2.0**many for p, many in zip(texts.logprob, steps, strict=True)))
    estimates = np.exp([one.log_evidence for one in clouds(MODEL, 6, Target(potential=counts_b))])
    assert mean_is(estimates, truth)
    assert estimates.std() > 0


def first_is_rare(tree: Tree, nodes: IntArray) -> Program[FloatArray]:
    """A reward that is known from the first token on, and paid at the end."""
    return np.array([4.0 * (tree.tokens(int(node))[0] == RARE) for node in nodes])
    yield ()


def test_a_good_twist_leaves_more_to_choose_from() -> None:
    """Steered early, the cloud ends with weights that are nearly even; unsteered, a few particles hold everything."""
    sizes = []
    for twist in (None, first_is_rare):
        found = clouds(MODEL, 24, Target(reward=first_is_rare, twist=twist))
        sizes.append(np.mean([ess(one.population.log_weight) for one in found]))
    assert sizes[0] < 18
    assert sizes[1] > 23


PATTERN = "(ab*c?)*"


def lawful(tokens: tuple[int, ...], ended: bool) -> bool:
    text = "".join("abc"[token] for token in tokens if token < 3)
    return re.fullmatch(PATTERN, text) is not None if ended else re.fullmatch(r"(ab*c?)*", text) is not None


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_evidence_under_a_grammar_is_the_mass_of_lawful_texts(temperature: float) -> None:
    texts = MODEL.enumerate_texts(DEPTH, "a")
    mass = [np.exp(p) for p, t, e in zip(texts.logprob, texts.tokens, texts.ended, strict=True) if lawful(t, e)]
    found = clouds(Grammar(MODEL, PATTERN), 6, Target(), temperature)
    assert mean_is(np.exp([one.log_evidence for one in found]), float(sum(mass)))
    for one in found[:20]:
        texts_found = [tuple(one.tree.tokens(int(node))) for node in one.nodes]
        assert all(lawful(tokens, tokens[-1] == 3) for tokens in texts_found)
        assert one.logprob == pytest.approx(one.tree.path_logprob(one.nodes), abs=1e-12)


def test_a_beam_behind_a_grammar_ranks_by_the_models_own_probability() -> None:
    texts = MODEL.enumerate_texts(DEPTH, "a")
    found = run(beam(Tree([[0]]), 0, width=256, depth=DEPTH, end_tokens=(3,)), Grammar(MODEL, PATTERN))
    legal = [p for p, t, e in zip(texts.logprob, texts.tokens, texts.ended, strict=True) if lawful(t, e)]
    assert found.logprob == pytest.approx(sorted(legal, reverse=True), abs=1e-12)


def test_a_dead_end_kills_a_particle_and_is_no_error() -> None:
    # after a only b, after b only the end: the grammar wants a second b
    model = Tabular("ab", [[0, 1, 0], [0.5, 0, 0.5], [0, 0, 1]])
    found = run(smc(Tree([[0]]), 0, num_particles=4, depth=4, key=Key(0), end_tokens=(2,)), Grammar(model, "bbb"))
    assert found.log_evidence == -np.inf


@pytest.mark.parametrize("law", BACKEND_LAWS)
def test_a_grammar_keeps_the_laws_of_a_backend(law: str) -> None:
    tree = Tree([[0], [1]])
    tree, _ = tree.append([0, 0], [0, 1], [-1.0, -1.0])
    tree, _ = tree.append([2], [2], [-1.0])
    nodes = np.arange(5)
    asked = (
        NextToken(tree=tree, nodes=nodes),
        NextToken(tree=tree, nodes=nodes, top=2),
        NextToken(tree=tree, nodes=nodes, uniform=np.linspace(0.1, 0.9, 5)),
        NextToken(tree=tree, nodes=nodes, tokens=np.array([3, 0])),
    )
    BACKEND_LAWS[law](BackendCase(make=lambda: Grammar(MODEL, PATTERN), requests=asked))


def test_the_mass_that_is_left_is_told() -> None:
    request = NextToken(tree=Tree([[0]]), nodes=np.array([0]))
    reply = dict(Grammar(MODEL, "b+").answer([request]))[0]
    assert np.exp(reply.log_mass) == pytest.approx([MODEL.table[0, 1]])
    assert np.exp(reply.logprob[0]) == pytest.approx([0, MODEL.table[0, 1], 0, 0])


@pytest.mark.parametrize(("text", "kind", "message"), [
    ("(", "regex", "unclosed group"),
    ("start: ???", "lark", "is no lark"),
    ("{", "json", "is no json"),
    ("z+", "regex", "no text of this model's tokens"),
    ("a", "regexp", "known: regex, lark, json"),
])  # fmt: skip
def test_what_is_no_grammar_is_said_in_a_line(text: str, kind: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        Grammar(MODEL, text, kind=kind)
    assert "\n" not in str(error.value)


def test_json_and_lark_are_grammars_too() -> None:
    assert Grammar(MODEL, 'start: "a" "b"*', kind="lark").identity.startswith("lark")
    digits = Tabular.random('0123456789"{}:,x', key=Key(1))
    found = run(
        beam(Tree([[0]]), 0, width=30, depth=6, end_tokens=digits.codec.end_tokens),
        Grammar(digits, '{"type": "integer"}', kind="json"),
    )
    done = [digits.codec.decode(found.tree.tokens(int(n))) for n, f in zip(found.nodes, found.finished) if f]
    assert done
    assert all(text.isdigit() for text in done)


def test_a_model_without_an_end_cannot_close_a_grammar() -> None:
    class Endless:
        identity, chat, context_length = "endless", False, 10
        answers = MODEL.answers

        class codec:  # noqa: N801
            end_tokens: tuple[int, ...] = ()

    with pytest.raises(CapabilityError, match="no end token"):
        Grammar(Endless(), "a")  # type: ignore[arg-type]
