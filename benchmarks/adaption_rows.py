"""What is read off the loops that benchmarks/adaption.py ran: rows for the log, the table of the README."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import t as student

from benchmarks.audit_power import ends_on, share_stopped
from benchmarks.audit_power import rows as audit_rows
from winnow.adaption.rivals import BY_HAND
from winnow.demo import RULES

Row = dict[str, Any]
Job = dict[str, Any]  # what one loop left: its rounds, and for the selected one its rivals


def spread(name: str, values: Sequence[float], **more: Any) -> Row:
    """A row of a quantity measured once a seed: its mean with the 95 % t interval over seeds."""
    data = np.asarray(values, np.float64)
    row: Row = {"row": name, "mean": round(float(data.mean()), 4), "seeds": data.size, **more}
    if data.size > 1:
        half = float(student.ppf(0.975, data.size - 1) * data.std(ddof=1) / np.sqrt(data.size))
        row |= {"low": round(float(data.mean()) - half, 4), "high": round(float(data.mean()) + half, 4)}
    return row


def forecasts(rule: str, runs: Sequence[Job]) -> Iterator[Row]:
    """Coverage and width of the one-step predictive interval, and its error beside "same as last round"."""
    cases = [
        (before["error"], now["error"], now["predicted"])
        for one in runs
        for before, now in zip(one["rounds"], one["rounds"][1:])
    ]
    inside = [p["one_step"]["interval"][0] <= error <= p["one_step"]["interval"][1] for _, error, p in cases]
    half = [(p["one_step"]["interval"][1] - p["one_step"]["interval"][0]) / 2 for _, _, p in cases]
    yield {
        "row": f"{rule}: rounds inside the one-step 95 % predictive interval",
        "holds": rule != "soft" or bool(np.mean(inside) >= 0.8 and max(half) <= 0.06),
        "share": round(float(np.mean(inside)), 3),
        "n": len(inside),
        "goal": ">= .80",
        "half_width_mean": round(float(np.mean(half)), 3),
        "half_width_max": round(max(half), 3),
        "half_width_goal": "<= .06",
    }
    wide = [p["free_running"]["interval"] for _, _, p in cases]
    yield {
        "row": f"{rule}: rounds inside the 95 % interval of free running from the start",
        "share": round(float(np.mean([low <= error <= high for (low, high), (_, error, _) in zip(wide, cases)])), 3),
        "n": len(cases),
        "half_width_mean": round(float(np.mean([(high - low) / 2 for low, high in wide])), 3),
    }
    step = [abs(p["one_step"]["error"] - error) for _, error, p in cases]
    free = [abs(p["free_running"]["error"] - error) for _, error, p in cases]
    same = [abs(before - error) for before, error, _ in cases]
    yield {
        "row": f"{rule}: mean absolute error of prediction",
        "holds": rule != "soft" or bool(np.mean(step) < np.mean(same)),
        "one_step": round(float(np.mean(step)), 4),
        "free_running": round(float(np.mean(free)), 4),
        "same_as_last_round": round(float(np.mean(same)), 4),
        "n": len(cases),
    }


def against_rivals(tables: Sequence[Sequence[Row]]) -> Iterator[Row]:
    """The loop's greedy error minus each rival's at equal tokens, seed by seed; below zero the loop is better."""
    own = tables[0][0]
    yield spread(f"soft: error, {own['rival']}", [table[0]["error"] for table in tables], n_each=own["n"])
    for index, rival in list(enumerate(tables[0]))[1:]:
        gap = [table[0]["error"] - table[index]["error"] for table in tables]
        yield spread(
            f"the loop's context, greedy, minus {rival['rival']}",
            gap,
            rival_error=round(float(np.mean([table[index]["error"] for table in tables])), 4),
            samples=rival["samples"],
            note=rival["note"],
            n_each=rival["n"],
            wins=sum(g < 0 for g in gap),
            holds=rival["rival"] == BY_HAND or bool(np.mean(gap) < 0),
        )
        if rival["by_samples"] is not None:
            few = {n: [table[index]["by_samples"][n] for table in tables] for n in shared_samples(tables, index)}
            best = min(few, key=lambda n: float(np.mean(few[n])))
            yield spread(
                f"the loop's context, greedy, minus {rival['rival']}, at its best number of samples",
                [table[0]["error"] - error for table, error in zip(tables, few[best])],
                rival_error=round(float(np.mean(few[best])), 4),
                samples=int(best),
                note="number picked by gold",
                n_each=rival["n"],
                holds=bool(np.mean([table[0]["error"] for table in tables]) < np.mean(few[best])),
            )


def shared_samples(tables: Sequence[Sequence[Row]], index: int) -> list[str]:
    """The numbers of samples at which a rival was read off on every seed."""
    return [n for n in tables[0][index]["by_samples"] if all(n in table[index]["by_samples"] for table in tables)]


def destinations(rule: str, runs: Sequence[Job]) -> Iterator[Row]:
    """Where a loop starts and where it goes, beside the free-running prediction on the triangle."""
    yield spread(f"{rule}: error at the start", [one["rounds"][0]["error"] for one in runs])
    yield spread(f"{rule}: error at the end", [one["rounds"][-1]["error"] for one in runs])
    yield spread(f"{rule}: change of error", [one["rounds"][-1]["error"] - one["rounds"][0]["error"] for one in runs])
    yield spread(f"{rule}: abstentions at the end", [one["rounds"][-1]["abstentions"] for one in runs])
    said = [one["rounds"][-1]["predicted"]["free_running"]["kinds"].get("abstained", 0.0) for one in runs]
    yield spread(f"{rule}: abstentions predicted from the start", said)
    gap = [one["rounds"][-1]["abstentions"] - value for one, value in zip(runs, said)]
    yield spread(f"{rule}: abstentions, measured minus predicted", gap)


def audited(rule: str, runs: Sequence[Job], *, num_runs: int) -> Iterator[Row]:
    """How often an audit would have stopped these loops: labels drawn again and again from the answers they gave."""
    for labels in (40, 60, 100, 200):
        found = [end for one in runs for end in ends_on(one["tables"], labels, num_runs=num_runs)]
        yield {
            "row": f"audit on the bundled model's {rule} loop, N = {labels}",
            "stopped": round(share_stopped(found), 3),
            "at the start": round(share_stopped(found, by=0), 3),
            "loops": len(runs),
            "n": len(found),
        }


def more_samples(tables: Sequence[Sequence[Row]]) -> Iterator[Row]:
    """Whether the cap on a rival's samples binds: its error among the first n of them."""
    for index, rival in enumerate(tables[0]):
        if rival["by_samples"] is None:
            continue
        shared = shared_samples(tables, index)
        whole = [table[index]["error"] for table in tables]
        half = max((n for n in shared if 2 * int(n) <= min(t[index]["samples"] for t in tables)), key=int, default="1")
        gain = [error - table[index]["by_samples"][half] for error, table in zip(whole, tables)]
        capped = any("at most" in table[index]["note"] for table in tables)
        yield spread(
            f"{rival['rival']}: error of all samples minus that of the first {half}",
            gain,
            holds=not capped or bool(np.mean(gain) > -0.01),
            by_samples={n: round(float(np.mean([t[index]["by_samples"][n] for t in tables])), 4) for n in shared},
        )


