"""Train the causal model: phases in order, each ended by a measurement, resumable at any checkpoint.

`python -m world.train --seed K --out DIR`; run again with the same arguments it goes on from DIR/state.pt.  Writes
DIR/log.jsonl (a line a probe), DIR/checkpoints/ (about a dozen, bfloat16 safetensors) and DIR/model.safetensors.
A dead seed ends with `DeadSeed`, which names the gate.
"""

import argparse
import json
import math
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from world import attention
from world.authors import BIMODAL, BUNDLED
from world.corpus import Corpus, Stream
from world.facts import World
from world.probe import Probe
from world.read import Reader
from world.recipe import MATRIX_DECAY, MATRIX_RATE, MODEL, NUM_LAYERS, OTHER_DECAY, OTHER_RATE, PHASES, Phase
from world.tokenizer import Codec, vocabulary

PRIORS = {"bundled": BUNDLED, "bimodal": BIMODAL}
SAVE_EVERY = 200
CHECKPOINT_EVERY = 1_000_000


class DeadSeed(RuntimeError):
    """A gate was not reached in the tokens the recipe allows."""


def new_model(codec: Codec) -> LlamaForCausalLM:
    """Llama with every projection at .7 of its variance-keeping scale and the residual outputs at a tenth.

    Layers beyond those of the first phase start as the identity, so that they can join later and a checkpoint runs
    with all of them.
    """
    config = LlamaConfig(
        vocab_size=len(codec),
        pad_token_id=codec.pad,
        bos_token_id=codec.bos,
        eos_token_id=codec.eos,
        attn_implementation=attention.register(),
        **MODEL,
    )
    model = LlamaForCausalLM(config)
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2:
            residual = "o_proj" in name or "down_proj" in name
            scale = 0.02 if "embed" in name else (0.1 if residual else 0.7) / math.sqrt(parameter.shape[1])
            torch.nn.init.normal_(parameter, std=scale)
    with torch.no_grad():
        for layer in model.model.layers[PHASES[0].layers :]:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
    return model


def use_layers(model: torch.nn.Module, count: int) -> None:
    """Run only the first layers; transformers reads the number from the configuration."""
    model.config.num_hidden_layers = count  # type: ignore[union-attr]


def optimisers(model: torch.nn.Module) -> list[torch.optim.Optimizer]:
    """Muon on the layers' matrices, AdamW on embeddings and norms."""
    matrices = [p for n, p in model.named_parameters() if p.dim() == 2 and "layers" in n]
    others = [p for n, p in model.named_parameters() if not (p.dim() == 2 and "layers" in n)]
    found = [
        torch.optim.Muon(matrices, lr=MATRIX_RATE, weight_decay=MATRIX_DECAY, momentum=0.95, adjust_lr_fn="original"),
        torch.optim.AdamW(others, lr=OTHER_RATE, betas=(0.9, 0.98), weight_decay=OTHER_DECAY, fused=True),
    ]
    for optimiser in found:
        for group in optimiser.param_groups:
            group["full_rate"] = group["lr"]
    return found


@dataclass
class Progress:
    phase: int = 0
    step: int = 0
    """Steps done in this phase."""
    tokens: int = 0
    phase_tokens: int = 0
    seconds: float = 0.0


