"""seepseg config: the recipes that are shipped, what a config means, and what keys there are."""

from __future__ import annotations

import json
from pathlib import Path

import click

from seepseg.cli.options import config_argument, override_option


@click.group()
def command() -> None:
    """List and show configs."""


@command.command("list")
def list_() -> None:
    """The shipped recipes: name and purpose. Commands find them by name from any folder."""
    from seepseg.config import purpose, recipes

    for name, path in recipes().items():
        click.echo(f"{name:26}{purpose(path)}")


@command.command()
@config_argument
@override_option
def show(config: Path, overrides: tuple[str, ...]) -> None:
    """CONFIG with every default filled in, as YAML."""
    from seepseg.config import dump, load

    click.echo(dump(load(config, overrides)), nl=False)


@command.command()
def schema() -> None:
    """Every key, its type, its default and what it means, as JSON Schema."""
    from seepseg.config.described import json_schema

    click.echo(json.dumps(json_schema(), indent=1))
