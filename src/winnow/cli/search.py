"""``winnow search``: one command a search, its options read from the search's own signature and docstring."""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from winnow.cli.options import limit_options, take_limits, warnings_in_a_line

if TYPE_CHECKING:
    from winnow.cli.search_screen import SearchScreen
    from winnow.runs.store import Store
    from winnow.search.call import Search
    from winnow.search.result import Result

SEARCHES = {  # said here, so that help is instant
    "beam": "The most probable continuations, pruned to a width at each step.",
    "best-of-n": "Sample completions and keep the one the evaluator scores highest.",
    "evolve": "A population of whole texts, mutated by a masked model, recombined and selected.",
    "mcts": "Monte Carlo tree search: the model as prior, a value of where a text is going.",
    "smc": "A cloud of particles that writes, is weighed and is resampled.",
}
FORMULAS = ("regex", "lark", "json_schema")


class Searches(click.Group):
    """A group of the built-in searches, those of other packages, and any ``module:name``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(SEARCHES)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Searches"):
            formatter.write_dl([*SEARCHES.items(), ("MODULE:NAME", "Your own: a function of a Problem and settings.")])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from winnow.search.call import named

        return command_of(cmd_name, named(cmd_name))


@click.group(cls=Searches)
def search() -> None:
    """Search for continuations of a prompt.

    \b
    winnow search beam --model bundled "The capital of Ralvok is"
    winnow search smc --model bundled --power 4 --particles 128 "Once"
    winnow search best-of-n --model bundled --evaluator 'verifier regex="owl"' --prompts prompts.txt --json
    winnow search evolve --model bundled --trace tree.html "A ___ sat on the ___."
    """


def command_of(name: str, program: Search) -> click.Command:
    """The command of one search."""
    from winnow.search.call import settings_of

    settings = settings_of(program)
    about = inspect.getdoc(program) or ""
    options = [_option(key, parameter, _help(about, key)) for key, parameter in settings.items()]
    summary = re.split(r"\n\s*Parameters\n", about)[0].strip()

    def call(**given: Any) -> int:
        return _search(name, {key: given.pop(key) for key in settings}, given)

    command: Callable[..., Any] = call
    for decorate in reversed([*_common(), limit_options]):
        command = decorate(command)
    made = click.command(name=name, help=summary)(command)
    made.params = [*made.params[:1], *options, *made.params[1:]]  # the search's own before what all share
    return made


def _common() -> list[Callable[..., Any]]:
    return [
        click.argument("prompt", required=False),
        click.option("--prompts", type=click.Path(path_type=Path), help="One prompt a line, or a column 'prompt'."),
        click.option(
            "--model", required=True, help="'bundled', a directory, a hub id, or one with a search: bundled+beam:8."
        ),
        click.option("--masked", help="A masked model for evolve. Default there: bundled."),
        click.option(
            "--evaluator", help="survey | verifier regex=... | verifier module:function | likelihood | person."
        ),
        click.option("--query", help="What the evaluator is told the text answers. Default: the prompt."),
        click.option("--regex", help="Write only what matches this whole, from the prompt's end to the text's."),
        click.option("--lark", type=click.Path(path_type=Path), help="Write only what this grammar file allows."),
        click.option("--json-schema", type=click.Path(path_type=Path), help="Write only JSON of this schema."),
        click.option("--seed", type=int, default=0, show_default=True, help="Names the random numbers."),
        click.option("--show", type=click.IntRange(min=1), default=5, show_default=True, help="Texts to print."),
        click.option("--json", "as_json", is_flag=True, help="One JSON object a prompt on stdout, all else on stderr."),
        click.option("--trace", type=click.Path(path_type=Path), help="Draw what was searched into this HTML file."),
        click.option("--store", metavar="URL", help="Keep each search here as one entry, and answer from it."),
        click.option("--device", default=None, help="Where a local model runs: cpu, cuda, mps."),
        click.option("--batch-size", type=int, default=None, help="Rows a local model takes at once."),
    ]


def _option(name: str, parameter: inspect.Parameter, text: str) -> click.Option:
    flag = "--" + name.replace("_", "-")
    default = None if parameter.default is inspect.Parameter.empty else parameter.default
    required = parameter.default is inspect.Parameter.empty
    if isinstance(default, bool):
        return click.Option([f"{flag}/--no-{flag[2:]}"], default=default, help=text)
    if isinstance(default, tuple):
        return click.Option([flag], multiple=True, help=text)
    kind = type(default) if default is not None else parameter.annotation
    return click.Option(
        [flag],
        type=kind if kind in (int, float, str) else str,
        default=default,
        required=required,
        show_default=default is not None,
        help=text,
    )


def _help(about: str, name: str) -> str:
    """What a docstring says of a parameter."""
    found = re.search(rf"^{name} : (.*(?:\n    .*)*)", about, re.MULTILINE)
    text = " ".join(found.group(1).split()) if found else ""
    return f"{text[:1].upper()}{text[1:]}"


def _search(name: str, settings: dict[str, Any], options: dict[str, Any]) -> int:
    from winnow.cli.search_screen import SearchScreen
    from winnow.loading import load
    from winnow.values.errors import InputError

    prompts = _prompts(options.pop("prompt"), options.pop("prompts"))
    model_name, out, as_json, show = (options.pop(key) for key in ("model", "trace", "as_json", "show"))
    if out is not None and len(prompts) > 1:
        raise InputError("draws one prompt's search", where="--trace", remedy="give one prompt")
    formulas = {key: value for key in FORMULAS if (value := options.pop(key)) is not None}
    local = {key: value for key in ("device", "batch_size") if (value := options.pop(key)) is not None}
    screen = SearchScreen(take_limits(options, model_name))
    masked, store = options.pop("masked") or ("bundled" if name == "evolve" else None), options.pop("store")
    worst = 0
    with warnings_in_a_line(), _opened(store) as kept_in:
        model: Any = load(model_name, **local)
        options["masked"] = None if masked is None else _masked(masked)
        if formulas:
            model = _grammar(model, formulas)
        for number, prompt in enumerate(prompts):
            record, code = _one(name, model, prompt, settings, options, screen=screen, store=kept_in, out=out)
            _print(record, prompt, as_json=as_json, show=show, title=len(prompts) > 1)
            if record["stop"]:
                click.echo(f"winnow: {record['stop']}; the best so far is shown", err=True)
            worst = max(worst, code)
            if code == 130 or (code and number + 1 < len(prompts)):
                break
    return worst


def _one(
    name: str,
    model: Any,
    prompt: str,
    settings: dict[str, Any],
    options: dict[str, Any],
    *,
    screen: SearchScreen,
    store: Store | None,
    out: Path | None,
) -> tuple[dict[str, Any], int]:
    """The record of one prompt's search, from the store if it is there, and the exit code."""
    from winnow.ports.requests import Search, Searched
    from winnow.runs.kept import Kept
    from winnow.search.call import SearchStopped, judge_of
    from winnow.search.call import search as search_one
    from winnow.search.searching import identity_of
    from winnow.values.records import to_json

    judge = judge_of(options["evaluator"], model, prompt)
    kept = None if store is None else Kept(store, identity_of(model, name, settings, judge, options["masked"]))
    asked = Search(prompt=prompt, seed=options["seed"], query=options["query"])
    known = None if kept is None or out is not None else kept.recall(asked)  # a drawing needs the search itself
    if known is not None:
        click.echo("winnow: searched before; this is what the store holds", err=True)
        return dict(json.loads(known.record)), 0
    code = 0
    try:
        more = {**options, "evaluator": judge, **settings}
        result = search_one(model, prompt, name, limits=screen.begin(), observer=screen, **more)
        code = 130 if result.stop == "interrupted" else 3 if result.stop else 0
    except SearchStopped as stopped:
        result, code = stopped.partial, stopped.exit_code
    finally:
        screen.close()
    if out is not None:
        _draw(result, out)
    record = result.record()
    if kept is not None and not code:
        kept.keep(asked, Searched(record=to_json(record), cost=result.cost))
    return record, code


