"""The reference of the command line, as Markdown, from what click knows of it: the text of every `--help`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

from seepseg.cli.main import cli


def command_reference() -> str:
    """A section per command: what it does, how it is called, and a table of its options."""
    return "\n".join(_sections(cli, click.Context(cli, info_name="seepseg")))


def _sections(command: click.Command, context: click.Context) -> Iterator[str]:
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child
            yield from _sections(child, click.Context(child, parent=context, info_name=name))
        return
    yield f"## {context.command_path}\n"
    yield "```\n" + " ".join([context.command_path, *command.collect_usage_pieces(context)]) + "\n```\n"
    yield from _text(inspect.cleandoc(command.help or ""))
    records = [option.get_help_record(context) for option in command.get_params(context)]
    yield "| option | |\n|---|---|"
    for names, meaning in (record for record in records if record and record[1] and "--help" not in record[0]):
        yield f"| {_code(names)} | {_prose(meaning)} |"
    yield ""


def _text(help_text: str) -> Iterator[str]:
    r"""Paragraphs of a help text; what follows \b keeps its lines."""
    for paragraph in help_text.split("\n\n"):
        if paragraph.startswith("\b\n"):
            yield "```\n" + paragraph.removeprefix("\b\n") + "\n```\n"
        else:
            yield _prose(paragraph.replace("\n", " ")) + "\n"


def _code(names: str) -> str:
    return "`" + names.replace("|", r"\|") + "`"


def _prose(text: str) -> str:
    """Text of a terminal as Markdown: what is in angle brackets, and what looks like an option, is code."""
    parts = text.replace("|", r"\|").split("`")
    parts[::2] = [re.sub(r"(?<!\w)(\S*<\w+>[\w.]*|--[a-z][\w-]*)", r"`\1`", part) for part in parts[::2]]
    return "`".join(parts)
