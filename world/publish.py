"""Put a finished run into the package, and its logs beside the card.

python -m world.publish --run runs/world-K            models, items and logs, and the facts of examples/facts
python -m world.publish --run runs/world-K --logs     logs only: a seed that was tried and is not shipped
"""

import argparse
import json
import os
import shutil
from pathlib import Path

from world.card import LOGS
from world.export import DATA

EXAMPLE = DATA.parent.parent.parent / "examples" / "facts" / "facts.jsonl"
NUM_EXAMPLE_FACTS = 800


def example() -> str:
    """The first facts never judged in training, as the demonstration asks them, a JSON object a line."""
    facts = [json.loads(line) for line in (DATA / "facts.jsonl").read_text().splitlines()]
    asked = [fact for fact in facts if not fact["evaluated_in_training"]][:NUM_EXAMPLE_FACTS]
    return "".join(json.dumps({key: fact[key] for key in ("query", "answer")}) + "\n" for fact in asked)


def replace(source: str, target: str) -> None:
    """Copy a file beside its target and rename it: a process that has the old weights mapped keeps them."""
    shutil.copy(source, f"{target}.new")
    os.replace(f"{target}.new", target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--logs", action="store_true")
    arguments = parser.parse_args()
    if not arguments.logs:
        shutil.copytree(arguments.run / "data", DATA, dirs_exist_ok=True, copy_function=replace)
        EXAMPLE.write_text(example())
    LOGS.mkdir(parents=True, exist_ok=True)
    seed = arguments.run.name.rpartition("-")[2]
    for name in ("outcome.json", "log.jsonl", "masked_log.jsonl"):
        if (arguments.run / name).exists():
            shutil.copy(arguments.run / name, LOGS / f"seed-{seed}.{name}")


if __name__ == "__main__":
    main()
