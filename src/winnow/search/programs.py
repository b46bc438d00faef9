"""The searches by name, with the settings a user gives: what ``winnow search`` and ``winnow.search`` offer.

Each takes a Problem and keyword settings, and is a program. A search from outside has the same form and is named as
``module:name``, or by an entry point of the group ``winnow.searches``. Settings, defaults and help are read from
signature and docstring, so that the command line and Python never differ.
"""

from __future__ import annotations

from typing import Any

from winnow.ports.program import Program
from winnow.search.beam import beam as plain_beam
from winnow.search.best_of_n import BestOfN
from winnow.search.best_of_n import best_of_n as sample
from winnow.search.diverse_beam import diverse_beam
from winnow.search.editing import edit
from winnow.search.evolve import Evolved
from winnow.search.found import Found
from winnow.search.mcts import Effort
from winnow.search.mcts import mcts as tree_search
from winnow.search.phrase_beam import phrase_beam
from winnow.search.problem import Problem
from winnow.search.smc import Target
from winnow.search.smc import smc as particle_filter
from winnow.search.valuing import Value, head_says_done, heads, likelihood, rollout, text_ends_with, tilt
from winnow.values.errors import CapabilityError, InputError, nearest

POTENTIALS = ("end", "steps")


def beam(
    problem: Problem,
    *,
    width: int = 8,
    depth: int = 32,
    length_exponent: float = 0.0,
    ending: str = "proven",
    groups: int = 1,
    diversity: float = 1.0,
    phrase: tuple[str, ...] = (),
    end: tuple[str, ...] = (),
) -> Program[Found]:
    r"""The most probable continuations, pruned to a width at each step.

    Parameters
    ----------
    width : hypotheses that live on at each step.
    depth : most tokens written.
    length_exponent : log-probabilities are divided by length to this power: 0 the sum, 1 the mean of a token.
    ending : proven (nothing alive can overtake), first (once width texts have ended) or estimated; in transformers
        early_stopping "never", True and False.
    groups : beams that share the width and step aside for one another.
    diversity : nats a token costs for each earlier group that just chose it.
    phrase : text that must appear; may be given several times.
    end : a further token that ends a text, such as "."; may be given several times.
    """
    problem.check_width(width)
    problem.check_room(depth)
    if phrase and groups > 1:
        raise InputError("phrases and groups do not go together", where="beam", remedy="give one of the two")
    common: dict[str, Any] = {"width": width, "depth": depth, "length_exponent": length_exponent, "ending": ending}
    common["end_tokens"] = problem.ends(end)
    if phrase:
        phrases = [problem.tokens(f" {text}" if problem.spaced and text[:1].isalnum() else text) for text in phrase]
        return (yield from phrase_beam(problem.tree, 0, phrases=phrases, **common))
    if groups > 1:
        return (yield from diverse_beam(problem.tree, 0, groups=groups, diversity=diversity, **common))
    return (yield from plain_beam(problem.tree, 0, **common))


def smc(
    problem: Problem,
    *,
    particles: int = 64,
    depth: int = 32,
    power: float = 1.0,
    temperature: float = 1.0,
    resampler: str = "systematic",
    trigger: float = 0.5,
    inverse_temperature: float = 5.0,
    potential: str = "end",
    twist: bool = False,
    end: tuple[str, ...] = (),
) -> Program[Found]:
    """A cloud of particles that writes, is weighed and is resampled; its weights stand for the whole target.

    Parameters
    ----------
    particles : how many write at once.
    depth : most tokens written.
    power : exponent of the model's probability; above 1 it prefers the probable, as an infinitely wide beam would.
    temperature : of the proposal; 1 is the model.
    resampler : systematic, stratified, residual or multinomial.
    trigger : resample when the effective sample size falls below this share of the particles.
    inverse_temperature : with an evaluator, a text's weight is multiplied by exp(score times this).
    potential : when the evaluator's score is multiplied in: end (once, where a text ends) or steps (after every token, the
        text as far as it is written).
    twist : with an evaluator and potential end, score unfinished texts too and steer by it; the target stays the same.
    end : a further token that ends a text, such as "."; may be given several times.
    """
    problem.check_room(depth)
    target = _target(problem, power, inverse_temperature, potential, twist)
    return (
        yield from particle_filter(
            problem.tree,
            0,
            num_particles=particles,
            depth=depth,
            key=problem.key,
            end_tokens=problem.ends(end),
            target=target,
            temperature=temperature,
            scheme=resampler,
            trigger=trigger,
        )
    )


def _target(problem: Problem, power: float, inverse_temperature: float, potential: str, twist: bool) -> Target:
    if potential not in POTENTIALS:
        raise InputError(f"no potential {potential!r}", where="potential", remedy=nearest(potential, POTENTIALS))
    if not problem.evaluated:
        for name, asked in (("twist", twist), ("potential steps", potential == "steps")):
            if asked:
                raise CapabilityError(
                    "asks an evaluator, and there is none", where=name, remedy="give --evaluator, such as likelihood"
                )
        return Target(power=power)
    scored = tilt(problem.scores, inverse_temperature)
    if potential == "end":
        return Target(power=power, reward=scored, twist=scored if twist else None)
    if twist:
        raise InputError(
            "a score that counts at every step steers by itself", where="twist", remedy="no --twist, or --potential end"
        )
    return Target(power=power, potential=scored)