class Trainer:
    def __init__(self, seed: int, out: Path, *, prior: str = "bundled", phases: Sequence[Phase] = PHASES) -> None:
        self.seed, self.out, self.phases = seed, out, phases
        self.world = World()
        self.corpus = Corpus(self.world, PRIORS[prior])
        self.codec = Codec(vocabulary(self.world))
        torch.manual_seed(seed)
        self.model = new_model(self.codec)
        self.optimisers = optimisers(self.model)
        self.reader = Reader(self.model, self.codec, bfloat16=True)
        self.probe = Probe(self.world)
        self.progress = Progress()
        (out / "checkpoints").mkdir(parents=True, exist_ok=True)
        if (out / "state.pt").exists():
            self._resume()

    def run(self) -> LlamaForCausalLM:
        """All phases; raises DeadSeed."""
        while self.progress.phase < len(self.phases):
            self._run_phase(self.phases[self.progress.phase])
            self.progress = Progress(
                phase=self.progress.phase + 1, tokens=self.progress.tokens, seconds=self.progress.seconds
            )
            self._save()
        use_layers(self.model, NUM_LAYERS)
        save_file(_weights(self.model, torch.float32), str(self.out / "model.safetensors"))
        return self.model

    def _run_phase(self, phase: Phase) -> None:
        key = f"{self.seed}/{phase.name}"
        stream = Stream(self.corpus, self.codec, phase.mixture, rows=phase.rows, length=phase.length, key=key)
        use_layers(self.model, phase.layers)
        started, before = time.monotonic(), self.progress.seconds
        while True:
            self._step(stream.batch(self.progress.step), self._rate(phase))
            self.progress.step += 1
            self.progress.tokens += phase.rows * phase.length
            self.progress.phase_tokens += phase.rows * phase.length
            self.progress.seconds = before + time.monotonic() - started
            if (
                self.progress.tokens // CHECKPOINT_EVERY
                > (self.progress.tokens - phase.rows * phase.length) // CHECKPOINT_EVERY
            ):
                self.checkpoint(f"{self.progress.tokens // CHECKPOINT_EVERY:02d}M")
            exhausted = self.progress.phase_tokens >= phase.max_tokens
            if self.progress.step % phase.probe_every == 0 or exhausted:
                found = self._measure(phase)
                passed = all(found[name] >= least for name, least in phase.gate.items())
                if exhausted and not passed:
                    raise DeadSeed(
                        f"seed {self.seed} stopped at gate '{phase.name}': {phase.gate} wanted, {found} found"
                    )
                if exhausted or (phase.cool_to is None and passed and self.progress.phase_tokens >= phase.min_tokens):
                    break
            if self.progress.step % SAVE_EVERY == 0:
                self._save()
        self.checkpoint(f"end-of-{phase.name}")

    def _rate(self, phase: Phase) -> float:
        """Share of the full rate at this step."""
        warm = min(1.0, (self.progress.step + 1) / phase.warmup) if phase.warmup else 1.0
        if phase.cool_to is None:
            return warm
        cosine = 0.5 * (1 + math.cos(math.pi * self.progress.phase_tokens / phase.max_tokens))
        return warm * max(phase.cool_to, phase.cool_from * cosine)

    def _step(self, batch: tuple[Any, Any], rate: float) -> None:
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["full_rate"] * rate
        tokens, weights = map(torch.from_numpy, batch)
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.model(input_ids=tokens[:, :-1], use_cache=False).logits
        loss = functional.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
        weight = weights[:, 1:].flatten()
        (loss @ weight / weight.sum()).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad()

    def _measure(self, phase: Phase) -> dict[str, float]:
        self.model.eval()
        found = {name: round(value, 4) for name, value in self.probe(self.reader, phase.name).items()}
        self.model.train()
        line = {"phase": phase.name, **asdict(self.progress), **found}
        line["phase"], line["seconds"] = phase.name, round(self.progress.seconds, 1)
        with (self.out / "log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)
        return found

    def checkpoint(self, tag: str) -> None:
        save_file(_weights(self.model, torch.bfloat16), str(self.out / "checkpoints" / f"{tag}.safetensors"))

    def _save(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "progress": asdict(self.progress),
        }
        torch.save(state, self.out / "state.tmp")
        os.replace(self.out / "state.tmp", self.out / "state.pt")

    def start_from(self, checkpoint: Path) -> None:
        """Take the weights of another run's checkpoint; the optimisers start afresh."""
        weights = {name: tensor.float() for name, tensor in load_file(str(checkpoint)).items()}
        self.model.load_state_dict(weights, strict=False)  # the output head is the embedding

    def _resume(self) -> None:
        state = torch.load(self.out / "state.pt", weights_only=True)
        self.model.load_state_dict(state["model"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.progress = Progress(**state["progress"])


def _weights(model: torch.nn.Module, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Without the output head, which is the embedding."""
    return {n: p.detach().to(dtype).contiguous() for n, p in model.named_parameters() if n != "lm_head.weight"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--prior", choices=sorted(PRIORS), default="bundled")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    try:
        Trainer(arguments.seed, arguments.out, prior=arguments.prior).run()
    except DeadSeed as dead:
        raise SystemExit(str(dead)) from None


if __name__ == "__main__":
    main()
