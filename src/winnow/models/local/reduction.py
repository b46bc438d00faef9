"""What a NextToken request asks for, taken from log-probabilities where they live: ``ports.select_tokens`` in torch."""

from __future__ import annotations

import torch

from winnow.models.local.sampling import draw
from winnow.ports.requests import NextToken
from winnow.values.logspace import FloatArray, IntArray


def is_whole(request: NextToken) -> bool:
    """Whether whole distributions are asked for, which nothing is taken from."""
    return request.uniform is None and request.tokens is None and request.top is None


def columns(request: NextToken, vocabulary: int) -> int:
    """How many tokens a node's reply holds."""
    if request.uniform is not None:
        return 1
    if request.tokens is not None:
        return int(request.tokens.size)
    return vocabulary if request.top is None else min(request.top, vocabulary)


def reduce(logprob: torch.Tensor, request: NextToken, uniform: FloatArray | None) -> tuple[IntArray, FloatArray]:
    """Tokens and their log-probabilities ``[N, K]`` from ``[N, V]``; ``uniform`` ``[N]`` is that of these nodes.

    The whole of it is not to be asked for here: it needs no copy.
    """
    rows, vocabulary = logprob.shape
    if uniform is not None:
        token = draw(logprob, torch.as_tensor(uniform, device=logprob.device), temperature=1.0, top_p=1.0)[:, None]
    elif request.tokens is not None:
        token = torch.as_tensor(request.tokens, device=logprob.device).expand(rows, -1)
    else:
        token = most_probable(logprob, columns(request, vocabulary))
    return token.cpu().numpy(), logprob.gather(1, token).double().cpu().numpy()


def most_probable(logprob: torch.Tensor, num: int) -> torch.Tensor:
    """The ``num`` most probable tokens a row ``[N, num]``, by falling probability, ties to the smaller token."""
    value, token = logprob.topk(min(num + 1, logprob.shape[1]), dim=1)
    if value.shape[1] > num and bool((value[:, num - 1] == value[:, num]).any()):  # a tie at the edge: any was taken
        return torch.sort(logprob, dim=1, descending=True, stable=True).indices[:, :num]
    token = token[:, :num].sort(dim=1).values
    return token.gather(1, logprob.gather(1, token).sort(dim=1, descending=True, stable=True).indices)
