"""What the engine's benchmark measures besides ratios: rooflines, tokens fed, peak memory, growth, and bfloat16's error."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import winnow
from benchmarks.engine_models import Subject, directory
from benchmarks.engine_rows import DEPTH, LENGTH, POSITIONS, PROMPT, WORDS, Counting, Row, look
from winnow.ports.program import run
from winnow.search import beam as search
from winnow.values.tree import Tree

OPENING = 16  # tokens before a beam whose growth is measured: a longer prompt's are cheaper than those of steps
PROCESSES = 3  # in which memory is measured
BRIEF = 0.5  # seconds, below which growth is measured three times as often
PREFILL = (16, 256)  # rows and tokens of the batch whose encoding is the roofline


def seconds(work: Callable[..., Any], *arguments: Any) -> float:
    """Process CPU time."""
    began = time.process_time()
    work(*arguments)
    return time.process_time() - began


def prefill(model: Any) -> Callable[[], Any]:
    """One large batch through the same network, every logit taken: the honest ceiling of a local model."""
    network = model._network.model
    tokens = torch.arange(PREFILL[0] * PREFILL[1]).view(PREFILL) % model.codec.vocabulary_size

    def work() -> None:
        with torch.inference_mode():
            network(tokens, use_cache=False)

    return work


def count(row: Row, model: Any, rep: int) -> tuple[int, int]:
    """Tokens fed, padding included, and tree nodes needed, in one run of a row."""
    fed = 0

    def add(module: Any, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal fed
        fed += inputs[0].numel()

    counting = Counting(model)
    hook = model._network.model.get_input_embeddings().register_forward_hook(add)
    try:
        row.work(counting, rep)
    finally:
        hook.remove()
    return fed, counting.needed


def per_token(model: Any) -> int:
    """Bytes of one token's keys and values."""
    config = model._network.model.config
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(config.num_hidden_layers * 2 * config.num_key_value_heads * width * 4)


def peak_mb(row: str, model: str, place: Path) -> float:
    """How much a row adds to the memory of a fresh process that has the packed model loaded, at most.

    In MB, the median over processes: where buffers come to lie moves it by some.
    """
    command = [sys.executable, "-m", "benchmarks.engine", "--memory-of", row, "--models", model, "--place", str(place)]
    done = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(PROCESSES)]
    return float(np.median([json.loads(one.stdout.splitlines()[-1])["peak_mb"] for one in done]))


def memory_of(row: Row, model: Any) -> float:
    """The same, in this process."""
    winnow.complete(model, "a", num=8, max_tokens=4)
    winnow.logprob(model, ["a b"], [" a b"])
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    row.work(model, 0)  # the texts whose nodes were counted
    return (_status("VmHWM") - before) / 1024


def _status(name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found
    return int(found[1])


def growth(subject: Subject, repeats: int, *, quick: bool) -> list[dict[str, Any]]:
    """How cost grows with the tokens fed along each axis: slope of log seconds on log tokens, 1 being proportional."""
    model = subject.packed

    def beam(model: Any, rep: int, width: int = 16, depth: int = 32) -> Any:
        """Without end tokens, so that a model that ends its lines has as many steps as it is asked for.

        The same prompt in each repetition: a beam begins anew, in the buffers of the one before (see ``positions``).
        """
        tree = Tree([subject.tokens(subject.text(OPENING, width, depth))[:OPENING]])
        return run(search.beam(tree, 0, width=width, depth=depth), model)

    def positions(model: Any, rep: int, num: int) -> Any:
        """Of texts that begin with one token, as documents do: so buffers stay. What a machine takes for memory that it
        never had in use grows otherwise than tokens do (on a virtual one a page of it costs five times another)."""
        return look(model, [1, *subject.tokens(subject.text(num, "growth", rep))[1:num]], 8, DEPTH)

    def population(model: Any, rep: int, num: int) -> Any:
        """After one prompt whatever the number, so that lines end as early; its tokens are fed once and counted once."""
        return winnow.complete(model, subject.text(PROMPT, "growth", rep), num=num, max_tokens=LENGTH, seed=rep)

    axes: dict[str, tuple[Sequence[int], Callable[[Any, int, int], Any]]] = {
        "width": ((16, 32, 64), lambda model, rep, n: beam(model, rep, width=n)),
        "depth": ((32, 64, 128), lambda model, rep, n: beam(model, rep, depth=n)),
        "positions": ((POSITIONS // 2, POSITIONS, 2 * POSITIONS), positions),
        "population": ((64, 128, 256), population),
    }
    result, counters = [], model._network.counters
    for axis, (sizes, work) in axes.items():
        before, counting = counters.tokens_fed, Counting(model)
        for size in sizes:
            work(counting, 0, size)
        over = (counters.tokens_fed - before) / counting.needed
        brief = seconds(work, model, 0, sizes[-1]) < BRIEF
        times, tokens = np.empty((2, 3 * repeats if brief else repeats, len(sizes)))
        for rep in range(times.shape[0]):
            for at, size in enumerate(sizes):
                before = counters.tokens_fed
                times[rep, at] = seconds(work, model, rep + 1, size)
                tokens[rep, at] = counters.tokens_fed - before
        medians, fed = np.median(times, axis=0), np.median(tokens, axis=0)
        slope = float(np.polyfit(np.log(fed), np.log(medians), 1)[0])
        result.append(
            {
                "row": f"cost against {axis} {'/'.join(map(str, sizes))}",
                "model": subject.name,
                "seconds": medians.round(4).tolist(),
                "tokens": fed.astype(int).tolist(),
                "tokens_over_minimum": round(over, 4),
                "slope": round(slope, 3),
                "goal": "slope <= 1.10",
                "met": slope <= 1.10 and over <= 1.05,
            }
        )
        if quick:
            break
    return result


def bfloat16(place: Path) -> list[dict[str, Any]]:
    """What bfloat16 weights do to the trained model: its log-probabilities, its greedy completions, its time."""
    full, half = winnow.load(directory("bundled", place)), winnow.load(directory("bundled", place), dtype="bfloat16")
    prompts = [text.strip() for text in winnow.complete(full, "", num=100, max_tokens=60, seed=5).text]
    prompts = [prompt for prompt in prompts if prompt]
    scores = [winnow.logprob(model, prompts, [" yes", " no", *WORDS]) for model in (full, half)]
    error = np.abs(np.concatenate(scores[0].logprob) - np.concatenate(scores[1].logprob))
    error = error[np.isfinite(error)]
    choice = [[int(np.argmax(row[:2])) for row in score.logprob] for score in scores]
    greedy = [winnow.complete(model, prompts, max_tokens=24, temperature=0) for model in (full, half)]

    def write(model: Any, rep: int) -> Any:
        return winnow.complete(model, prompts[rep], num=64, max_tokens=64, seed=rep)

    times = [[seconds(write, model, rep) for model in (full, half)] for rep in range(3)]
    ratio = float(np.median([one / other for one, other in times]))
    return [
        {
            "row": "bfloat16 weights, trained model",
            "model": "bundled",
            "mean_error": round(float(error.mean()), 4),
            "largest_error": round(float(error.max()), 4),
            "same_yes_or_no": float(np.mean([one == other for one, other in zip(*choice)])),
            "same_greedy_completions": float(np.mean([a == b for a, b in zip(greedy[0].text, greedy[1].text)])),
            "ratio": round(ratio, 2),
            "met": None,
        }
    ]
