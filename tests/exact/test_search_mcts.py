"""Monte Carlo tree search finds the best text where all can be enumerated, and its visits gather there."""

from __future__ import annotations

import numpy as np
import pytest

from winnow.models.tabular import Tabular
from winnow.ports.program import Program, run
from winnow.search.found import Found
from winnow.search.mcts import Effort, mcts
from winnow.search.valuing import rollout
from winnow.values.logspace import FloatArray, IntArray
from winnow.values.random import Key
from winnow.values.tree import Tree

DEPTH = 4


def worth(tokens: list[int]) -> float:
    """An arbitrary value in [0, 1] of a whole text, the same wherever it is computed."""
    return float(np.modf(sum((place + 1.7) * (token + 0.3) for place, token in enumerate(tokens)) * 0.37)[0])


def exact(tree: Tree, nodes: IntArray) -> Program[FloatArray]:
    return np.array([worth(tree.tokens(int(node))) for node in nodes])
    yield ()


def search(model: Tabular, simulations: int, *, batch: int = 4, depth: int = DEPTH, key: int = 0) -> Found:
    value = rollout(exact, key=Key(key), depth=depth, end_tokens=(3,))
    program = mcts(Tree([[0]]), 0, value=value, depth=depth, end_tokens=(3,), effort=Effort(simulations, batch, 4, 1.5))
    return run(program, model)


@pytest.mark.parametrize("seed", range(5))
def test_the_best_text_is_found_or_one_hardly_worse(seed: int) -> None:
    """With 600 looks a step: the best itself where the model gives it more than 1 in 200, else one within .005 of it."""
    model = Tabular.random("abc", order=1, key=Key(seed))
    texts = model.enumerate_texts(DEPTH, "a")
    best = max(range(len(texts.tokens)), key=lambda index: worth(list(texts.tokens[index])))
    found = search(model, 600)
    assert found.rank is not None
    assert found.rank[0] == pytest.approx(worth(list(texts.tokens[best])), abs=0.005)
    if texts.logprob[best] > np.log(0.005):
        assert tuple(found.tree.tokens(int(found.nodes[0]))) == texts.tokens[best]
    assert found.logprob == pytest.approx(found.tree.path_logprob(found.nodes), abs=1e-12)


def test_visits_converge_to_the_optimum() -> None:
    """Of the first tokens, the one that leads to the best text gets a growing share of the visits."""
    model = Tabular.random("abc", order=1, key=Key(3))
    texts = model.enumerate_texts(3, "a")
    best = max(texts.tokens, key=lambda tokens: worth(list(tokens)))[0]
    shares = []
    for simulations in (30, 300, 3000):
        found = search(model, simulations, depth=3)
        assert found.visits is not None
        children = [node for node in range(len(found.tree)) if found.tree.parent[node] == 0]
        visits = np.array([found.visits[node] for node in children])
        shares.append(float(visits[found.tree.token[children] == best].sum() / visits.sum()))
    assert shares[0] < shares[1] < shares[2]
    assert shares[2] > 0.9


def test_the_first_step_spends_what_it_was_given_and_the_subtree_is_kept() -> None:
    model = Tabular.random("abc", order=1, key=Key(5))
    found = search(model, 40, batch=8)
    assert found.visits is not None
    assert found.visits[0] == 40
    children = [node for node in range(len(found.tree)) if found.tree.parent[node] == 0]
    assert sum(found.visits[node] for node in children) >= 40  # the chosen child is simulated from again
    assert len(set(zip(found.tree.parent.tolist(), found.tree.token.tolist(), strict=True))) == len(found.tree)


def test_without_a_batch_it_finds_the_same_text() -> None:
    model = Tabular.random("abc", order=1, key=Key(2))
    one, many = (search(model, 500, batch=batch) for batch in (1, 16))
    assert one.tree.tokens(int(one.nodes[0])) == many.tree.tokens(int(many.nodes[0]))


def test_an_is_done_decision_ends_a_text() -> None:
    def done(tree: Tree, nodes: IntArray) -> Program[np.ndarray]:
        return np.array([tree.tokens(int(node))[-1:] == [1] for node in nodes])
        yield ()

    model = Tabular.random("abc", order=1, key=Key(2))
    program = mcts(Tree([[0]]), 0, value=exact, depth=DEPTH, end_tokens=(3,), done=done, effort=Effort(200, 4, 4))
    found = run(program, model)
    for node, finished in zip(found.nodes, found.finished, strict=True):
        tokens = found.tree.tokens(int(node))
        assert 1 not in tokens[:-1]
        assert finished == (tokens[-1] in (1, 3))


@pytest.mark.parametrize("effort", [Effort(0), Effort(batch=0), Effort(width=0), Effort(exploration=-1.0)])
def test_numbers_out_of_range(effort: Effort) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        run(mcts(Tree([[0]]), 0, value=exact, depth=2, effort=effort), Tabular.random("ab"))
