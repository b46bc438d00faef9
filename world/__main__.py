"""One run of the recipe: train both models, export them, measure them, say whether every bar is reached.

    python -m world --seed K [--out runs/world-K]

Everything goes to --out: log.jsonl, checkpoints/, data/ (laid out as the package data), outcome.json.  The same
command resumes a run that was stopped.  `python -m world.publish --run DIR` puts a run into the package.
"""

import argparse
import json
from pathlib import Path

import torch

from world import export
from world.masked import MaskedTrainer
from world.measure import bars, figures
from world.train import DeadSeed, Trainer


def run(seed: int, out: Path, *, num: int) -> dict[str, object]:
    """The run's outcome, as written to outcome.json."""
    data = out / "data"
    outcome: dict[str, object] = {"seed": seed}
    try:
        trainer = Trainer(seed, out)
        model = trainer.run()
        export.write_causal(model, trainer.codec, data / "bundled")
        export.write_items(trainer.world, data)
        export.write_world(trainer.world, trainer.codec, data, seed=seed)
        outcome |= {"tokens": trainer.progress.tokens, "minutes": round(trainer.progress.seconds / 60, 1)}
        if not (data / "masked" / "model.safetensors").exists():
            masked = MaskedTrainer(seed, out)
            export.write_masked(masked.run(), masked.codec, data / "masked")
    except DeadSeed as dead:
        return outcome | {"outcome": str(dead)}
    found = figures(data, num=num)
    measured = {"sha256": export.hashes(data), "figures": found}
    (out / "figures.json").write_text(json.dumps(measured, indent=1) + "\n")
    missed = [f"{bar.name} {bar.value:.4f}" for bar in bars(found) if not bar.reached]
    for bar in bars(found):
        print(f"{'reached' if bar.reached else 'MISSED '}  {bar.name}: {bar.value:.4f} in [{bar.least}, {bar.most}]")
    return outcome | {"outcome": "missed: " + "; ".join(missed) if missed else "every bar reached"}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m world", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--num", type=int, default=1050, help="questions a figure")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    out = arguments.out or Path("runs") / f"world-{arguments.seed}"
    out.mkdir(parents=True, exist_ok=True)
    outcome = run(arguments.seed, out, num=arguments.num)
    (out / "outcome.json").write_text(json.dumps(outcome) + "\n")
    print(json.dumps(outcome))
    if outcome["outcome"] != "every bar reached":
        raise SystemExit(1)


if __name__ == "__main__":
    main()
