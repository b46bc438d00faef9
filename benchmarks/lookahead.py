"""Looking ahead: what it costs, and the studies of docs/answers/lookahead.md.

    python -m benchmarks.lookahead                     speed: linear in positions, width and depth, against the model alone
    python -m benchmarks.lookahead --json              the same as JSON lines
    python -m benchmarks.lookahead --study shakespeare one study into docs/answers/lookahead/shakespeare.json
    python -m benchmarks.lookahead --power --study stories   (5) of depth 2, exactly, at every position: stories-power.json
    python -m benchmarks.lookahead --larger            larger models on the same documents
    python -m benchmarks.lookahead --checkpoints DIR   the bundled model's checkpoints on its own world
    python -m benchmarks.lookahead --figures           the figures and tables of docs/answers/lookahead.md from those files

Studies are named in ``benchmarks.lookahead_texts``. Every number has its seed in the file it stands in.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import winnow
from benchmarks.lookahead_texts import PAIRS, SOURCES, Source, world_documents
from winnow.lookahead.looking import Looking
from winnow.lookahead.ponder import larger, ponder
from winnow.lookahead.settings import StudySettings
from winnow.lookahead.study import Study
from winnow.lookahead.texts import Document, prepare
from winnow.ports.requests import Cost, LanguageModel
from winnow.study import compare_written, lookahead
from winnow.values.records import to_json, write_text

ANSWERS = Path(__file__).parents[1] / "docs" / "answers" / "lookahead"
SETTINGS = StudySettings(powers=(0.5, 0.75, 1.5, 3.0), stride=16, horizon=10, horizon_futures=6, horizon_stride=32)


class Seconds:
    """An observer that says how far a study is."""

    def __init__(self) -> None:
        self.began = time.monotonic()

    def on_note(self, note: Any) -> None:
        print(f"{time.monotonic() - self.began:7.1f} s  {note.kind} {dict(note.info)}", file=sys.stderr, flush=True)

    def on_reply(self, done: int, asked: int, cost: Cost) -> None:
        said = f"{done} of {asked} looks, {cost.prompt_tokens:,} forward tokens"
        print(f"{time.monotonic() - self.began:7.1f} s  {said}", file=sys.stderr, flush=True)


def read(
    name: str,
    source: Source,
    model: LanguageModel,
    *,
    positions: int,
    settings: StudySettings,
    store: Path | None = None,
) -> Study:
    """One study."""
    documents = source.documents()
    return lookahead(
        model, documents, settings=settings, name=name, max_tokens=positions, observer=Seconds(), store=store
    )


def one(name: str, *, positions: int | None, written: int, store: Path | None, power: bool) -> dict[str, Any]:
    """A study, what pondering makes of it, and texts it writes, as one record."""
    source = SOURCES[name]
    model = winnow.load(source.model)
    cpu, wall = time.process_time(), time.monotonic()
    settings = POWERS if power else replace(SETTINGS, depth=source.depth)
    study = read(name, source, model, positions=positions or source.positions, settings=settings, store=store)
    record = study.record() | {"model": source.model.rpartition("/")[2], "text": study.text.units}
    record["documents"] = [source.documents()[0].name, len(set(study.text.document.tolist()))]
    record["ponder"] = [way.record() for way in ponder(study)]
    record["written"] = [text.record() for text in compare_written(study, model, num=written)] if written else []
    record["seconds"] = {"cpu": time.process_time() - cpu, "wall": time.monotonic() - wall}
    return record


def compare(name: str, small: Source, big: Source, *, positions: int) -> dict[str, Any]:
    """A larger model on the same documents as another way to spend forward tokens."""
    few = StudySettings(widths=(2,), depth=2, averages=(1.0,), powers=(), mixings=("linear",), horizon=0)
    names = [source.model.rpartition("/")[2] for source in (small, big)]
    # models of other tokens: as many documents, and so many more tokens
    studies = [
        read(said, source, winnow.load(source.model), positions=count, settings=few)
        for said, source, count in zip(names, (small, big), (positions, 4 * positions))
    ]
    spent = larger(studies[0], studies[1], parameters=(small.parameters, big.parameters))
    documents = np.unique(studies[0].text.document).size - 1
    return {"study": name, "small": names[0], "big": names[1], "documents": documents, **spent.record()}


def checkpoints(directory: Path, *, positions: int, every: int) -> list[dict[str, Any]]:
    """The bundled model as it was after each so many million tokens, on the documents of its own world."""
    import shutil
    import tempfile

    import safetensors.torch

    bundled = Path(winnow.__file__).parent / "data" / "bundled"
    found = []
    files = sorted(directory.glob("[0-9]*M.safetensors"))
    for file in [*files[:2], *files[every - 1 :: every]]:
        with tempfile.TemporaryDirectory() as place:
            for part in bundled.iterdir():
                if part.suffix == ".json":
                    shutil.copy(part, place)
            tensors = safetensors.torch.load_file(file)
            safetensors.torch.save_file(
                {key: value.float() for key, value in tensors.items()},
                Path(place) / "model.safetensors",
                metadata={"format": "pt"},
            )
            study = read(file.stem, SOURCES["bundled"], winnow.load(place), positions=positions, settings=CHECKPOINTS)
        record = study.record()
        kept = (
            "model",
            "positions",
            "reporting",
            "units",
            "naive",
            "temperature",
            "rival",
            "control",
            "headline",
            "plain",
        )
        power = [row for row in record["table"] if row["family"] == "power" and row["depth"] > 1]
        found.append({key: record[key] for key in (*kept, "verdict", "helps")})
        found[-1]["power"] = max(power, key=lambda row: float(row["beyond"]["tuning"]))
        found[-1]["of"] = str(directory)
        print(file.stem, study.verdict(), flush=True)
    return found


LINEAR = 1.6  # time may grow so much faster than forward tokens, fourfold
POWERS = StudySettings(
    widths=(2,), depth=2, averages=(0.0,), mixings=("linear",), powers=(0.3, 0.4, 0.5, 0.6, 0.75, 1.5), future_depth=2,
    num_futures=1, stride=1, least=0.002, horizon=0,
)  # fmt: skip
CHECKPOINTS = StudySettings(
    widths=(4,), depth=4, averages=(0.0, 1.0), powers=(0.6, 1.5), future_depth=2, num_futures=1, stride=2, least=0.005,
    horizon=0,
)  # fmt: skip


# ---- speed


def seconds(model: LanguageModel, text: str, positions: int, width: int, depth: int) -> tuple[float, int]:
    """CPU seconds and forward tokens of a look at so many positions."""
    settings = StudySettings(widths=(width,), depth=depth, powers=(), horizon=0)
    prepared = prepare([Document("speed", text)], model, depth=8, max_tokens=positions)
    looking = Looking(model)
    began = time.process_time()
    tokens = sum(reply.cost.prompt_tokens for _, reply in looking.answer(settings.looks(prepared, model)))
    return time.process_time() - began, tokens


def speed(model: LanguageModel, *, repeats: int) -> list[dict[str, float]]:
    """Rows: each dimension doubled twice, medians of interleaved repeats, each with a text that was not seen before."""
    base = {"positions": 128, "width": 4, "depth": 3}
    rows = [base]
    for name, values in (("positions", (256, 512)), ("width", (8, 16)), ("depth", (5, 9))):
        rows += [{**base, name: value} for value in values]
    text = "".join(one.text for one in world_documents())
    fresh = itertools.count()

    def turn(row: dict[str, int]) -> tuple[float, int]:
        start = 4000 * next(fresh)
        return seconds(model, text[start : start + 4000], **row)

    turn(base)  # warm
    taken: list[list[tuple[float, int]]] = [[] for _ in rows]
    for _ in range(repeats):
        for place, row in enumerate(rows):
            taken[place].append(turn(row))
    found: list[dict[str, float]] = []
    for row, many in zip(rows, taken, strict=True):
        median, tokens = float(np.median([one[0] for one in many])), float(np.median([one[1] for one in many]))
        found.append({**row, "seconds": median, "tokens": tokens, "tokens per second": tokens / median})
    for told in found:
        told["cost"] = told["tokens"] / found[0]["tokens"]
        told["time"] = told["seconds"] / found[0]["seconds"]
        told["time over cost"] = told["time"] / told["cost"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", action="append", default=[], choices=[*SOURCES, "all"])
    parser.add_argument("--positions", type=int)
    parser.add_argument("--written", type=int, default=16)
    parser.add_argument(
        "--power", action="store_true", help="(5) of depth 2, exactly, at every position: NAME-power.json"
    )
    parser.add_argument("--store", type=Path, help="keep looks here: a study that was interrupted goes on")
    parser.add_argument("--larger", action="store_true")
    parser.add_argument("--checkpoints", type=Path)
    parser.add_argument("--every", type=int, default=4)
    parser.add_argument("--figures", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    names = list(SOURCES) if "all" in options.study else options.study
    for name in names:
        written = 0 if options.power else options.written
        record = one(name, positions=options.positions, written=written, store=options.store, power=options.power)
        write_text(ANSWERS / f"{name}{'-power' if options.power else ''}.json", to_json(record, indent=1) + "\n")
        print(name, record["verdict"], flush=True)
    if options.larger:
        records = [compare(*pair, positions=options.positions or 6144) for pair in PAIRS]
        write_text(ANSWERS / "larger.json", to_json(records, indent=1) + "\n")
        print(records)
    if options.checkpoints:
        found = checkpoints(options.checkpoints, positions=options.positions or 10_240, every=options.every)
        write_text(ANSWERS / "checkpoints.json", to_json(found, indent=1) + "\n")
    if options.figures:
        from benchmarks.lookahead_figures import draw

        draw(ANSWERS)
    if not (names or options.larger or options.checkpoints or options.figures):
        rows = speed(winnow.load(options.model), repeats=options.repeats)
        for row in rows:
            print(json.dumps(row) if options.json else "  ".join(f"{k} {v:,.4g}" for k, v in row.items()))
        if max(row["time over cost"] for row in rows) > LINEAR:
            sys.exit(f"not linear: time grew more than {LINEAR} times as fast as forward tokens")


if __name__ == "__main__":
    main()
