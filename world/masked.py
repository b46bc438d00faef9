"""Train the masked model (ModernBERT's architecture, all attention global) on the same corpus and tokenizer.

Fifteen per cent of tokens masked from the start teaches it nothing about facts.  So first short rows in which most
*values* are masked, until they are filled in right; then every domain, with 15 % of the tokens masked and 30 % of
the values.  Some five minutes: not resumable, a stopped run starts anew.
"""

import json
import math
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import ModernBertConfig, ModernBertForMaskedLM

from world import attention
from world.corpus import Corpus, Stream
from world.facts import World
from world.recipe import CONTEXT, EVERYTHING
from world.tokenizer import SPECIALS, Codec, vocabulary
from world.train import DeadSeed, optimisers

VALUES_MIXTURE = {"primer": 0.5, "short_prose": 0.5}
VALUES_GATE, VALUES_MAX_TOKENS = 0.9, 5e6
TOKENS = 5e6
FIRST_LAYERS, NUM_LAYERS = 3, 6


def new_model(codec: Codec) -> ModernBertForMaskedLM:
    config = ModernBertConfig(
        vocab_size=len(codec),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=NUM_LAYERS,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT,
        layer_types=["full_attention"] * NUM_LAYERS,
        pad_token_id=codec.pad,
        bos_token_id=codec.bos,
        eos_token_id=codec.eos,
        cls_token_id=codec.bos,
        sep_token_id=codec.eos,
        attn_implementation=attention.register(),
    )
    model = ModernBertForMaskedLM(config)
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2:
            residual = name.endswith("Wo.weight")
            scale = 0.02 if "embed" in name else (0.1 if residual else 0.7) / math.sqrt(parameter.shape[1])
            nn.init.normal_(parameter, std=scale)
    return model


class Masker:
    """Which tokens are hidden: never specials, values at a rate of their own."""

    def __init__(self, codec: Codec, world: World, seed: str) -> None:
        self.codec = codec
        self.is_value = torch.zeros(len(codec), dtype=torch.bool)
        self.is_value[[codec.encode_piece(f" {value}")[0] for value in world.all_values]] = True
        self.generator = torch.Generator().manual_seed(int.from_bytes(seed.encode()[-7:], "big"))

    def __call__(self, tokens: Tensor, *, rate: float, value_rate: float) -> Tensor:
        """Boolean, of the shape of `tokens`."""
        hidden = torch.rand(tokens.shape, generator=self.generator) < rate
        hidden |= self.is_value[tokens] & (torch.rand(tokens.shape, generator=self.generator) < value_rate)
        return hidden & (tokens >= len(SPECIALS))


class MaskedTrainer:
    def __init__(self, seed: int, out: Path) -> None:
        self.seed, self.out = seed, out
        self.world = World()
        self.codec = Codec(vocabulary(self.world))
        self.corpus = Corpus(self.world)
        torch.manual_seed(seed)
        self.model = new_model(self.codec)
        self.layers = self.model.model.layers
        self.optimisers = optimisers(self.model)
        self.masker = Masker(self.codec, self.world, f"masker{seed}")
        self.seconds = time.monotonic()
        out.mkdir(parents=True, exist_ok=True)

    def run(self) -> ModernBertForMaskedLM:
        self._learn_values()
        self._learn_everything()
        self.model.model.layers = self.layers
        return self.model

    def _learn_values(self) -> None:
        self.model.model.layers = self.layers[:FIRST_LAYERS]
        stream = Stream(self.corpus, self.codec, VALUES_MIXTURE, rows=128, length=32, key=f"{self.seed}/masked values")
        smooth, step = 0.0, 0
        while smooth < VALUES_GATE:
            right, value = self._step(stream.batch(step)[0], min(1, (step + 1) / 100), rate=0.02, value_rate=0.8)
            smooth += 0.05 * (float(right[value].float().mean()) - smooth)
            step += 1
            if step % 100 == 0:
                self._log("values", step * 4096, {"values": smooth})
            if step * 4096 > VALUES_MAX_TOKENS:
                raise DeadSeed(
                    f"masked seed {self.seed} stopped at gate 'values': {VALUES_GATE} wanted, {smooth:.2f} found"
                )
        self._log("values done", step * 4096, {"values": smooth})
        with torch.no_grad():
            for layer in self.layers[FIRST_LAYERS:]:
                layer.attn.Wo.weight.zero_()
                layer.mlp.Wo.weight.zero_()

    def _learn_everything(self) -> None:
        self.model.model.layers = self.layers
        stream = Stream(self.corpus, self.codec, EVERYTHING, rows=16, length=256, key=f"{self.seed}/masked everything")
        total = int(TOKENS / 4096)
        hits: list[float] = []
        for step in range(total):
            done = step / total
            pace = 1.0 if done < 0.5 else max(0.02, 0.5 * (1 + math.cos(math.pi * (2 * done - 1))))
            right, _ = self._step(stream.batch(step)[0], min(pace, (step + 1) / 20), rate=0.15, value_rate=0.3)
            hits.append(float(right.float().mean()))
            if (step + 1) % 200 == 0 or step + 1 == total:
                self._log("everything", (step + 1) * 4096, {"accuracy": sum(hits[-100:]) / len(hits[-100:])})

    def _step(self, batch: object, pace: float, *, rate: float, value_rate: float) -> tuple[Tensor, Tensor]:
        """One step; which masked tokens were right, and which of them are values."""
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["full_rate"] * pace
        tokens = torch.as_tensor(batch)[:, :-1]
        hidden = self.masker(tokens, rate=rate, value_rate=value_rate)
        with torch.autocast("cpu", torch.bfloat16):
            states = self.model.model(input_ids=tokens.masked_fill(hidden, self.codec.mask)).last_hidden_state
        logits = self.model.decoder(self.model.head(states[hidden].float()))
        truth = tokens[hidden]
        functional.cross_entropy(logits, truth).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad()
        return logits.argmax(-1) == truth, self.masker.is_value[truth]

    def _log(self, phase: str, tokens: int, found: dict[str, float]) -> None:
        line = {"phase": phase, "tokens": tokens, "seconds": round(time.monotonic() - self.seconds, 1)}
        line |= {name: round(value, 4) for name, value in found.items()}
        with (self.out / "masked_log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    trained = MaskedTrainer(arguments.seed, arguments.out).run()
    torch.save(trained.state_dict(), arguments.out / "masked.pt")
