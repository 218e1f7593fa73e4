"""The commands of pynetstrat with their arguments, read from its parser."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from pynetstrat.cli import COMMANDS, load
from pynetstrat.cli._parser import build_parser


@dataclass(frozen=True)
class Argument:
    """An option, or a positional argument, which has no names."""

    names: tuple[str, ...]
    value: str | None  # as the help shows it; None: an option without a value
    choices: tuple[str, ...]
    help: str
    nargs: str | int | None


@dataclass(frozen=True)
class Command:
    """A command, an action of a command, or pynetstrat itself, whose path is empty."""

    path: tuple[str, ...]
    summary: str
    usage: str
    epilog: str
    arguments: tuple[Argument, ...]
    commands: tuple[Command, ...]

    @property
    def name(self) -> str:
        """The words of the path."""
        return " ".join(self.path)

    def walk(self) -> list[Command]:
        """This command and all below it."""
        return [self, *(found for command in self.commands for found in command.walk())]


def read_commands() -> Command:
    """Returns pynetstrat itself, which has all commands."""
    return _read(build_parser(COMMANDS, COMMANDS, load), ())


def _read(parser: argparse.ArgumentParser, path: tuple[str, ...]) -> Command:
    # How argparse wraps a usage depends on its version; one long line is the same in each.
    formatter = argparse.RawDescriptionHelpFormatter(prog=parser.prog, width=10_000)
    formatter.add_usage(parser.usage, parser._actions, parser._mutually_exclusive_groups, "")
    usage = " ".join(formatter.format_help().split())
    arguments, commands = [], []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            commands += [_read(below, (*path, name)) for name, below in action.choices.items()]
            continue
        choices = tuple(map(str, action.choices or ()))
        value = action.metavar or f"{{{','.join(choices)}}}"
        assert isinstance(value, str)
        arguments.append(
            Argument(
                tuple(action.option_strings),
                None if action.nargs == 0 else value,
                choices,
                formatter._expand_help(action),
                action.nargs,
            )
        )
    return Command(
        path,
        parser.description or "",
        usage,
        parser.epilog or "",
        tuple(arguments),
        tuple(commands),
    )
