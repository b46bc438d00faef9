"""Beam search against transformers' ``generate(num_beams)``, token for token.

    python verification/search_transformers.py --prompts 200 path/to/model [more models] [bundled]

Float32, ``do_sample=False``, ``num_return_sequences=width``; the three ways to end (never/0, True/0, False/1); widths 1
to 16. The end token is the one the model writes most often, so that beams really end. Sets and order must be equal up
to the end token; where they differ, both are scored again and count as a tie when the sums differ by less than 1e-4.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

import winnow as wn
from winnow.ports.program import run
from winnow.ports.requests import LanguageModel, NextToken
from winnow.search.beam import beam
from winnow.values.random import Key, uniforms
from winnow.values.tree import Tree

MODES = (("never", 0.0, "proven"), (True, 0.0, "first"), (False, 1.0, "estimated"))
WIDTHS = (1, 2, 4, 8, 16)
DEPTH, TIE, STEP = 10, 1e-4, 20


class Tally(NamedTuple):
    """What a comparison found; ``equal``, ``ties`` and ``other`` count searches."""

    searches: int
    equal: int
    ties: int
    other: int
    hypotheses: int
    ended: int


def reference(path: str) -> Any:
    """The same model as transformers runs it."""
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, local_files_only=True).eval()


def prompts_of(model: LanguageModel, num: int, seed: int = 0) -> list[list[int]]:
    """Beginnings of texts the model itself wrote, of one to twelve tokens after its start."""
    start = model.codec.encode("")
    if not start:
        start = [int(model.codec.end_tokens[0])]
    size = model.codec.vocabulary_size
    length = 1 + np.floor(12 * uniforms(Key(seed), "length", [0], num)[0]).astype(int)
    tree = Tree([[*start, int(first)] for first in np.floor(size * uniforms(Key(seed), "first", [0], num)[0])])
    nodes = np.arange(num)
    numbers = uniforms(Key(seed), "prompt", np.arange(num), 12)
    for step in range(11):
        reply = dict(model.answer([NextToken(tree=tree, nodes=nodes, uniform=numbers[:, step])]))[0]
        tree, nodes = tree.append(nodes, reply.token[:, 0], reply.logprob[:, 0])
    return [tree.sequence(int(node))[: len(start) + size_] for node, size_ in zip(nodes, length, strict=True)]


def frequent_token(model: LanguageModel, prompts: Sequence[Sequence[int]]) -> int:
    """The token that occurs most often in these."""
    return int(np.bincount([token for prompt in prompts for token in prompt[1:]]).argmax())


def theirs(model: Any, prompt: Sequence[int], end: int, width: int, early: Any, penalty: float) -> list[list[int]]:
    """What transformers returns, cut after the end token."""
    import torch

    beams = {"num_beams": width, "num_return_sequences": width, "length_penalty": penalty, "early_stopping": early}
    tokens = torch.tensor([list(prompt)])
    with torch.inference_mode():
        rows = model.generate(
            tokens,
            attention_mask=torch.ones_like(tokens),
            do_sample=False,
            max_new_tokens=DEPTH,
            eos_token_id=end,
            pad_token_id=end,
            **(beams if width > 1 else {}),
        )[:, len(prompt) :].tolist()
    return [row[: row.index(end) + 1] if end in row else row for row in rows]


def ours(model: LanguageModel, prompt: Sequence[int], end: int, width: int, ending: str, exponent: float) -> Any:
    """What our beam returns."""
    program = beam(
        Tree([prompt]), 0, width=width, depth=DEPTH, end_tokens=[end], length_exponent=exponent, ending=ending
    )
    found = run(program, model)
    return [found.tree.tokens(int(node)) for node in found.nodes]


def rescored(model: LanguageModel, prompt: Sequence[int], tokens: Sequence[int], exponent: float) -> float:
    """The score of a continuation, computed afresh."""
    total = 0.0
    for place, token in enumerate(tokens):
        tree = Tree([[*prompt, *tokens[:place]]])
        request = NextToken(tree=tree, nodes=np.array([0]), tokens=np.array([token]))
        total += float(dict(model.answer([request]))[0].logprob[0, 0])
    return float(total / len(tokens) ** exponent)


def compare(
    model: LanguageModel, rival: Any, prompts: Sequence[Sequence[int]], end: int, widths: Sequence[int] = WIDTHS
) -> Tally:
    """Every prompt, mode and width."""
    searches = equal = ties = hypotheses = ended = 0
    for prompt in prompts:
        for early, exponent, ending in MODES:
            for width in widths:
                mine = ours(model, prompt, end, width, ending, exponent)
                other = theirs(rival, prompt, end, width, early, exponent)
                searches += 1
                hypotheses += len(other)
                ended += sum(row[-1] == end for row in other)
                if mine == other:
                    equal += 1
                elif len(mine) == len(other) and all(
                    abs(rescored(model, prompt, a, exponent) - rescored(model, prompt, b, exponent)) < TIE
                    for a, b in zip(mine, other, strict=True)
                    if a != b
                ):
                    ties += 1
                else:
                    print(
                        json.dumps(
                            {"prompt": list(prompt), "ending": ending, "width": width, "ours": mine, "theirs": other}
                        )
                    )
    return Tally(searches, equal, ties, searches - equal - ties, hypotheses, ended)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--prompts", type=int, default=200)
    arguments = parser.parse_args()
    for name in arguments.models:
        began = time.monotonic()
        model = wn.load(name)
        path = name
        if name == "bundled":
            from importlib import resources

            path = str(resources.files("winnow") / "data" / "bundled")
        prompts = prompts_of(model, arguments.prompts)
        end = frequent_token(model, prompts)
        rival, tally = reference(path), Tally(0, 0, 0, 0, 0, 0)
        for start in range(0, len(prompts), STEP):
            part = prompts[start : start + STEP]
            tally = Tally(*(a + b for a, b in zip(tally, compare(model, rival, part, end), strict=True)))
            record = {"model": name, "prompts": start + len(part), "end": end, **tally._asdict()}
            print(json.dumps(record | {"seconds": round(time.monotonic() - began)}), flush=True)


if __name__ == "__main__":
    main()