def mcts(
    problem: Problem,
    *,
    simulations: int = 64,
    batch: int = 8,
    width: int = 16,
    depth: int = 32,
    exploration: float = 1.5,
    value: str = "auto",
    done: tuple[str, ...] = (),
    end: tuple[str, ...] = (),
) -> Program[Found]:
    """Monte Carlo tree search: the model's probabilities as prior, a value of where a text is going.

    Parameters
    ----------
    simulations : looks ahead for each token that is written.
    batch : leaves evaluated together.
    width : most probable tokens that are considered after each text; all, where the vocabulary has fewer.
    depth : most tokens written.
    exploration : weight of the prior against the values seen.
    value : likelihood (of what is written), evaluator (its score of what is written), rollout (a sampled ending, scored
        by the evaluator, else by likelihood), heads (a backend's own); auto is rollout.
    done : a text that ends with this is finished; may be given several times.
    end : a further token that ends a text; may be given several times.
    """
    problem.check_room(depth)
    ends = problem.ends(end)
    valued = _value(problem, value, depth, ends)
    says_done = text_ends_with(problem, done) if done else head_says_done() if value == "heads" else None
    effort = Effort(simulations, batch, width, exploration)
    return (
        yield from tree_search(
            problem.tree, 0, value=valued, depth=depth, end_tokens=ends, done=says_done, effort=effort
        )
    )


def _value(problem: Problem, name: str, depth: int, ends: tuple[int, ...]) -> Value:
    final = problem.scores if problem.evaluated else likelihood
    rolled = rollout(final, key=problem.key, depth=depth, end_tokens=ends)
    kinds: dict[str, Value] = {"auto": rolled, "rollout": rolled, "likelihood": likelihood}
    kinds |= {"evaluator": problem.scores, "heads": heads}
    if name not in kinds:
        raise InputError(f"no value {name!r}", where="value", remedy=nearest(name, kinds))
    if name == "heads" and not problem.heads:
        raise CapabilityError("no backend here answers Appraise", where="value heads", remedy="give value=rollout")
    if name == "evaluator" and not problem.evaluated:
        raise CapabilityError("there is no evaluator", where="value evaluator", remedy="give --evaluator")
    return kinds[name]


def best_of_n(
    problem: Problem,
    *,
    num: int = 16,
    depth: int = 32,
    temperature: float = 1.0,
    top_p: float = 1.0,
    stop: tuple[str, ...] = (),
) -> Program[BestOfN]:
    """Sample completions and keep the one the evaluator scores highest; the vote of equal answers is told beside it.

    Parameters
    ----------
    num : completions that are sampled.
    depth : most tokens written.
    temperature : of sampling.
    top_p : sample from the most probable tokens that hold this mass.
    stop : text at which a completion is cut; may be given several times.
    """
    problem.check_room(depth)
    if not problem.evaluated:
        raise CapabilityError(
            "chooses by an evaluator, and there is none", where="best-of-n", remedy="give --evaluator likelihood"
        )
    return (
        yield from sample(
            problem.prompt,
            query=problem.query,
            num=num,
            key=problem.key,
            max_tokens=depth,
            stop=stop,
            temperature=temperature,
            top_p=top_p,
        )
    )


def evolve(
    problem: Problem,
    *,
    population: int = 16,
    rounds: int = 20,
    depth: int = 24,
    span: int = 3,
    resize: float = 0.0,
    recombine: float = 0.5,
    select: str = "tournament",
    fitness: str = "auto",
    mutation: str = "spans",
    keep: tuple[str, ...] = (),
) -> Program[Evolved]:
    """A population of whole texts, mutated by a masked model, recombined and selected; the prompt stays as it is.

    Where the prompt holds masks (the masked model's own mask text, or ___), only those are written.

    Parameters
    ----------
    population : texts.
    rounds : of selection (of resampling, for gibbs).
    depth : tokens sampled after the prompt to begin with.
    span : most neighbouring tokens resampled at once.
    resize : probability that a mutation makes the text one token longer or shorter.
    recombine : probability that a child has two parents.
    select : tournament, truncation, soft, lexicase (each criterion by itself) or novelty.
    fitness : pseudo (mean pseudo-log-likelihood), likelihood (mean log-probability under the model), evaluator, or
        several with commas; auto is the evaluator if there is one, else pseudo.
    mutation : spans, or gibbs (the baseline: random words resampled, nothing selected).
    keep : a word that must not be changed; may be given several times.
    """
    settings: dict[str, Any] = {"population": population, "rounds": rounds, "depth": depth, "span": span}
    settings |= {"resize": resize, "recombine": recombine, "select": select, "fitness": fitness}
    return (yield from edit(problem, {**settings, "mutation": mutation, "keep": keep}))
