"""The small variant that is not shipped: authors of two kinds, reliable and not, with nothing between.

A continuous prior makes the response curve nearly the identity; under this one a Bayes-optimal reader soon knows
which of the two is writing, and its curve is an S. If the trained curve bends too, the response is inference about
the author and not a habit of copying shares. Transcripts and prose only: nothing here needs evaluation.

    python -m world.bimodal --out runs/bimodal        writes docs/bundled_model_logs/bimodal.json
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch

from world.authors import BIMODAL, BUNDLED, bayes_response
from world.card import LOGS
from world.figures.bench import Bench
from world.figures.response import distance, edge
from world.read import Reader
from world.recipe import PHASES
from world.train import Trainer

MIXTURE = {"transcript": 0.85, "prose": 0.15}
PHASES_WITHOUT_EVALUATION = (
    PHASES[0],
    replace(PHASES[2], mixture={"short_transcript": 0.8, "primer": 0.2}, gate={"author_gap": 0.35}),
    replace(PHASES[3], mixture=MIXTURE, gate={"author_gap": 0.4}, min_tokens=1e6),
    replace(PHASES[4], mixture=MIXTURE, max_tokens=3e6),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--num", type=int, default=1069)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    trainer = Trainer(arguments.seed, arguments.out, prior="bimodal", phases=PHASES_WITHOUT_EVALUATION)
    model = trainer.run()
    model.set_attn_implementation("sdpa")
    bench = Bench(trainer.world, Reader(model.eval(), trainer.codec), arguments.num)
    curve = edge(bench, trainer.world.unjudged, BIMODAL)
    for row in curve:
        right, wrong, evasive = row["examples"]
        other = bayes_response(
            BUNDLED, right=right, wrong=wrong, evasive=evasive, misleading=trainer.world.misleading_share
        )
        row["bundled_bayes"] = round(other.right, 4)
    found = {
        "note": f"Half the authors have reliability .97, half .25; transcripts and prose only, "
        f"{trainer.progress.tokens / 1e6:.1f} M tokens, seed {arguments.seed}. P(right) after 16 examples "
        f"(n = {arguments.num:,} a point): the largest distance to its Bayes line is {distance(curve):.3f}.",
        "curve": curve,
    }
    LOGS.mkdir(parents=True, exist_ok=True)
    (LOGS / "bimodal.json").write_text(json.dumps(found, indent=1) + "\n")
    print(found["note"])


if __name__ == "__main__":
    main()
