"""``winnow models``."""

from __future__ import annotations

import click


@click.group()
def models() -> None:
    """List models, and show what is known of one."""


@models.command("list")
def list_() -> None:
    """The names --model takes."""
    click.echo("bundled          a small model organism of a synthetic world, shipped with Winnow; its truth is known")
    click.echo("path/to/model    a directory with a transformers causal model (safetensors)")
    click.echo("owner/name       a model on the hub, where the hub can be reached")


@models.command()
@click.argument("name", default="bundled")
def show(name: str) -> None:
    """Print a model's card: how it was made, what it can do, every figure with its n and interval."""
    from winnow.models.load import describe

    click.echo(describe(name))
