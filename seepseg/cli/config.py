"""seepseg config: what a config means, and what keys there are."""

from __future__ import annotations

import json
from pathlib import Path

import click

from seepseg.cli.options import config_argument, override_option


@click.group()
def command() -> None:
    """Show configs."""


@command.command()
@config_argument
@override_option
def show(config: Path, overrides: tuple[str, ...]) -> None:
    """CONFIG with every default filled in, as YAML."""
    from seepseg.config import dump, load

    click.echo(dump(load(config, overrides)), nl=False)


@command.command()
def schema() -> None:
    """Every key, its type and its default, as JSON Schema."""
    from seepseg.config import Config

    click.echo(json.dumps(Config.model_json_schema(), indent=1))