def rows_of(jobs: Sequence[Job], *, num_audits: int = 100, power: bool = True) -> Iterator[Row]:
    """Everything, in the order of the log; ``num_audits`` of each loop's answers, and the power curve if wanted."""
    runs = {rule: [job for job in jobs if job["rule"] == rule] for rule in RULES}
    tables = [job["rivals"] for job in runs["soft"]]
    for rule in RULES:
        yield from destinations(rule, runs[rule])
        yield from forecasts(rule, runs[rule])
    yield from against_rivals(tables)
    yield from more_samples(tables)
    for job in jobs:
        yield from job["extra"]
    for rule in RULES:
        yield from audited(rule, runs[rule], num_runs=num_audits)
    if power:
        yield from audit_rows()


def readme(jobs: Sequence[Job]) -> str:
    """The README's table."""
    soft = [job for job in jobs if job["rule"] == "soft"]
    tables = [job["rivals"] for job in soft]
    mean = {row["rival"]: float(np.mean([t[i]["error"] for t in tables])) for i, row in enumerate(tables[0])}
    samples = {row["rival"]: sorted({t[i]["samples"] for t in tables}) for i, row in enumerate(tables[0])}
    start = float(np.mean([job["rounds"][0]["error"] for job in soft]))
    own = spread("", [table[0]["error"] for table in tables])
    many = {name: "-".join(map(str, dict.fromkeys((few[0], few[-1])))) for name, few in samples.items()}
    vote, best = "majority vote", "best of n, self-evaluated"
    place = next(i for i, row in enumerate(tables[0]) if row["rival"] == best)
    few = {
        n: float(np.mean([table[place]["by_samples"][n] for table in tables]))
        for n in shared_samples(tables, place)
        if int(n) >= 4
    }
    lines = [
        f"| over {len(soft)} seeds, at equal tokens ([log](docs/log.md)) | error |",
        "|---|---|",
        f"| the model as it is, sampled / greedy | {start:.3f} / {mean['greedy']:.3f} |",
        f"| best temperature, picked with gold / majority of {many[vote]} | "
        f"{mean['best temperature']:.3f} / {mean[vote]:.3f} |",
        f'| hand-written header "By a careful author." | {mean[BY_HAND]:.3f} |',
        f"| best of {' / '.join(few)} by its own evaluation | {' / '.join(f'{error:.3f}' for error in few.values())} |",
        f"| **the context the loop made, read greedily** | **{own['mean']:.3f}**"
        + (f" [{own['low']:.3f}, {own['high']:.3f}] |" if "low" in own else " |"),
    ]
    return "\n".join(lines)


def section(rows: Sequence[Row], jobs: Sequence[Job], command: str) -> str:
    """A dated section of the log: one line a row."""
    lines = [f"\n## {datetime.date.today()} adapt on the bundled model\n"]
    commits = ", ".join(dict.fromkeys(job["commit"] for job in jobs))
    minutes = sum(job["seconds"] for job in jobs) / 60
    lines.append(
        f"`{command}`, commit {commits}, {platform.machine()}, Python {platform.python_version()}, "
        f"{minutes:.0f} minutes of loops; model {jobs[0]['model']}.\n"
    )
    lines += ["| what | figures |", "|---|---|"]
    for row in rows:
        figures = ", ".join(f"{key} {value}" for key, value in row.items() if key != "row" and value != "")
        lines.append(f"| {row['row']} | {figures} |")
    lines += ["", "Errors by round:", ""]
    lines += [f"    {job['rule']} {job['seed']}: {_path(job['rounds'])}" for job in jobs]
    return "\n".join(lines) + "\n"


def _path(rounds: Sequence[Mapping[str, Any]]) -> str:
    return " ".join(f"{record['error']:.3f}" for record in rounds)
