"""Sequential Monte Carlo: a cloud of particles writes token by token, is weighed, and is resampled when it degenerates.

The target after t tokens is  gamma_t(x) = p(x_1..x_t)^alpha * G_1 ... G_t * psi_t(x),  alpha the power, G the potential's
factors and psi a twist that is 1 where a text ends: it steers the cloud and leaves the final target alone. A particle drawn
from the proposal q picks up  p^alpha G psi_t / (psi_{t-1} q)  at each step. Where all of it is right is in the order:
propose, weigh, report the effective sample size, only then resample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from winnow.ports.program import Note, Program, ask
from winnow.ports.requests import NextToken, draw
from winnow.search.found import Found
from winnow.values.logspace import FloatArray, IntArray, log_mean_exp, log_sum_exp
from winnow.values.population import RESAMPLERS, Population, effective_number, ess, resample
from winnow.values.random import Key, uniforms
from winnow.values.tree import Tree

Potential: TypeAlias = Callable[[Tree, IntArray], Program[FloatArray]]
"""A program from a tree and nodes ``[M]`` just reached to the log of each one's factor ``[M]``; -inf forbids."""


class Target(NamedTuple):
    """What the weights aim at."""

    power: float = 1.0  # alpha, the exponent of the model's probability; 1 is the model
    potential: Potential | None = None  # a factor at each step, the ending one included
    reward: Potential | None = None  # a factor where a text ends, by an end token or by depth
    twist: Potential | None = None  # log psi of unfinished texts, finite; changes who is resampled, not the target


MODEL = Target()


