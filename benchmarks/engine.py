"""The local engine against its rivals in the same run.

    python -m benchmarks.engine [--models 34M,4M,bundled] [--threads 1] [--repeats 5] [--quick] [--json] [--genlm VENV]

Each row runs in a process of its own. Winnow answers through its public functions, with packed and with stock products;
``ratio`` is a rival's time over Winnow's, packed. Times are medians of process CPU time over repetitions in which
everybody takes a turn, each with new texts.
``roofline`` is the share of the speed at which one large batch is encoded by the same network with the same products;
``packing`` is how much faster that is packed than stock, on this processor: goals were set where it was 2.
``tokens`` is what was fed, padding counted, over the distinct tree nodes needed; ``memory`` what the row adds at most to
a fresh process, over the keys and values of those nodes. Ends with 1 when a goal is missed.
``--genlm`` names a virtual environment with genlm-control 0.4.1 (made as ``engine_genlm.py`` says); without one its row
has no rival.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

MODELS = ("34M", "4M", "bundled")
PARTS = ("completions x", "ending early", "beam", "SMC", "lookahead", "survey", "cost", "bfloat16")  # of rows' names


def main() -> int:
    options = _options()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(options.place or scratch)
        if options.memory_of:
            return _memory(options, place)
        results: list[dict[str, Any]] = []
        if not options.json:
            _print_settings(options)
        for name in options.models.split(","):
            for result in (_measure if options.rows else _apart)(name, place, options):  # told as soon as it is there
                results.append(result)
                print(json.dumps(result) if options.json else _line(result), flush=True)
    missed = [result for result in results if result["met"] is False]
    if not options.json:
        print(f"\n{len(missed)} of {sum(r['met'] is not None for r in results)} rows with a goal miss it")
    return 1 if missed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rows", default="", help="only rows whose name holds this")
    parser.add_argument("--quick", action="store_true", help="one repetition, no memory, for development")
    parser.add_argument("--json", action="store_true", help="one object a row")
    parser.add_argument("--genlm", metavar="VENV", help="a virtual environment with genlm-control 0.4.1")
    parser.add_argument("--place", help="where the random models are made and kept; else a temporary directory")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    return parser.parse_args()


def _apart(name: str, place: Path, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Each row in a process of its own: memory that rows before gave back is cheaper than fresh memory, for some."""
    command = [sys.executable, "-m", "benchmarks.engine", "--json", "--models", name, "--place", str(place)]
    command += ["--threads", str(options.threads), "--repeats", str(options.repeats), *["--quick"] * options.quick]
    command += ["--genlm", options.genlm] if options.genlm else []
    for part in PARTS:
        done = subprocess.run([*command, "--rows", part], stdout=subprocess.PIPE, text=True)
        if done.returncode not in (0, 1):  # 1: a goal was missed
            raise SystemExit(done.returncode)
        yield from map(json.loads, done.stdout.splitlines())


