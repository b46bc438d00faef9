"""``winnow ask``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("question", nargs=-1, required=True)
@click.option(
    "--context", required=True, type=click.Path(path_type=Path), help="A directory that winnow adapt --out has written."
)
@click.option("--model", help="Another model than the one the context was made with.")
@click.option("--temperature", type=float, help="Sampling temperature; 0 is greedy. Default: as the context was made.")
@click.option(
    "--num-answers", "-n", type=click.IntRange(min=1), default=1, show_default=True, help="Answers to each question."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Names the random numbers.")
def ask(
    question: tuple[str, ...], context: Path, model: str | None, temperature: float | None, num_answers: int, seed: int
) -> None:
    """Answer QUESTIONs in a context that adapt has made: one line an answer.

    \b
    winnow ask --context my_run "What is the capital of Ralvok?"
    """
    import numpy as np

    from winnow.adaption.context import Context
    from winnow.loading import load
    from winnow.ports.program import ask as ask_model
    from winnow.ports.program import run
    from winnow.ports.requests import Complete
    from winnow.values.random import Key

    made, settings = Context.load(context)
    language_model = load(model or settings["model"])
    asked = [query for query in question for _ in range(num_answers)]
    request = Complete(
        prompts=tuple(made.prompt(query, chat=language_model.chat) for query in asked),
        slots=np.arange(len(asked)),
        key=Key(seed).child("ask"),
        max_tokens=settings["max_tokens"],
        stop=tuple(settings["stop"]),
        temperature=settings["temperature"] if temperature is None else temperature,
        top_p=settings["top_p"],
    )
    for text in run(ask_model(request), language_model).text:
        click.echo(text.strip())
