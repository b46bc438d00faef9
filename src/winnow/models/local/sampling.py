"""Drawing tokens where the logits live: temperature, top-p, and the inverse CDF at a given uniform number.

The same function of (log-probabilities, uniform) as ``models.sampling``, in torch and for a whole batch.
"""

from __future__ import annotations

import torch

from winnow.models.sampling import ROUNDING


def temper(logprob: torch.Tensor, temperature: float, top_p: float) -> torch.Tensor:
    """Unnormalised probabilities ``[N, V]``, float64, of sampling at ``temperature`` (> 0) within ``top_p``."""
    scaled = logprob.double() / temperature
    weight = (scaled - scaled.amax(dim=1, keepdim=True)).exp()
    if top_p >= 1.0:
        return weight
    ordered, token = torch.sort(weight, dim=1, descending=True, stable=True)
    before = ordered.cumsum(dim=1) - ordered
    kept = before < (top_p - ROUNDING) * ordered.sum(dim=1, keepdim=True)
    return torch.zeros_like(weight).scatter_(1, token, ordered * kept)


def draw(logprob: torch.Tensor, uniform: torch.Tensor, *, temperature: float, top_p: float) -> torch.Tensor:
    """One token a row: ``[N]``.

    Parameters
    ----------
    logprob : ``[N, V]`` natural log.
    uniform : ``[N]`` float64 in [0, 1).
    temperature : >= 0; 0 takes the most probable token, ties to the smaller one.
    top_p : in (0, 1]; the smallest set of most probable tokens that holds at least that mass, after temperature.
    """
    if temperature == 0:
        best = logprob == logprob.amax(dim=1, keepdim=True)
        return torch.where(best, torch.arange(logprob.shape[1], device=logprob.device), logprob.shape[1]).amin(dim=1)
    cumulative = temper(logprob, temperature, top_p).cumsum(dim=1)
    return (cumulative <= uniform[:, None] * cumulative[:, -1:]).sum(dim=1)
