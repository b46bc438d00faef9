"""Masked models: what may stand at a hidden place, given everything around it. Answers FillMask.

Loads ``AutoModelForMaskedLM`` from a directory or a hub id already on this machine, safetensors only. Importing this file
imports neither torch nor transformers; loading does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, cast

import numpy as np

from winnow.ports.requests import Codec, Cost, FillMask, NextTokens, Request, draw, require
from winnow.values.errors import CapabilityError, ContextError, InputError, ModelError
from winnow.values.logspace import FloatArray, IntArray

BUNDLED = "bundled"


class Masked:
    """Answers FillMask with one masked model. Equal rows with equal hidden places are computed once.

    Parameters
    ----------
    forward : from equally long rows ``[B, T]`` with masks in them and places ``[B]`` to log-probabilities ``[B, V]``.
    codec : writes texts as rows, with what the model wants around them.
    mask_token, mask_text : stands at hidden places; how a text writes it.
    special : tokens that are no part of a text; they are never filled in.
    identity : what answers depend on.
    context_length : longest row.
    batch_size : rows of one forward pass; rows of one length lie together, so nothing is padded.
    """

    def __init__(
        self,
        forward: Callable[[IntArray, IntArray], FloatArray],
        codec: Codec,
        *,
        mask_token: int,
        mask_text: str,
        special: Sequence[int],
        identity: str,
        context_length: int,
        batch_size: int = 64,
    ) -> None:
        self._forward, self._codec, self._identity = forward, codec, identity
        self.mask_token, self.mask_text = mask_token, mask_text
        self.special, self.context_length = tuple(special), context_length
        self._batch_size = batch_size

    @property
    def identity(self) -> str:
        return self._identity

    @property
    def answers(self) -> frozenset[type[Request[Any]]]:
        return frozenset({FillMask})

    @property
    def codec(self) -> Codec:
        return self._codec

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        """Replies in order.

        Raises
        ------
        ContextError
            Before any work, when a row is longer than the context.
        ModelError
            When probabilities are not numbers.
        """
        require(self, {type(request) for request in requests})
        asked = [cast(FillMask, request) for request in requests]
        for row in (row for request in asked for row in request.rows if len(row) > self.context_length):
            raise ContextError(
                f"a text has {len(row)} tokens, the context holds {self.context_length}",
                where=self._identity,
                remedy="shorten it",
            )
        for index, request in enumerate(asked):
            yield index, self._fill(request)

    def _fill(self, request: FillMask) -> NextTokens:
        rows = []
        for row, hidden, read in zip(request.rows, request.hidden, request.read.tolist(), strict=True):
            masked = np.array(row, np.int64)
            masked[hidden] = self.mask_token
            rows.append((tuple(masked.tolist()), int(read)))
        different = sorted(set(rows), key=lambda one: (len(one[0]), one))
        answer: dict[tuple[tuple[int, ...], int], FloatArray] = {}
        for length in sorted({len(row) for row, _ in different}):
            same = [one for one in different if len(one[0]) == length]
            for start in range(0, len(same), self._batch_size):
                part = same[start : start + self._batch_size]
                tokens, places = np.array([row for row, _ in part]), np.array([place for _, place in part])
                answer |= dict(zip(part, self._ordinary(tokens, places), strict=True))
        full = np.array([answer[one] for one in rows]).reshape(len(rows), -1)
        token, logprob = _reduce(full, request)
        return NextTokens(token=token, logprob=logprob, cost=Cost(len(rows), sum(len(row) for row, _ in different), 0))

    def _ordinary(self, tokens: IntArray, places: IntArray) -> FloatArray:
        """Log-probabilities of tokens that are part of a text, normalised."""
        logprob = np.array(self._forward(tokens, places), np.float64)
        logprob[:, list(self.special)] = -np.inf
        if np.isnan(logprob).any():
            raise ModelError(f"{self._identity}: log-probabilities are not numbers (NaN)")
        peak = logprob.max(axis=1, keepdims=True)
        return np.asarray(logprob - peak - np.log(np.exp(logprob - peak).sum(axis=1, keepdims=True)), np.float64)


def _reduce(full: FloatArray, request: FillMask) -> tuple[IntArray, FloatArray]:
    if request.uniform is not None:
        token = draw(full, request.uniform)[:, None]
    elif request.tokens is not None:
        token = request.tokens
    else:
        token = np.broadcast_to(np.arange(full.shape[1]), full.shape)
    return token, np.take_along_axis(full, token, axis=1)


def load_masked(name: str, *, device: str | None = None, batch_size: int = 64) -> Masked:
    """A masked model by name: "bundled", a directory, or a hub id that is on this machine.

    Raises
    ------
    InputError
        When there is no such model, or it cannot be loaded.
    CapabilityError
        When it has no mask token.
    """
    from winnow.models.local.directory import check, find, fingerprint

    path = _bundled() if name == BUNDLED else find(name)
    check(path, name)
    import torch
    from transformers import AutoModelForMaskedLM, AutoTokenizer
    from transformers.utils import logging

    from winnow.models.local.codec import TransformersCodec

    logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
        if tokenizer.mask_token_id is None:
            raise CapabilityError(
                "has no mask token, so it cannot fill in", where=name, remedy="choose a masked model, such as 'bundled'"
            )
        model, report = AutoModelForMaskedLM.from_pretrained(
            path, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
    except InputError:
        raise
    except Exception as error:  # transformers raises OSError, ValueError, KeyError, SafetensorError ... for bad input
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"cannot be loaded as a masked model: {reason[:160]}", where=name) from None
    if report["missing_keys"]:
        lost = sorted(report["missing_keys"])
        raise CapabilityError(f"its weights lack {lost[0]}", where=name, remedy="is it a masked model?")
    model.eval().to(device or "cpu")

    def forward(tokens: IntArray, places: IntArray) -> FloatArray:
        with torch.inference_mode():
            logits = model(input_ids=torch.from_numpy(tokens).to(model.device)).logits
            read = logits[torch.arange(len(places)), torch.from_numpy(places)].float()
            return np.asarray(torch.log_softmax(read, dim=-1).cpu().numpy(), np.float64)

    size = int(model.config.vocab_size)
    ends = [] if tokenizer.sep_token_id is None else [int(tokenizer.sep_token_id)]
    return Masked(
        forward,
        _Framed(TransformersCodec(tokenizer, name=name, vocabulary_size=size, end_tokens=tuple(ends)), tokenizer),
        mask_token=int(tokenizer.mask_token_id),
        mask_text=str(tokenizer.mask_token),
        special=sorted({int(token) for token in tokenizer.all_special_ids if token < size}),
        identity=f"masked {Path(name).name}@{fingerprint(path)} batch={batch_size}",
        context_length=int(getattr(model.config, "max_position_embeddings", 512)),
        batch_size=batch_size,
    )


class _Framed:
    """A codec that keeps the tokens a masked model wants after a text too, which a continuing model must not see."""

    def __init__(self, codec: Codec, tokenizer: Any) -> None:
        self._codec, self._tokenizer = codec, tokenizer

    @property
    def vocabulary_size(self) -> int:
        return self._codec.vocabulary_size

    @property
    def end_tokens(self) -> tuple[int, ...]:
        return self._codec.end_tokens

    def encode(self, prompt: Any) -> list[int]:
        if not isinstance(prompt, str):
            raise CapabilityError("takes text, not chat messages", where="masked model")
        return [int(token) for token in self._tokenizer(prompt, verbose=False)["input_ids"]]

    def decode(self, tokens: Sequence[int]) -> str:
        return self._codec.decode(tokens)


def _bundled() -> Path:
    directory = resources.files("winnow") / "data" / "masked"
    if not (directory / "config.json").is_file():
        raise InputError(
            "this installation holds no bundled masked model", where=BUNDLED, remedy="name a directory or a hub id"
        )
    return Path(str(directory))