def smc(
    tree: Tree,
    node: int,
    *,
    num_particles: int,
    depth: int,
    key: Key,
    end_tokens: Sequence[int] = (),
    target: Target = MODEL,
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
    target : power, potential, reward and twist; particles that have become impossible are asked about no more.
    temperature : of the proposal, the model's distribution to the power 1/temperature, normalised; 1 draws where the logits
        live, anything else asks for the whole vocabulary. Behind a grammar the proposal is what the grammar leaves, and the
        mass it took away is in the weights.
    scheme : one of winnow.values.population.RESAMPLERS.
    trigger : resample when ESS < trigger * N; 0 never does, 1 always unless the weights are equal.

    Returns
    -------
    Found; ``population.log_weight`` weighs the particles for the target (not resampled at the end) and ``log_evidence`` is
    the log of the estimate of  Z = sum over continuations of gamma. ``rank`` is log gamma.

    Guarantees: the estimate of Z (not its log) is unbiased for every scheme, trigger, twist and N, as every scheme is
    unbiased and the trigger looks at weights only (Del Moral, Doucet and Jasra 2006; Whiteley, Lee and Heine 2016;
    twisting: Whiteley and Lee 2014). Averages under the weights are biased by O(1/N). When no particle is possible any
    more, log_evidence is -inf and all weights are zero. Power above 1 with many particles approaches the most probable
    texts as a beam of infinite width would. Cost: one request a step, of the nodes still alive, and what the target asks.

    Raises
    ------
    ValueError
        For numbers out of range or an unknown scheme.
    """
    _check(num_particles, depth, target.power, temperature, scheme, trigger)
    uniform = uniforms(key, "propose", np.arange(num_particles), depth)
    ends = np.asarray(end_tokens, np.int64)
    cloud = Cloud.at(node, num_particles)
    for step in range(depth):
        live = np.flatnonzero(cloud.alive)
        token, log_p, log_q = yield from _propose(tree, cloud.nodes[live], uniform[live, step], temperature)
        tree, born = tree.append(cloud.nodes[live], token, log_p)
        possible = np.asarray(np.isfinite(log_p))
        ended = np.isin(token, ends) | np.full(token.size, step == depth - 1)
        factor, twist = yield from _weigh(target, tree, born, possible, ended)
        gain = _powered(log_p, target.power, possible)
        cloud = cloud.moved(
            live, born, log_p, gain + factor, gain - np.where(possible, log_q, 0.0) + factor, twist, ended
        )
        any_left = bool(np.isfinite(cloud.log_weight).any())
        size = ess(cloud.log_weight) if any_left else 0.0
        resampling = any_left and bool(cloud.alive.any()) and size < trigger * num_particles
        so_far = cloud.found(tree, ends)
        yield _note(step, so_far, size, resampled=resampling)
        if not cloud.alive.any():
            break
        if resampling:
            cloud = cloud.resampled(uniforms(key, "resample", [step], num_particles)[0], scheme)
    return so_far


def _powered(log_p: FloatArray, power: float, possible: np.ndarray) -> FloatArray:
    return np.where(possible, power * np.where(possible, log_p, 0.0), -np.inf)


def _put(column: np.ndarray, place: IntArray, values: np.ndarray) -> np.ndarray:
    column = column.copy()
    column[place] = values
    return column


class Cloud(NamedTuple):
    """The particles, each ``[N]``, and what resampling has put aside."""

    nodes: IntArray
    alive: np.ndarray
    logprob: FloatArray
    log_weight: FloatArray
    log_gamma: FloatArray  # the target, without the twist
    psi: FloatArray  # log of the twist that is in the weight
    log_evidence: float

    @classmethod
    def at(cls, node: int, num: int) -> Cloud:
        zero = np.zeros(num)
        return cls(np.full(num, node), np.ones(num, bool), zero, zero, zero, zero, 0.0)

    def moved(
        self,
        live: IntArray,
        born: IntArray,
        log_p: FloatArray,
        gamma: FloatArray,
        weight: FloatArray,
        twist: FloatArray,
        ended: np.ndarray,
    ) -> Cloud:
        """The particles ``live`` a token further, by what target and weight gain."""
        log_weight = self.log_weight.copy()
        log_weight[live] += weight + twist - self.psi[live]
        return self._replace(
            nodes=_put(self.nodes, live, born),
            alive=_put(self.alive, live, ~ended & np.isfinite(log_weight[live])),
            logprob=_put(self.logprob, live, self.logprob[live] + log_p),
            log_weight=log_weight,
            log_gamma=_put(self.log_gamma, live, self.log_gamma[live] + gamma),
            psi=_put(self.psi, live, twist),
        )

    def resampled(self, uniform: FloatArray, scheme: str) -> Cloud:
        """As many particles, drawn by weight; the mean weight goes into the evidence."""
        chosen = resample(self.log_weight, uniform, scheme)
        return Cloud(
            nodes=self.nodes[chosen],
            alive=self.alive[chosen],
            logprob=self.logprob[chosen],
            log_weight=np.zeros(chosen.size),
            log_gamma=self.log_gamma[chosen],
            psi=self.psi[chosen],
            log_evidence=self.log_evidence + log_mean_exp(self.log_weight),
        )

    def found(self, tree: Tree, ends: IntArray) -> Found:
        """The result, were it to stop here."""
        return Found(
            tree=tree,
            nodes=self.nodes,
            logprob=self.logprob,
            finished=np.isin(tree.token[self.nodes], ends),
            population=Population(individuals=tuple(self.nodes.tolist()), log_weight=self.log_weight),
            log_evidence=self.log_evidence + log_mean_exp(self.log_weight),
            rank=self.log_gamma,
        )


def _propose(
    tree: Tree, nodes: IntArray, uniform: FloatArray, temperature: float
) -> Program[tuple[IntArray, FloatArray, FloatArray]]:
    """A token a node, its log-probability under the model, and under the proposal: each ``[M]``; -inf for impossible."""
    if temperature == 1.0:
        reply = yield from ask(NextToken(tree=tree, nodes=nodes, uniform=uniform))
        log_p = reply.logprob[:, 0]
        if reply.log_mass is None:
            return reply.token[:, 0], log_p, log_p
        left = np.isfinite(reply.log_mass)
        return reply.token[:, 0], log_p, np.where(left, log_p - np.where(left, reply.log_mass, 0.0), -np.inf)
    reply = yield from ask(NextToken(tree=tree, nodes=nodes))
    any_left = np.atleast_1d(np.isfinite(reply.logprob).any(axis=1))
    tempered = np.where(any_left[:, None], reply.logprob / temperature, 0.0)
    proposal = tempered - log_sum_exp(tempered, axis=1, keepdims=True)
    column = draw(proposal, uniform)
    rows = np.arange(column.size)
    return reply.token[rows, column], reply.logprob[rows, column], proposal[rows, column]


def _weigh(
    target: Target, tree: Tree, nodes: IntArray, possible: np.ndarray, ended: np.ndarray
) -> Program[tuple[FloatArray, FloatArray]]:
    """Logs of factors and of twists at nodes just reached, each ``[M]``."""
    factor, twist = np.zeros(nodes.size), np.zeros(nodes.size)
    for ask_about, who, into in (
        (target.potential, np.ones(nodes.size, bool), factor),
        (target.reward, ended, factor),
        (target.twist, ~ended, twist),
    ):
        asked = np.flatnonzero(possible & who & np.isfinite(factor))
        if ask_about is not None and asked.size:
            into[asked] += yield from ask_about(tree, nodes[asked])
    return factor, twist


def _check(num_particles: int, depth: int, power: float, temperature: float, scheme: str, trigger: float) -> None:
    if num_particles < 1 or depth < 1:
        raise ValueError(f"num_particles {num_particles} and depth {depth} must be at least 1")
    if not power >= 0 or not temperature > 0 or not 0 <= trigger <= 1:
        raise ValueError(
            f"power {power} must be from 0 up, temperature {temperature} above 0, trigger {trigger} in [0, 1]"
        )
    if scheme not in RESAMPLERS:
        raise ValueError(f"no resampling scheme {scheme!r}; known: {', '.join(RESAMPLERS)}")


def _note(step: int, found: Found, size: float, *, resampled: bool) -> Note:
    log_weight = found.population.log_weight
    weight = np.exp(log_weight - log_sum_exp(log_weight)) if size else np.zeros(log_weight.size)
    _, which = np.unique(found.nodes, return_inverse=True)
    return Note(
        kind="smc",
        info={
            "step": step,
            "best": float(found.logprob.max()),
            "ess": size,
            "effective_number": effective_number(np.bincount(which, weight)),
            "log_evidence": found.log_evidence,
            "resampled": resampled,
            "found": found,
        },
        population=found.population,
    )
