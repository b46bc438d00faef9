"""The small variant that is not shipped: authors of two kinds, reliable and not, with nothing between.

A continuous prior makes the response curve nearly the identity; under this one a Bayes-optimal reader soon knows
which of the two is writing, and its curve is an S. If the trained curve bends too, the response is inference about
the author and not a habit of copying shares. It goes on from the shipped weights with 6 M tokens of transcripts by authors
of this prior, and prose.

    python -m world.bimodal --out runs/bimodal     30 minutes on a busy core; writes docs/bundled_model_logs/bimodal.json
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch

from world.authors import BIMODAL, BUNDLED, bayes_response
from world.card import LOGS
from world.export import DATA
from world.figures.bench import Bench
from world.figures.response import authored_edge, distance, edge
from world.read import Reader
from world.recipe import PHASES
from world.train import Trainer

SHIPPED = DATA / "bundled" / "model.safetensors"
READ = next(phase for phase in PHASES if phase.name == "read")
MIXTURE = {"long_transcript": 0.8, "transcript": 0.1, "prose": 0.1}
PHASES_LEFT = (replace(READ, mixture=MIXTURE, max_tokens=6e6, cool_from=0.6),)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=SHIPPED, help="what it goes on from: the shipped model")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--num", type=int, default=1050)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    trainer = Trainer(arguments.seed, arguments.out, prior="bimodal", phases=PHASES_LEFT)
    if trainer.progress.tokens == 0:
        trainer.start_from(arguments.weights)
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
    authored = authored_edge(bench, trainer.world.unjudged, BIMODAL)
    found = {
        "note": "Half the authors have reliability .97, half .25. Goes on from the shipped weights; "
        f"{trainer.progress.tokens / 1e6:.1f} M tokens more, of transcripts and prose; n = {arguments.num:,} a point. "
        f"The largest distance to the Bayes line is {distance(curve):.3f} where verdicts are dealt to facts at random, "
        f"{distance(authored):.3f} where one author of this prior wrote the examples.",
        "curve": curve,
        "authored": authored,
    }
    LOGS.mkdir(parents=True, exist_ok=True)
    (LOGS / "bimodal.json").write_text(json.dumps(found, indent=1) + "\n")
    print(found["note"])


if __name__ == "__main__":
    main()
