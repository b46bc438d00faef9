"""What a person sees of a study: progress where somebody watches, and its findings on a page."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from winnow.ports.program import Note
from winnow.ports.requests import Cost

if TYPE_CHECKING:
    from winnow.lookahead.ponder import Spent
    from winnow.lookahead.study import Study
    from winnow.lookahead.written import Written


class LookaheadScreen:
    """An observer: how many looks are done, and what they cost."""

    def __init__(self) -> None:
        self.live, self.about = sys.stderr.isatty(), ""

    def on_note(self, note: Note) -> None:
        if note.kind == "lookahead":
            self.about = f"{note.info['model']}: {note.info['positions']:,} tokens"

    def on_reply(self, done: int, asked: int, cost: Cost) -> None:
        if self.live:
            text = f"{self.about}, {done} of {asked} looks, {cost.prompt_tokens:,} forward tokens"
            click.echo(f"\r\x1b[K{text}", nl=False, err=True)

    def close(self) -> None:
        """Take the progress line away."""
        if self.live:
            click.echo("\r\x1b[K", nl=False, err=True)


def page(study: Study, written: Sequence[Written] = (), *, show: int = 12) -> str:
    """A study in words and columns. Nats a token, 95 % intervals, on the half that nothing was fitted on."""
    record = study.record()
    lines = [
        f"{study.model}: {record['positions']:,} tokens in {record['units']}, {record['reporting']:,} reported on",
        f"naive model                {study.naive.mean:+.4f} nats a token",
        f"  with temperature         {study.temperature}",
        f"  with its rival's all     {study.rival_gain}  ({study.rival})",
        "",
        "amplified, by the half it was fitted on; gain: over the naive model, beyond: over temperature and truncation",
        f"{'setting':<52} {'tokens':>7} {'cover':>6} {'weight':>6}  {'gain':<26} {'beyond':<26}",
    ]
    deep = [one.row for one in study.measured if one.row.setting.depth > 1]
    for row in sorted(deep, key=lambda row: -row.tuning_beyond)[:show]:
        lines.append(
            f"{row.setting!s:<52} {row.tokens:>7.1f} {row.coverage:>6.3f} {row.plain.weight:>6.3f}  "
            f"{row.gain!s:<26} {row.beyond!s:<26}"
        )
    if len(deep) > show:
        lines.append(f"({len(deep) - show} more settings; --show {len(deep)}, or --json)")
    for fixed in study.fixed:
        lines.append(f"{study.plain.row.setting if study.plain else ''} at weight {fixed[0]:g}: gain {fixed[1]}")
    lines += ["", *_control(study), *_where(study), *_horizon(study), *_ponder(study), *_written(written)]
    return "\n".join([*lines, study.verdict()])


def _control(study: Study) -> list[str]:
    if study.headline is None:
        return []
    control, num = study.control, len(study.control.rival.rivals)
    return [
        f"a stronger rival at depth 1 ({num} temperatures and truncations, by entropy): {control.gain} over the rival",
        f"  {study.headline.row.setting} beyond that one: {control.beyond}",
        "",
    ]


def _where(study: Study) -> list[str]:
    if not study.splits:
        return []
    lines = ["where, share of positions and nats a token there"]
    for one in study.splits:
        numbers = f"{one['mean']:+.4f} [{one['low']:+.4f}, {one['high']:+.4f}]"
        lines.append(f"  {one['of']:<7} {one['split']:<21} {one['part']:<34} {one['share']:>6.3f}  {numbers}")
    return [*lines, ""]


def _horizon(study: Study) -> list[str]:
    if not study.horizon:
        return []
    lines = ["horizon: tokens ahead, agreement of the model's own futures with the text above chance"]
    for one in study.horizon:
        told = one["agreement above chance"]
        lines.append(f"  {one['distance']:>3}  {told['mean']:+.4f} [{told['low']:+.4f}, {told['high']:+.4f}]")
    return [*lines, ""]


def _ponder(study: Study) -> list[str]:
    from winnow.lookahead.ponder import ponder

    rows: list[Spent] = ponder(study)
    if not rows:
        return []
    lines = ["where to look: forward tokens a position, gain beyond the rival"]
    lines += [f"  {one.way:<16} {one.said:<48} {one.tokens:>7.2f}  {one.gain}" for one in rows]
    return [*lines, ""]


def _written(written: Sequence[Written]) -> list[str]:
    if not written:
        return []
    lines = [
        "texts written: forward tokens each, nats a token under the naive model, repeated 4-grams, compression, variety"
    ]
    for one in written:
        lines.append(
            f"  {one.kind:<28} {one.tokens:>9.0f}  {one.plausibility.mean:+.3f}  {one.repetition.mean:.3f}  "
            f"{one.compression.mean:.3f}  {one.variety.mean:.3f}"
        )
    return [*lines, ""]