@contextmanager
def _opened(url: str | None) -> Iterator[Store | None]:
    from winnow.runs.store import Store

    if url is None:
        yield None
        return
    with Store(url) as store:
        yield store


def _masked(name: str) -> Any:
    from winnow.models.masked import load_masked

    return load_masked(name)


def _prompts(one: str | None, file: Path | None) -> list[str]:
    from winnow.values.errors import InputError
    from winnow.values.records import read_column

    if (one is None) == (file is None):
        raise InputError("give a PROMPT or --prompts FILE, one of the two", where="search")
    return [one] if one is not None else [text for _, text in read_column(file or Path(), "prompt")]


def _grammar(model: Any, formulas: dict[str, Any]) -> Any:
    from winnow.models.grammar import Grammar
    from winnow.values.errors import InputError
    from winnow.values.records import read_text

    if len(formulas) > 1:
        raise InputError("give one of --regex, --lark and --json-schema", where="search")
    ((kind, value),) = formulas.items()
    text = value if kind == "regex" else read_text(value)
    return Grammar(model, text, kind=kind.removesuffix("_schema"))


def _print(record: dict[str, Any], prompt: str, *, as_json: bool, show: int, title: bool) -> None:
    from winnow.values.records import to_json

    if as_json:
        click.echo(to_json({"prompt": prompt, **record}))
        return
    if title:
        click.echo(f"> {prompt}")
    times = Counter(row["text"] for row in record["individuals"])
    different = list({row["text"]: row for row in reversed(record["individuals"])}.values())[::-1]
    for row in different[:show]:
        numbers = [f"{row[key]:9.3f}" if row[key] is not None else f"{'-':>9}" for key in ("logprob", "rank")]
        end = "" if row["finished"] else " …"
        many = f"  ×{times[row['text']]}" if times[row["text"]] > 1 else ""
        click.echo(f"{' '.join(numbers)}  {row['text']!r}{end}{many}")
    if len(different) > show:
        click.echo(f"({len(different) - show} more; --show {len(different)})")
    for key in ("vote", "divergence_bound", "divergence", "log_evidence"):
        if record.get(key) is not None:
            value = record[key]
            click.echo(f"{key.replace('_', ' ')}: {value:.4f}" if isinstance(value, float) else f"{key}: {value!r}")
    cost = record["cost"]
    click.echo(
        f"cost: {cost['calls']} calls, {cost['prompt_tokens']:,} prompt and {cost['new_tokens']:,} new tokens",
        file=sys.stderr,
    )


def _draw(result: Result, out: Path) -> None:
    from winnow.report.trace import trace_page
    from winnow.search.trace import trace
    from winnow.values.records import write_text

    assert result.problem is not None
    write_text(out, trace_page(trace(result, result.problem)))
    click.echo(f"drawn: {out}", err=True)
