"""The rivals: transformers in its best settings, as its careful users write it.

Each runs the whole of its work or a share of it (named where it does), always with token ids already at hand, except the
re-encoding of choices, which encodes text as lm-evaluation-harness does. ``SETTINGS`` says what each one is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache, StaticCache

SETTINGS = {
    "generate": "one prompt, num_return_sequences=64, do_sample, top_k=0, sdpa; the faster of a dynamic and a static cache",
    "prefilled": "prompt once, its cache expanded to 64 rows, one forward a token, softmax and multinomial; the faster of "
    "DynamicCache.batch_repeat_interleave and a StaticCache of the final length",
    "generate(num_beams=8)": "num_beams=8, num_return_sequences=8, early_stopping=True, length_penalty=0",
    "generate(num_beams=8) per position": "as above, max_new_tokens=6, one call a position, every 8th position timed",
    "re-encoding": "lm-evaluation-harness's way: context, item and word in a row each, sorted by length, batches of 16, "
    "log-softmax of every logit, texts tokenised; every 50th item timed",
    "best cached": "context encoded once; the faster of: a row a word behind the expanded context, 4 items at once; or "
    "items first, then the words behind them, 4 items at once (2, 8, 20 and 40 were no faster); every 5th item timed, the "
    "context counted once",
}


def generate(model: Any, prompt: list[int], num: int, length: int, *, static: bool = False) -> int:
    """Sampling by transformers; gives the number of tokens written."""
    cache = {"cache_implementation": "static", "disable_compile": True} if static else {}
    ids = torch.tensor([prompt])
    out = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        num_return_sequences=num,
        do_sample=True,
        top_k=0,
        max_new_tokens=length,
        pad_token_id=0,
        **cache,
    )
    return int(out.numel())


@torch.inference_mode()
def prefilled(model: Any, prompt: list[int], num: int, length: int, *, static: bool = False) -> int:
    """The prompt encoded once and its cache expanded; then a loop over tokens."""
    out = model(torch.tensor([prompt]), use_cache=True, logits_to_keep=1)
    cache, logits = out.past_key_values, out.logits[:, -1].expand(num, -1)
    if static:
        cache = StaticCache(config=model.config, max_cache_len=len(prompt) + length - 1)
        for index, layer in enumerate(out.past_key_values.layers):
            cache.update(layer.keys.expand(num, -1, -1, -1), layer.values.expand(num, -1, -1, -1), index)
    else:
        cache.batch_repeat_interleave(num)
    written = torch.empty(num, length, dtype=torch.long)
    for step in range(length):
        written[:, step] = torch.multinomial(logits.softmax(-1), 1)[:, 0]
        if step < length - 1:
            logits = model(written[:, step : step + 1], past_key_values=cache, use_cache=True).logits[:, -1]
    return int(written.numel())


def beams(model: Any, prompt: list[int], width: int, length: int) -> list[list[int]]:
    """Beam search by transformers: the tokens written, best first."""
    ids = torch.tensor([prompt])
    out = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        num_beams=width,
        num_return_sequences=width,
        do_sample=False,
        early_stopping=True,
        length_penalty=0.0,
        max_new_tokens=length,
        pad_token_id=0,
    )
    return [[int(token) for token in row] for row in out[:, len(prompt) :]]


def beams_at(model: Any, tokens: list[int], width: int, depth: int, every: int) -> None:
    """Beam search after every ``every``-th position."""
    for end in range(every - 1, len(tokens), every):
        beams(model, tokens[: end + 1], width, depth)


@torch.inference_mode()
def reencoding(model: Any, tokenizer: Any, prompts: Sequence[str], words: Sequence[str]) -> list[float]:
    """Each word after each prompt as a row of its own; log-probabilities in the order (prompt, word)."""
    rows: list[tuple[list[int], int]] = []
    order: list[int] = []
    for prompt in prompts:
        for word in words:
            head, whole = tokenizer(prompt)["input_ids"], tokenizer(prompt + word)["input_ids"]
            order.append(len(rows))
            rows.append((whole, len(head)))
    result = [0.0] * len(rows)
    order.sort(key=lambda index: -len(rows[index][0]))
    for start in range(0, len(order), 16):
        chunk = order[start : start + 16]
        width = max(len(rows[index][0]) - 1 for index in chunk)
        ids = torch.zeros(len(chunk), width, dtype=torch.long)
        for place, index in enumerate(chunk):
            ids[place, : len(rows[index][0]) - 1] = torch.tensor(rows[index][0][:-1])
        logprob = torch.log_softmax(model(ids).logits, -1)
        for place, index in enumerate(chunk):
            whole, begin = rows[index]
            tail = torch.tensor(whole[begin:])
            result[index] = float(logprob[place, begin - 1 : len(whole) - 1].gather(-1, tail[:, None]).sum())
    return result


@torch.inference_mode()
def encoded(model: Any, context: list[int]) -> DynamicCache:
    """The cache of a context."""
    cache: DynamicCache = model.model(torch.tensor([context]), use_cache=True).past_key_values
    return cache


@torch.inference_mode()
def rows_behind_context(
    model: Any, first: DynamicCache, items: Sequence[list[int]], words: Sequence[list[int]]
) -> list[float]:
    """Behind the context's cache, expanded: item and word a row each, four items at once."""
    result: list[float] = []
    for start in range(0, len(items), 4):
        rows = [(item, item + word[:-1]) for item in items[start : start + 4] for word in words]
        width = max(len(row) for _, row in rows)
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        for place, (_, row) in enumerate(rows):
            ids[place, : len(row)] = torch.tensor(row)
        logprob = torch.log_softmax(model(ids, past_key_values=_expanded(first, len(rows))).logits, -1)
        for place, (item, _) in enumerate(rows):
            word = words[place % len(words)]
            steps = range(len(item) - 1, len(item) - 1 + len(word))
            result.append(float(logprob[place, list(steps), word].sum()))
    return result


@torch.inference_mode()
def items_then_words(
    model: Any, first: DynamicCache, items: Sequence[list[int]], words: Sequence[list[int]]
) -> list[float]:
    """Behind the context's cache, expanded: items of one length, four at once; then their words behind them."""
    tails = torch.zeros(len(words), max(map(len, words)) - 1, dtype=torch.long)
    for place, word in enumerate(words):
        tails[place, : len(word) - 1] = torch.tensor(word[:-1])
    result: list[float] = []
    for start in range(0, len(items), 4):
        part = items[start : start + 4]
        out = model(torch.tensor(part), past_key_values=_expanded(first, len(part)), use_cache=True, logits_to_keep=1)
        opening = torch.log_softmax(out.logits[:, -1], -1)
        cache = out.past_key_values
        cache.batch_repeat_interleave(len(words))
        logprob = torch.log_softmax(model(tails.repeat(len(part), 1), past_key_values=cache).logits, -1)
        for place in range(len(part) * len(words)):
            word = words[place % len(words)]
            later = logprob[place, list(range(len(word) - 1)), word[1:]].sum()
            result.append(float(opening[place // len(words), word[0]] + later))
    return result


def _expanded(cache: Any, num: int) -> DynamicCache:
    copy = DynamicCache()
    for index, layer in enumerate(cache.layers):
        copy.update(layer.keys.expand(num, -1, -1, -1), layer.values.expand(num, -1, -1, -1), index)
    return copy
