"""How good unfinished texts promise to be: what Monte Carlo tree search backs up, and what SMC is steered by.

Each is a function that makes a program from a tree and nodes ``[M]`` to numbers ``[M]``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from winnow.ports.program import Program, ask
from winnow.ports.requests import Appraise, NextToken
from winnow.search.problem import Problem
from winnow.values.logspace import FloatArray, IntArray
from winnow.values.random import Key, uniforms
from winnow.values.tree import Tree

Value: TypeAlias = Callable[[Tree, IntArray], Program[FloatArray]]
"""Values in [0, 1] of the texts at nodes."""

Done: TypeAlias = Callable[[Tree, IntArray], Program[NDArray[np.bool_]]]
"""Whether the texts at nodes are finished as they stand."""


def likelihood(tree: Tree, nodes: IntArray) -> Program[FloatArray]:
    """exp of the mean log-probability of a text's tokens: how plausible the model finds it. Asks nothing."""
    length = np.array([max(1, len(tree.path(int(node)))) for node in nodes])
    return np.asarray(np.exp(np.minimum(tree.path_logprob(nodes) / length, 0.0)), np.float64)
    yield ()


def evaluated(problem: Problem) -> Value:
    """The evaluator's score of the text as far as it is written."""
    return problem.scores


def tilt(value: Value, inverse_temperature: float) -> Value:
    """value / T: the log of the fitness exp(value / T), as a potential of SMC."""

    def log_fitness(tree: Tree, nodes: IntArray) -> Program[FloatArray]:
        return inverse_temperature * (yield from value(tree, nodes))

    return log_fitness


def rollout(value: Value, *, key: Key, depth: int, end_tokens: Sequence[int], root: int = 0) -> Value:
    """Write each text to its end by sampling from the model, and take the finished text's value.

    A node's rollout draws from ``key`` at the node's own number: asked twice, it is the same one. Cost: up to ``depth``
    less the node's depth requests, of the texts that have not ended.
    """
    ends = np.asarray(end_tokens, np.int64)

    def rolled(tree: Tree, nodes: IntArray) -> Program[FloatArray]:
        at = nodes.copy()
        written = np.array([len(tree.path(int(node))) for node in nodes]) - len(tree.path(root))
        uniform = uniforms(key, "rollout", nodes, depth)
        while True:
            live = np.flatnonzero((written < depth) & ~np.isin(tree.token[at], ends))
            if live.size == 0:
                return (yield from value(tree, at))
            reply = yield from ask(NextToken(tree=tree, nodes=at[live], uniform=uniform[live, written[live]]))
            tree, at[live] = tree.append(at[live], reply.token[:, 0], reply.logprob[:, 0])
            written[live] += 1

    return rolled


def heads(tree: Tree, nodes: IntArray) -> Program[FloatArray]:
    """What a value head says; needs a backend that answers Appraise."""
    reply = yield from ask(Appraise(rows=_rows(tree, nodes)))
    return reply.value


def head_says_done(threshold: float = 0.5) -> Done:
    """Finished when an is-done head is at least this sure; needs a backend that answers Appraise."""

    def done(tree: Tree, nodes: IntArray) -> Program[NDArray[np.bool_]]:
        reply = yield from ask(Appraise(rows=_rows(tree, nodes)))
        return np.asarray(reply.done >= threshold)

    return done


def text_ends_with(problem: Problem, endings: Sequence[str]) -> Done:
    """Finished when what is written ends with one of these; asks nothing."""

    def done(tree: Tree, nodes: IntArray) -> Program[NDArray[np.bool_]]:
        return np.array([text.endswith(tuple(endings)) for text in problem.texts(tree, nodes)], bool)
        yield ()

    return done


def _rows(tree: Tree, nodes: IntArray) -> tuple[IntArray, ...]:
    return tuple(np.array(tree.sequence(int(node)), np.int64) for node in nodes)
