"""Sequential Monte Carlo: a cloud of particles writes token by token, is weighed, and is resampled when it degenerates.

The target after t tokens is  gamma_t(x) = p(x_1..x_t)^alpha * G_1 ... G_t,  alpha the power, G the potential's factors. A
particle drawn from the proposal q picks up  p^alpha G / q  at each step. Where all of it is right is in the order:
propose, weigh, report the effective sample size, only then resample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from scipy.special import logsumexp

from winnow.ports.program import Note, Program, ask
from winnow.ports.requests import NextToken, draw
from winnow.search.found import Found
from winnow.values.logspace import FloatArray, IntArray, log_mean_exp, log_normalise
from winnow.values.population import RESAMPLERS, Population, effective_number, ess, resample
from winnow.values.random import Key, uniforms
from winnow.values.tree import Tree

Potential: TypeAlias = Callable[[Tree, IntArray], Program[FloatArray]]
"""A program from a tree and nodes ``[M]`` just reached to the log of each one's factor ``[M]``; -inf forbids."""


def smc(
    tree: Tree,
    node: int,
    *,
    num_particles: int,
    depth: int,
    key: Key,
    end_tokens: Sequence[int] = (),
    power: float = 1.0,
    potential: Potential | None = None,
    temperature: float = 1.0,
    scheme: str = "systematic",
    trigger: float = 0.5,
) -> Program[Found]:
    """Weighted continuations of ``node``, and an estimate of the target's normalising constant.

    Parameters
    ----------
    num_particles : N.
    depth : most tokens written; an end token ends a particle earlier, and its weight stays as it is.
    key : particle i proposes from slot i.
    power : alpha, the exponent of the model's probability; 1 is the model.
    potential : factors multiplied in at each step, the ending one included; asked about live particles only.
    temperature : of the proposal, the model's distribution to the power 1/temperature, normalised; 1 draws where the logits
        live, anything else asks for the whole vocabulary.
    scheme : one of winnow.values.population.RESAMPLERS.
    trigger : resample when ESS < trigger * N; 0 never does, 1 always unless the weights are equal.

    Returns
    -------
    Found; ``population.log_weight`` weighs the particles for the target (not resampled at the end) and ``log_evidence`` is
    the log of the estimate of  Z = sum over continuations of gamma.

    Guarantees: the estimate of Z (not its log) is unbiased for every scheme, trigger and N, as every scheme is unbiased and
    the trigger looks at weights only (Del Moral, Doucet and Jasra 2006; Whiteley, Lee and Heine 2016). Averages under
    the weights are biased by O(1/N). When no particle is possible any more, log_evidence is -inf and all weights are zero.
    Cost: one request a step, of the nodes still alive, and what the potential asks.

    Raises
    ------
    ValueError
        For numbers out of range or an unknown scheme.
    """
    _check(num_particles, depth, power, temperature, scheme, trigger)
    slots = np.arange(num_particles)
    uniform = uniforms(key, "propose", slots, depth)
    nodes = np.full(num_particles, node)
    alive = np.ones(num_particles, bool)
    logprob, log_weight = np.zeros(num_particles), np.zeros(num_particles)
    log_evidence = 0.0
    for step in range(depth):
        live = np.flatnonzero(alive)
        token, log_p, log_q = yield from _propose(tree, nodes[live], uniform[live, step], temperature)
        tree, nodes[live] = tree.append(nodes[live], token, log_p)
        logprob[live] += log_p
        log_weight[live] += power * log_p - log_q
        alive[live] = ~np.isin(token, np.asarray(end_tokens, np.int64))
        if potential is not None:
            log_weight[live] += yield from potential(tree, nodes[live])
        possible = bool(np.isfinite(log_weight).any())
        size = ess(log_weight) if possible else 0.0
        resampling = possible and step < depth - 1 and alive.any() and size < trigger * num_particles
        yield _note(step, nodes, log_weight, logprob, size, log_evidence, resampled=bool(resampling))
        if not possible or not alive.any():
            break
        if resampling:
            log_evidence += log_mean_exp(log_weight)
            chosen = resample(log_weight, uniforms(key, "resample", [step], num_particles)[0], scheme)
            nodes, alive, logprob = nodes[chosen], alive[chosen], logprob[chosen]
            log_weight = np.zeros(num_particles)
    return Found(
        tree=tree,
        nodes=nodes,
        logprob=logprob,
        finished=~alive,
        population=Population(individuals=tuple(nodes.tolist()), log_weight=log_weight),
        log_evidence=log_evidence + log_mean_exp(log_weight),
    )


def _propose(
    tree: Tree, nodes: IntArray, uniform: FloatArray, temperature: float
) -> Program[tuple[IntArray, FloatArray, FloatArray]]:
    """A token a node, its log-probability under the model, and under the proposal: each ``[M]``."""
    if temperature == 1.0:
        reply = yield from ask(NextToken(tree=tree, nodes=nodes, uniform=uniform))
        return reply.token[:, 0], reply.logprob[:, 0], reply.logprob[:, 0]
    reply = yield from ask(NextToken(tree=tree, nodes=nodes))
    proposal = log_normalise(reply.logprob / temperature, axis=1)
    column = draw(proposal, uniform)
    rows = np.arange(column.size)
    return reply.token[rows, column], reply.logprob[rows, column], proposal[rows, column]


def _check(num_particles: int, depth: int, power: float, temperature: float, scheme: str, trigger: float) -> None:
    if num_particles < 1 or depth < 1:
        raise ValueError(f"num_particles {num_particles} and depth {depth} must be at least 1")
    if not power >= 0 or not temperature > 0 or not 0 <= trigger <= 1:
        raise ValueError(
            f"power {power} must be from 0 up, temperature {temperature} above 0, trigger {trigger} in [0, 1]"
        )
    if scheme not in RESAMPLERS:
        raise ValueError(f"no resampling scheme {scheme!r}; known: {', '.join(RESAMPLERS)}")


def _note(
    step: int,
    nodes: IntArray,
    log_weight: FloatArray,
    logprob: FloatArray,
    size: float,
    log_evidence: float,
    *,
    resampled: bool,
) -> Note:
    weight = np.exp(log_weight - logsumexp(log_weight)) if size else np.zeros(log_weight.size)
    _, which = np.unique(nodes, return_inverse=True)
    return Note(
        kind="smc",
        info={
            "step": step,
            "best": float(logprob.max()),
            "ess": size,
            "effective_number": effective_number(np.bincount(which, weight)),
            "log_evidence": log_evidence + log_mean_exp(log_weight),
            "resampled": resampled,
        },
        population=Population(individuals=tuple(nodes.tolist()), log_weight=log_weight.copy()),
    )
