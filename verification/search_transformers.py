"""Beam search against transformers' ``generate(num_beams)``, token for token.

    python -m verification.search_transformers --prompts 200 --json build/equal.jsonl bundled path/to/model ...

Float32, ``do_sample=False``, ``num_return_sequences=width``; the three ways to end (never/0, True/0, False/1); widths 1
to 16. The end token is the one the model writes most often, so that beams really end. Sets and order must be equal up
to the end token; where they differ, both are scored again and count as a tie when the sums differ by less than 1e-4.
Counted apart (``edge``) is a pruning that differs: at some step the last candidate kept and the first one dropped lay
within 1e-4 of each other, and our beam with these two in the other order finds exactly what transformers found.

Prompts of one length are one batch for transformers (nothing is padded); our searches run in lockstep. A search that
differs is asked again of transformers alone, outside any batch. A line is written for each model, width and setting; with
``--json FILE`` those that stand there, for the same weights and prompts, are not computed again. Ends with 1 if any differ.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import winnow as wn
from winnow.ports.merging import merge_alike
from winnow.ports.program import Program, gather, run
from winnow.ports.requests import LanguageModel, NextToken
from winnow.search.beam import beam
from winnow.search.found import Found
from winnow.values.random import Key, uniforms
from winnow.values.tree import Tree

DEPTH, TIE, ROWS = 10, 1e-4, 256
WIDTHS = (1, 2, 4, 8, 16)


class Mode(NamedTuple):
    """A setting: how transformers names it, and how we do."""

    early: Any
    exponent: float
    ending: str


MODES = (Mode("never", 0.0, "proven"), Mode(True, 0.0, "first"), Mode(False, 1.0, "estimated"))


class Tally(NamedTuple):
    """What a comparison found; ``equal``, ``ties``, ``edge`` and ``other`` count searches."""

    searches: int = 0
    equal: int = 0
    ties: int = 0
    edge: int = 0
    other: int = 0
    hypotheses: int = 0
    ended: int = 0

    def plus(self, more: Tally) -> Tally:
        return Tally(*(a + b for a, b in zip(self, more, strict=True)))


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


def theirs(model: Any, prompts: Sequence[Sequence[int]], end: int, width: int, mode: Mode) -> list[list[list[int]]]:
    """What transformers returns for prompts of one length, cut after the end token."""
    import torch

    beams: dict[str, Any] = {"num_beams": width, "num_return_sequences": width}
    beams |= {"length_penalty": mode.exponent, "early_stopping": mode.early}
    tokens = torch.tensor([list(prompt) for prompt in prompts])
    with torch.inference_mode():
        rows = model.generate(
            tokens,
            attention_mask=torch.ones_like(tokens),
            do_sample=False,
            max_new_tokens=DEPTH,
            eos_token_id=end,
            pad_token_id=end,
            **(beams if width > 1 else {}),
        )[:, tokens.shape[1] :].tolist()
    rows = [row[: row.index(end) + 1] if end in row else row for row in rows]
    return [rows[start : start + width] for start in range(0, len(rows), width)]


def theirs_all(model: Any, prompts: Sequence[Sequence[int]], end: int, width: int, mode: Mode) -> list[list[list[int]]]:
    """The same for prompts of any lengths, in batches of equal ones."""
    found: dict[int, list[list[int]]] = {}
    for length in sorted({len(prompt) for prompt in prompts}):
        alike = [index for index, prompt in enumerate(prompts) if len(prompt) == length]
        each = max(1, ROWS // width)
        for start in range(0, len(alike), each):
            part = alike[start : start + each]
            found |= dict(zip(part, theirs(model, [prompts[i] for i in part], end, width, mode), strict=True))
    return [found[index] for index in range(len(prompts))]


def our_program(prompt: Sequence[int], end: int, width: int, mode: Mode) -> Program[Found]:
    """Our beam, as transformers is asked."""
    return beam(
        Tree([prompt]),
        0,
        width=width,
        depth=DEPTH,
        end_tokens=[end],
        length_exponent=mode.exponent,
        ending=mode.ending,
    )


def ours_all(
    model: LanguageModel, prompts: Sequence[Sequence[int]], end: int, width: int, modes: Sequence[Mode]
) -> list[list[list[list[int]]]]:
    """What our beam returns, by mode and prompt; all of them in lockstep."""
    programs = [our_program(prompt, end, width, mode) for mode in modes for prompt in prompts]
    found = run(merge_alike(gather(programs)), model)
    rows = [[one.tree.tokens(int(node)) for node in one.nodes] for one in found]
    return [rows[start : start + len(prompts)] for start in range(0, len(rows), len(prompts))]


def rescored(model: LanguageModel, prompt: Sequence[int], tokens: Sequence[int], exponent: float) -> float:
    """The score of a continuation, computed afresh."""
    tree, node = Tree([prompt]), 0
    total = 0.0
    for token in tokens:
        request = NextToken(tree=tree, nodes=np.array([node]), tokens=np.array([token]))
        logprob = dict(model.answer([request]))[0].logprob[0, 0]
        tree, born = tree.append([node], [token], [logprob])
        total, node = total + float(logprob), int(born[0])
    return float(total / len(tokens) ** exponent)


def tied(model: LanguageModel, prompt: Sequence[int], mine: Any, other: Any, exponent: float) -> bool:
    """Whether all that differs is as probable as what stands in its place, to within 1e-4."""
    return len(mine) == len(other) and all(
        abs(rescored(model, prompt, a, exponent) - rescored(model, prompt, b, exponent)) < TIE
        for a, b in zip(mine, other, strict=True)
        if a != b
    )


class Nudged:
    """A model in which one token after one text is a little less probable."""

    def __init__(self, model: LanguageModel, text: Sequence[int], token: int, amount: float) -> None:
        self.model, self.text, self.token, self.amount = model, list(text), token, amount
        self.identity, self.answers = model.identity, model.answers

    def answer(self, requests: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        for index, reply in self.model.answer(requests):
            here = np.array([requests[index].tree.sequence(int(node)) == self.text for node in requests[index].nodes])
            less = self.amount * (here[:, None] & (reply.token == self.token))
            yield index, replace(reply, logprob=reply.logprob - less)


def at_the_edge(
    model: LanguageModel, prompt: Sequence[int], other: list[list[int]], end: int, width: int, mode: Mode
) -> bool:
    """Whether two candidates at the edge of our beam lie within 1e-4, and in the other order give what ``other`` is."""
    tree = run(our_program(prompt, end, width, mode), model).tree
    depth = np.array([len(tree.path(node)) for node in range(len(tree))])
    for step in range(DEPTH):
        live = np.flatnonzero((depth == step) & (tree.token != end))
        if not live.size:
            break
        reply = dict(model.answer([NextToken(tree=tree, nodes=live, top=2 * width)]))[0]
        total = np.where(reply.token == end, -np.inf, tree.path_logprob(live)[:, None] + reply.logprob).ravel()
        order = np.argsort(-total, kind="stable")
        gap = float(total[order[width - 1]] - total[order[width]]) if order.size > width else np.inf
        if gap < TIE:
            row, column = divmod(int(order[width - 1]), reply.token.shape[1])
            text, token = tree.sequence(int(live[row])), int(reply.token[row, column])
            found = run(our_program(prompt, end, width, mode), Nudged(model, text, token, 2 * gap + 1e-7))
            if [found.tree.tokens(int(node)) for node in found.nodes] == other:
                return True
    return False


def compare(
    model: LanguageModel,
    rival: Any,
    prompts: Sequence[Sequence[int]],
    end: int,
    width: int,
    modes: Sequence[Mode] = MODES,
) -> list[Tally]:
    """Every prompt, by mode; whatever differs is printed."""
    tallies = []
    for mode, mine_all in zip(modes, ours_all(model, prompts, end, width, modes), strict=True):
        tally = Tally()
        for prompt, mine, batched in zip(prompts, mine_all, theirs_all(rival, prompts, end, width, mode), strict=True):
            other = batched if mine == batched else theirs(rival, [prompt], end, width, mode)[0]
            equal = mine == other
            tie = not equal and tied(model, prompt, mine, other, mode.exponent)
            edge = not equal and not tie and at_the_edge(model, prompt, other, end, width, mode)
            if not equal and not tie:
                told = {"prompt": list(prompt), "ending": mode.ending, "width": width, "ours": mine}
                told |= {"theirs": other, "edge": edge}
                print(json.dumps(told), file=sys.stderr)
            ended = sum(row[-1] == end for row in other)
            tally = tally.plus(Tally(1, equal, tie, edge, not (equal or tie or edge), len(other), ended))
        tallies.append(tally)
    return tallies


def verify(name: str, num: int, widths: Sequence[int], file: Path | None) -> int:
    """All settings of one model; gives how many searches differ."""
    from winnow.models.load import _bundled_directory

    model = wn.load(name)
    prompts = prompts_of(model, num)
    end = frequent_token(model, prompts)
    rival: Any = None
    known = [json.loads(line) for line in file.read_text().splitlines()] if file is not None and file.exists() else []
    differ = 0
    for width in widths:
        about = {"model": Path(name).name, "identity": model.identity, "prompts": num, "end": end, "width": width}
        done = {row["ending"]: row for row in known if about.items() <= row.items()}
        left = [mode for mode in MODES if mode.ending not in done]
        differ += sum(row["other"] for row in done.values())
        if not left:
            continue
        rival = rival or reference(str(_bundled_directory()) if name == "bundled" else name)
        began = time.process_time()
        tallies = compare(model, rival, prompts, end, width, left)
        seconds = round((time.process_time() - began) / len(left), 1)
        for mode, tally in zip(left, tallies, strict=True):
            row = {**about, "ending": mode.ending, **tally._asdict(), "cpu_seconds": seconds, "commit": commit()}
            print(json.dumps(row), flush=True)
            differ += tally.other
            if file is not None:
                with file.open("a", encoding="utf-8") as out:
                    out.write(json.dumps(row) + "\n")
    return differ


def commit() -> str:
    """The commit that is checked out; empty outside of a repository."""
    said = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False, cwd=Path(__file__).parent
    )
    return said.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS)
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep a line for each model, width and setting here")
    arguments = parser.parse_args()
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
    sys.exit(
        1 if sum(verify(name, arguments.prompts, arguments.widths, arguments.json) for name in arguments.models) else 0
    )


if __name__ == "__main__":
    main()
