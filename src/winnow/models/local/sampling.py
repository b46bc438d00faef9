"""Drawing tokens where the logits live: temperature, top-p, min-p, typical, and the inverse CDF at a given uniform number.

The same function of (log-probabilities, uniform) as ``models.sampling``, in torch and for a whole batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import pad

from winnow.models.sampling import ROUNDING

if TYPE_CHECKING:
    from winnow.ports.requests import Complete

BLOCK = 128  # tokens that are summed first; the inverse CDF then looks into one block only


def draw_for(request: Complete, logprob: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """One token a row ``[N]`` as a request's settings say."""
    return draw(
        logprob,
        uniform,
        temperature=request.temperature,
        top_p=request.top_p,
        min_p=request.min_p,
        typical=request.typical,
    )


def draw(
    logprob: torch.Tensor,
    uniform: torch.Tensor,
    *,
    temperature: float = 1.0,
    top_p: float = 1.0,
    min_p: float = 0.0,
    typical: float = 1.0,
) -> torch.Tensor:
    """One token a row: ``[N]``.

    Parameters
    ----------
    logprob : ``[N, V]`` natural log, normalised.
    uniform : ``[N]`` float64 in [0, 1).
    temperature : >= 0; 0 takes the most probable token, ties to the smaller one.
    top_p, min_p, typical : as in ``models.sampling.temper``.
    """
    if temperature == 0:
        best = logprob == logprob.amax(dim=1, keepdim=True)
        return torch.where(best, torch.arange(logprob.shape[1], device=logprob.device), logprob.shape[1]).amin(dim=1)
    if top_p >= 1.0 and min_p <= 0.0 and typical >= 1.0:
        scaled = logprob.float() if temperature == 1.0 else logprob.float() / temperature
        return inverse(torch.softmax(scaled, dim=1), uniform)  # faster than the exponential alone
    return inverse(temper(logprob, temperature, top_p, min_p, typical), uniform)


def inverse(weight: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """The first token a row at which the running sum of ``weight`` ``[N, V]`` exceeds ``uniform`` ``[N]`` of the whole.

    Sums over blocks come first, so that only one block a row is looked into; a token without weight is never taken.
    """
    rows, vocabulary = weight.shape
    whole = vocabulary - vocabulary % BLOCK
    parts = [weight[:, :whole].view(rows, whole // BLOCK, BLOCK).sum(dim=2)]
    if whole < vocabulary:
        parts.append(weight[:, whole:].sum(dim=1, keepdim=True))
    sums = torch.cat(parts, dim=1).double().cumsum(dim=1)
    target = uniform.to(weight.device)[:, None] * sums[:, -1:]
    last = torch.searchsorted(sums, sums[:, -1:].contiguous())  # with any weight, were rounding to pass it
    block = torch.minimum(torch.searchsorted(sums, target, right=True), last)
    before = pad(sums, (1, 0)).gather(1, block)
    token = block * BLOCK + torch.arange(BLOCK, device=weight.device)
    inside = weight.gather(1, token.clamp(max=vocabulary - 1)).double()
    inside = inside.mul_(token < vocabulary).cumsum(dim=1)
    last = torch.searchsorted(inside, inside[:, -1:].contiguous())  # likewise
    place = torch.minimum(torch.searchsorted(inside + before, target, right=True), last)
    return (block * BLOCK + place)[:, 0]


def temper(
    logprob: torch.Tensor, temperature: float, top_p: float, min_p: float = 0.0, typical: float = 1.0
) -> torch.Tensor:
    """Unnormalised probabilities ``[N, V]``, float64, of sampling at ``temperature`` (> 0) within the other three."""
    scaled = logprob.double() / temperature
    weight = (scaled - scaled.amax(dim=1, keepdim=True)).exp()
    if top_p < 1.0:
        weight = _first(weight, -weight, top_p)
    if min_p > 0.0:
        weight = weight * (weight >= min_p * (1 - ROUNDING) * weight.amax(dim=1, keepdim=True))
    if typical < 1.0:
        probability = weight / weight.sum(dim=1, keepdim=True)
        surprise = -probability.clamp(min=torch.finfo(torch.float64).tiny).log()
        entropy = (probability * surprise).sum(dim=1, keepdim=True)
        weight = _first(weight, torch.where(weight > 0, (surprise - entropy).abs(), torch.inf), typical)
    return weight


def _first(weight: torch.Tensor, rank: torch.Tensor, mass: float) -> torch.Tensor:
    """``weight`` of the tokens of lowest ``rank`` up to and with the one that brings them to ``mass``; 0 elsewhere."""
    token = torch.sort(rank, dim=1, stable=True).indices
    ordered = weight.gather(1, token)
    before = ordered.cumsum(dim=1) - ordered
    kept = before < (mass - ROUNDING) * ordered.sum(dim=1, keepdim=True)
    return torch.zeros_like(weight).scatter_(1, token, ordered * kept)
