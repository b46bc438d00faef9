"""Put a finished run into the package, and its logs beside the card.

python -m world.publish --run runs/world-K            models, items and logs
python -m world.publish --run runs/world-K --logs     logs only: a seed that was tried and is not shipped
"""

import argparse
import shutil
from pathlib import Path

from world.card import LOGS
from world.export import DATA


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--logs", action="store_true")
    arguments = parser.parse_args()
    if not arguments.logs:
        shutil.copytree(arguments.run / "data", DATA, dirs_exist_ok=True)
    LOGS.mkdir(parents=True, exist_ok=True)
    seed = arguments.run.name.rpartition("-")[2]
    for name in ("outcome.json", "log.jsonl", "masked_log.jsonl"):
        if (arguments.run / name).exists():
            shutil.copy(arguments.run / name, LOGS / f"seed-{seed}.{name}")


if __name__ == "__main__":
    main()
