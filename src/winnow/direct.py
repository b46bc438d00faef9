"""Asking a model directly: completions of prompts, and the log-probabilities of given continuations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from winnow.ports.program import Limits, Observer, ask, run
from winnow.ports.requests import Complete, Completions, LanguageModel, LogProb, LogProbs, Prompt
from winnow.values.errors import InputError
from winnow.values.random import Key


def complete(
    model: LanguageModel,
    prompts: Prompt | Sequence[Prompt],
    *,
    num: int = 1,
    max_tokens: int = 64,
    stop: Sequence[str] = (),
    temperature: float = 1.0,
    top_p: float = 1.0,
    min_p: float = 0.0,
    typical: float = 1.0,
    seed: int = 0,
    limits: Limits | None = None,
    observer: Observer | None = None,
) -> Completions:
    """Sample ``num`` completions of each prompt.

    Parameters
    ----------
    model : from ``winnow.load``, or any language model behind the port.
    prompts : one prompt or a list; a prompt is text, or a tuple of chat messages.
    max_tokens : most tokens a completion; 1 or more.
    stop : strings at which a completion is cut.
    temperature : 0 takes the most probable token at each step.
    top_p, min_p, typical : see ``winnow.ports.requests.Complete``; 1, 0 and 1 leave everything in.
    seed : names the random numbers; completion ``i`` of all draws from slot ``i`` of it, whatever stands beside it.
    limits, observer : as in ``winnow.ports.program.run``.

    Returns
    -------
    Completions, all of the first prompt's first: ``text``, ``logprob``, ``num_tokens``, ``finish``, ``cost``.

    Raises
    ------
    InputError
        For a number out of range, named with its range; ContextError for a prompt with no room for ``max_tokens`` after it.

    Examples
    --------
    >>> from winnow.models.tabular import Tabular
    >>> reply = complete(Tabular.random("abc"), ["a", "b"], num=3, max_tokens=4)
    >>> len(reply.text), set(reply.finish) <= {"end", "length"}
    (6, True)
    """
    for name, value, low, high in (
        ("num", num, 1, np.inf),
        ("max_tokens", max_tokens, 1, np.inf),
        ("temperature", temperature, 0, np.inf),
        ("top_p", top_p, 1e-9, 1),
        ("min_p", min_p, 0, 1),
        ("typical", typical, 1e-9, 1),
    ):
        if not low <= value <= high:
            raise InputError(f"{value} is not in [{low:g}, {high:g}]", where=name)
    rows = tuple(prompt for prompt in _many(prompts) for _ in range(num))
    request = Complete(
        prompts=rows,
        slots=np.arange(len(rows)),
        key=Key(seed).child("complete"),
        max_tokens=max_tokens,
        stop=tuple(stop),
        temperature=temperature,
        top_p=top_p,
        min_p=min_p,
        typical=typical,
    )
    return run(ask(request), model, limits=limits, observer=observer)


def logprob(
    model: LanguageModel,
    prompts: Prompt | Sequence[Prompt],
    continuations: Sequence[str] | Sequence[Sequence[str]],
    *,
    limits: Limits | None = None,
    observer: Observer | None = None,
) -> LogProbs:
    """How probable each continuation is after its prompt: sums of natural log-probabilities over its tokens.

    Parameters
    ----------
    prompts : one prompt or a list, as in ``complete``.
    continuations : a list of texts for every prompt, or one such list a prompt.

    Returns
    -------
    LogProbs, a row a prompt: ``logprob[i][j]`` is that of continuation ``j`` after prompt ``i``; ``num_tokens`` likewise.

    Raises
    ------
    InputError
        When there are lists for another number of prompts.

    Examples
    --------
    >>> from winnow.models.tabular import Tabular
    >>> model = Tabular("ab", [[0.5, 0.25, 0.25]])
    >>> np.exp(logprob(model, "a", ["b", "ab"]).logprob[0]).round(12).tolist()
    [0.25, 0.125]
    """
    rows = _many(prompts)
    if all(isinstance(one, str) for one in continuations):
        each = (tuple(str(one) for one in continuations),) * len(rows)
    else:
        each = tuple(tuple(one) for one in continuations)
    if len(each) != len(rows):
        raise InputError(f"{len(rows)} prompts, and continuations for {len(each)}", where="continuations")
    return run(ask(LogProb(prompts=rows, continuations=each)), model, limits=limits, observer=observer)


def _many(prompts: Prompt | Sequence[Prompt]) -> tuple[Prompt, ...]:
    """A prompt is text or a *tuple* of messages; anything else holds prompts."""
    if isinstance(prompts, str) or (isinstance(prompts, tuple) and not all(isinstance(p, str) for p in prompts)):
        return (cast("Prompt", prompts),)
    return tuple(cast("Sequence[Prompt]", prompts))
