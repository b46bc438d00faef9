"""``winnow lookahead``: the study, and by their names the questions about planning and about words."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import click

from winnow.cli.options import store_option, warnings_in_a_line

QUESTIONS = {  # said here, so that help is instant; each in a file of its own, cli/lookahead_NAME.py
    "articles": "Does it plan? The article before a noun that is still open, the line before its rhyme.",
    "words": "Does its left-to-right choice segment unspaced text?",
}


class Lookahead(click.Command):
    """A command whose first word may name another question about looking ahead."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> click.Context:
        if args and args[0] in QUESTIONS:
            name = args[0]
            command = getattr(importlib.import_module(f"winnow.cli.lookahead_{name}"), name)
            assert isinstance(command, click.Command)
            return command.make_context(f"{info_name} {name}", args[1:], parent=parent, **extra)
        return super().make_context(info_name, args, parent=parent, **extra)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Other questions (winnow lookahead NAME --help)"):
            formatter.write_dl([(f"{name} MODEL", text) for name, text in QUESTIONS.items()])


class Numbers(click.ParamType[tuple[float, ...]]):
    """Numbers with commas between them; "none" is no number."""

    name = "NUMBERS"

    def __init__(self, kind: type[int] | type[float]) -> None:
        self.kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return tuple(self.kind(part) for part in value.split(",")) if value != "none" else ()
        except ValueError:
            whole = "whole numbers" if self.kind is int else "numbers"
            self.fail(f"{value!r} is not {whole} with commas between them", param, ctx)


@click.command(cls=Lookahead)
@click.argument("model", metavar="MODEL")
@click.argument("texts", metavar="TEXT...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--model", "more", multiple=True, help="A further model to read the same texts, such as a checkpoint.")
@click.option("--width", type=Numbers(int), default="2,4,8", show_default=True, help="Widths of the beams.")
@click.option("--depth", type=int, default=6, show_default=True, help="Depth of the beams; smaller ones come with it.")
@click.option(
    "--average", type=Numbers(float), default="0,0.5,1,2", show_default=True, help="Exponents of (3); 0 counts beams."
)
@click.option(
    "--power", type=Numbers(float), default="0.5,0.75,1.5,3", show_default=True, help="Powers of (5), or none."
)
@click.option("--future-depth", type=int, default=3, show_default=True, help="Depth of (5).")
@click.option("--futures", type=int, default=4, show_default=True, help="Futures a first token in (5).")
@click.option("--stride", type=int, default=8, show_default=True, help="(5) at every so many positions.")
@click.option("--weight", type=Numbers(float), default="none", help="Fixed weights to report beside the fitted one.")
@click.option("--max-tokens", type=int, help="Read at most so many tokens of the texts.")
@click.option(
    "--overlap", type=int, help="Tokens of context that stretches of a long text share. Default: three quarters."
)
@click.option("--horizon", type=int, default=12, show_default=True, help="Tokens of the horizon curve; 0 for none.")
@click.option(
    "--write",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Write N texts, naive and amplified, and compare them.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Names the halves and all that is drawn.")
@click.option(
    "--show", type=click.IntRange(min=0), default=12, show_default=True, help="Settings to print, the best first."
)
@click.option("--max-requests", type=int, help="Stop after so many requests: exit code 3, what is answered is kept.")
@click.option("--max-seconds", type=float, help="Stop after so long.")
@click.option("--device", default=None, help="Where a local model runs: cpu, cuda, mps.")
@click.option("--batch-size", type=int, default=None, help="Rows a local model takes at once.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a model on stdout, all else on stderr.")
@store_option
@click.option("--no-store", is_flag=True, help="Keep nothing: an interrupted study begins anew.")
def lookahead(model: str, texts: tuple[Path, ...], more: tuple[str, ...], **options: Any) -> None:
    """Does looking ahead raise the plausibility of real text? MODEL reads TEXT, naive and amplified.

    Everything is fitted on one half of the text and reported on the other. The rival of every amplified model is the naive
    model with temperature and truncation fitted on the same half; the headline is the gain beyond it. Files .csv and .jsonl
    hold a document a record, in a column "text"; any other file is one document.

    \b
    winnow lookahead bundled text.txt --width 2,4,8 --depth 6
    winnow lookahead path/to/first path/to/text.txt --model path/to/second --json
    """
    from winnow.cli.lookahead_screen import LookaheadScreen, page
    from winnow.lookahead.settings import StudySettings
    from winnow.models.load import load
    from winnow.ports.program import Limits
    from winnow.runs.store import default_url
    from winnow.study import compare_written, lookahead
    from winnow.values.records import to_json

    as_json, num_written, show = options["as_json"], options["write"], options["show"]
    settings = StudySettings(
        widths=options["width"],
        depth=options["depth"],
        averages=options["average"],
        powers=options["power"],
        future_depth=options["future_depth"],
        num_futures=options["futures"],
        stride=options["stride"],
        weights=options["weight"],
        horizon=options["horizon"],
        seed=options["seed"],
    )
    local = {name: value for name in ("device", "batch_size") if (value := options[name]) is not None}
    with warnings_in_a_line():
        for name in (model, *more):
            screen = LookaheadScreen()
            try:
                found = lookahead(
                    loaded := load(name, **local),
                    texts,
                    settings=settings,
                    name=name,
                    max_tokens=options["max_tokens"],
                    overlap=options["overlap"],
                    limits=Limits(max_requests=options["max_requests"], max_seconds=options["max_seconds"]),
                    observer=screen,
                    store=None if options["no_store"] else options["store"] or default_url(),
                )
                written = compare_written(found, loaded, num=num_written) if num_written else []
            finally:
                screen.close()
            if as_json:
                click.echo(to_json({**found.record(), "written": [one.record() for one in written]}))
            else:
                click.echo(page(found, written, show=show))