def _measure(name: str, place: Path, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    from benchmarks.engine_measures import bfloat16, growth
    from benchmarks.engine_models import Subject
    from benchmarks.engine_rows import rows

    subject = Subject(name, place)
    ending = None if name == "bundled" else Subject(f"{name}-ending", place)
    with Genlm(options, subject.path, required=name != "bundled") as genlm:
        for row in rows(subject, ending, genlm):
            if options.rows in row.name:
                models = (ending or subject) if "ending early" in row.name else subject
                yield from _row(row, models, options, place)
    if not options.rows or "cost" in options.rows:
        yield from growth(subject, 1 if options.quick else options.repeats, quick=options.quick)
    if name == "bundled" and (not options.rows or "bfloat16" in options.rows):
        yield from bfloat16(place)


def _row(row: Any, subject: Any, options: argparse.Namespace, place: Path) -> list[dict[str, Any]]:
    """Time a row's work and its rivals, everybody in turn."""
    from benchmarks.engine_measures import count, peak_mb, per_token, prefill, seconds

    model = subject.name.removesuffix("-ending")
    fed, needed = count(row, subject.packed, 0)
    turns: dict[str, Callable[[int], float]] = {
        "packed": lambda rep: seconds(row.work, subject.packed, rep),
        "stock": lambda rep: seconds(row.work, subject.stock, rep),
        "packed roofline": lambda rep: seconds(prefill(subject.packed)),
        "stock roofline": lambda rep: seconds(prefill(subject.stock)),
    }
    for rival, how in row.rivals.items():
        turns[rival] = partial(_timed, how)
    for turn in ("stock", "packed roofline", "stock roofline"):
        turns[turn](0)
    times: dict[str, list[float]] = {turn: [] for turn in turns}
    for rep in range(1, (1 if options.quick else options.repeats) + 1):
        row.ready(rep)
        for turn, run in turns.items():
            times[turn].append(run(rep))
    median = {turn: float(np.median(values)) for turn, values in times.items()}
    speed = {kind: needed / median[kind] for kind in ("packed", "stock")}
    roof = {kind: 16 * 256 / median[f"{kind} roofline"] for kind in ("packed", "stock")}
    peak = None if options.quick else peak_mb(row.name, subject.name, place)
    least = needed * per_token(subject.packed) / 2**20
    common = {
        "row": row.name,
        "model": model,
        "threads": options.threads,
        "seconds": round(median["packed"], 4),
        "stock_seconds": round(median["stock"], 4),
        "roofline_fraction": round(speed["packed"] / roof["packed"], 3),
        "stock_roofline_fraction": round(speed["stock"] / roof["stock"], 3),
        "roofline_goal": row.roofline.get(model),
        "packing": round(roof["packed"] / roof["stock"], 2),
        "tokens_over_minimum": round(fed / needed, 4),
        "tokens_goal": row.tokens,
        "peak_mb": None if peak is None else round(peak, 1),
        "peak_over_minimum": None if peak is None else round(peak / least, 2),
    }
    result = []
    rivals, ways = {}, {}
    for name in dict.fromkeys(other.split(" (")[0] for other in row.rivals):  # of several ways the fastest counts
        mine = [other for other in row.rivals if other.split(" (")[0] == name]
        rivals[name] = row.rivals[min(mine, key=median.__getitem__)]
        median[name] = min(median[other] for other in mine)
        ways[name] = {other: round(median[other], 4) for other in mine}
    for rival, how in (rivals or {None: None}).items():
        one = {**common, "rival": rival, "ratio": None, "stock_ratio": None, "goal": None}
        if rival is not None:
            one["rival_seconds"] = round(median[rival], 4)
            if len(ways[rival]) > 1:
                one["rival_ways"] = ways[rival]
            one["ratio"] = round(median[rival] / median["packed"], 2)
            one["stock_ratio"] = round(median[rival] / median["stock"], 2)
            one["goal"] = how.goal.get(model)
        one["met"] = _met(one, aim=rival is None or how.aim)
        result.append(one)
    return result


def _met(one: dict[str, Any], *, aim: bool) -> bool | None:
    """Whether every goal of a row holds; those that are only aimed at do not count."""
    held = [round(one["tokens_over_minimum"], 2) <= one["tokens_goal"]]
    if one["peak_over_minimum"] is not None:
        held.append(one["peak_over_minimum"] <= 2.0)
    if one["goal"] is not None and not aim:
        held.append(one["ratio"] >= one["goal"])
    if one["roofline_goal"] is not None:
        held.append(one["roofline_fraction"] >= one["roofline_goal"])
    return all(held)


def _timed(how: Any, rep: int) -> float:
    from benchmarks.engine_measures import seconds

    told: list[Any] = []
    taken = seconds(lambda: told.append(how.run(rep)))
    own = told[0] if isinstance(told[0], float) else taken  # genlm-control tells its own process's time
    return float(own / how.share)


class NoRival(RuntimeError):
    """genlm-control does not run here."""


class Genlm:
    """genlm-control in a process of its own environment, kept running; None where there is none."""

    def __init__(self, options: argparse.Namespace, path: str, *, required: bool) -> None:
        self.options, self.path, self.required = options, path, required
        self.process: Any = None

    def __enter__(self) -> Callable[[list[int]], float] | None:
        if not self.options.genlm or self.options.rows not in "SMC, 16 particles x 64 tokens":
            return None
        from winnow.models.local.linear import KEPT

        script = Path(__file__).with_name("engine_genlm.py")
        python = Path(self.options.genlm) / "bin" / "python"
        ours = {"PYTHONPATH", *(name for names in KEPT for name in names)}
        environment = {key: value for key, value in os.environ.items() if key not in ours}
        self.process = subprocess.Popen(
            [str(python), str(script), self.path, "16", "64", str(self.options.threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        try:
            self._read()
        except NoRival as problem:
            if self.required:  # it refuses tokenizers whose bytes it cannot tell, as the bundled one
                raise SystemExit(f"genlm-control: {problem}") from None
            print(f"genlm-control is left out for {self.path}: {problem}", file=sys.stderr)
            return None
        return self.run

    def run(self, prompt: list[int]) -> float:
        """Seconds of process CPU time for one search."""
        self.process.stdin.write(json.dumps(prompt) + "\n")
        self.process.stdin.flush()
        return float(self._read()["seconds"])

    def _read(self) -> dict[str, Any]:
        for line in self.process.stdout:
            if line.startswith("{"):
                return dict(json.loads(line))
        raise NoRival(f"it does not run in {self.options.genlm} (see engine_genlm.py)")

    def __exit__(self, *error: object) -> None:
        if self.process is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
            self.process.wait()


def _memory(options: argparse.Namespace, place: Path) -> int:
    from benchmarks.engine_measures import memory_of
    from benchmarks.engine_models import Subject
    from benchmarks.engine_rows import rows

    subject = Subject(options.models, place)
    early = options.models.endswith("-ending")
    row = next(row for row in rows(subject, subject if early else None, None) if row.name == options.memory_of)
    print(json.dumps({"peak_mb": memory_of(row, subject.packed)}))
    return 0


def _print_settings(options: argparse.Namespace) -> None:
    import torch
    import transformers

    from benchmarks.engine_rivals import SETTINGS

    print(f"{_cpu()}, {options.threads} thread(s); torch {torch.__version__}, transformers {transformers.__version__}")
    print(f"genlm-control 0.4.1: {options.genlm or 'not given, its row has no rival'}")
    for rival, how in SETTINGS.items():
        print(f"  {rival}: {how}")
    print("\nmodel | row | against | packed (goal) | stock | roofline packed (goal), stock | tokens | memory | met")


def _cpu() -> str:
    names = [
        line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return names[0] if names else platform.processor()


def _line(one: dict[str, Any]) -> str:
    if "slope" in one or "mean_error" in one:
        rest = {key: value for key, value in one.items() if key not in ("row", "model", "met")}
        return f"{one['model']} | {one['row']} | {rest} | {_word(one['met'])}"
    ratio = "-" if one["ratio"] is None else f"{one['ratio']:.1f}x ({one['goal'] or '-'}) | {one['stock_ratio']:.1f}x"
    memory = (
        "-" if one["peak_mb"] is None else f"{one['peak_mb']:.0f} MB, {one['peak_over_minimum']:.2f} of the minimum"
    )
    goal = one["roofline_goal"] or "-"
    roofline = f"{one['roofline_fraction']:.2f} ({goal}), {one['stock_roofline_fraction']:.2f}"
    return (
        f"{one['model']} | {one['row']} | {one['rival'] or 'nobody'} | {ratio} | {roofline} "
        f"| {one['tokens_over_minimum']:.3f} | {memory} | {_word(one['met'])}"
    )


def _word(met: bool | None) -> str:
    return {True: "yes", False: "NO", None: "-"}[met]


if __name__ == "__main__":
    sys.exit(main())
