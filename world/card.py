"""Write the card: measure the committed weights, then card.json, card.md and docs/bundled_model.md.

    python -m world.card                      measure (some ten minutes on one core), then render
    python -m world.card --figures FILE       take the figures a run measured, if they are of the committed weights
    python -m world.card --render             render card.json again

Every number of the card comes from here; the prose around them stands in `render`.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from world import words
from world.export import DATA, hashes
from world.measure import bars, figures
from world.render import render

ROOT = DATA.parent.parent.parent
LOGS = ROOT / "docs" / "bundled_model_logs"


def seeds_tried() -> list[dict[str, Any]]:
    """The outcome of every seed run with this recipe, from the logs kept beside the card."""
    found = [json.loads(path.read_text()) for path in sorted(LOGS.glob("seed-*.outcome.json"))]
    return sorted(found, key=lambda outcome: outcome["seed"])


def measured(path: Path) -> dict[str, Any]:
    """Figures of a run, refused where its weights are not the committed ones."""
    found = json.loads(path.read_text())
    if found["sha256"] != hashes(DATA):
        raise SystemExit(f"{path} was measured on other weights than those in {DATA}; run without --figures")
    return dict(found["figures"])


def describe(found: dict[str, Any]) -> dict[str, Any]:
    """The whole card as data."""
    world = json.loads((DATA / "world.json").read_text())
    bimodal = LOGS / "bimodal.json"
    return {
        "sha256": hashes(DATA),
        "world_seed": world["world_seed"],
        "training_seed": world["training_seed"],
        "headers": words.HEADERS,
        "bars": [bar._asdict() | {"reached": bar.reached} for bar in bars(found)],
        "figures": found,
        "bimodal_variant": json.loads(bimodal.read_text()) if bimodal.exists() else None,
        "seeds": seeds_tried(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--render", action="store_true", help="do not measure again")
    parser.add_argument("--figures", type=Path, help="figures.json of the run that was published")
    parser.add_argument("--num", type=int, default=1050)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    path = DATA / "card.json"
    if arguments.render:
        card = json.loads(path.read_text())
        bimodal = LOGS / "bimodal.json"
        card |= {
            "seeds": seeds_tried(),
            "bimodal_variant": json.loads(bimodal.read_text()) if bimodal.exists() else None,
        }
    else:
        found = measured(arguments.figures) if arguments.figures else figures(DATA, num=arguments.num)
        card = describe(found)
    path.write_text(json.dumps(card, indent=1) + "\n")
    text = render(card)
    (DATA / "card.md").write_text(text)
    (ROOT / "docs").mkdir(exist_ok=True)
    (ROOT / "docs" / "bundled_model.md").write_text(text)


if __name__ == "__main__":
    main()
