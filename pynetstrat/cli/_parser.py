"""The parser of all commands. A command that starts without argparse does not load this module."""

from __future__ import annotations

import argparse
import contextlib
import io

from .. import __version__
from ._exit import EndError
from ._output import write_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import Any

    from ._arguments import Arguments

_HELP = """\
examples:
  pynetstrat demo                            try it out; changes nothing on this
                                             host
  pynetstrat up                              bring lo up
  pynetstrat up eth0 --pid 4711              bring eth0 up, in the namespace of
                                             process 4711
  pynetstrat stats --netns blue              counters of every interface in
                                             /run/netns/blue
  pynetstrat top                             rates of all containers, live
  pynetstrat run -- make test                run a program without a network

exit status:
  0      success
  1      failure; standard error has the reason in one line
  2      wrong usage
  130    after Ctrl-C
  141    the reader of standard output has closed the pipe
  "run" ends with the status of the program, "network check" with 1 if it finds
  a difference

"pynetstrat COMMAND --help" describes a command.
"""


def parse(
    arguments: Sequence[str], commands: Mapping[str, str], load: Callable[[str], Any]
) -> argparse.Namespace:
    """Parses the arguments of the program.

    Parameters:
        arguments: the command and its arguments.
        commands: a summary of each command.
        load: returns the module of a command.

    Returns:
        The values, and in addition `run`, the function of the command, and `parser`, its parser.

    Raises:
        EndError: help was requested, or the usage is wrong, which standard error reports.
    """
    # No option before the command takes a value, so the first name of a command is the command.
    chosen = [word for word in arguments if word in commands][:1]
    parser = build_parser(chosen, commands, load)
    if not arguments:
        raise EndError("", 0, parser.format_help())
    printed, complaint = io.StringIO(), io.StringIO()
    try:
        # argparse would ignore a full standard output, and write to standard output in place of a
        # closed standard error.
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(complaint):
            options, unknown = parser.parse_known_args(arguments)
            if unknown:
                options.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    except SystemExit as end:  # after --help and --version, and for wrong usage
        write_error(complaint.getvalue())
        raise EndError("", int(end.code or 0), printed.getvalue()) from None
    return options


def build_parser(
    complete: Collection[str], commands: Mapping[str, str], load: Callable[[str], Any]
) -> argparse.ArgumentParser:
    """Returns the parser of all commands.

    Parameters:
        complete: the commands that get their arguments, which loads the module of each. Others
            have a name and a summary.
        commands, load: as for `parse`.
    """
    parser = argparse.ArgumentParser(
        prog="pynetstrat",
        description="Set up the networks of containers, and read the counters of interfaces.",
        epilog=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"pynetstrat {__version__}",
        help="print the version and exit",
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in commands.items():
        command = subparsers.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name in complete:
            module = load(name)
            if hasattr(module, "ARGUMENTS"):
                command.epilog = module.HELP
                add_table(command, module.ARGUMENTS)
            else:
                module.add_arguments(command)
            command.set_defaults(run=module.run, parser=command)
    return parser


def add_table(parser: argparse.ArgumentParser, table: Arguments) -> None:
    """Declares the arguments of a table."""
    for name, given in table.items():
        settings = dict(given)
        if "type" in settings:
            settings["type"] = _with_reason(settings["type"])
        parser.add_argument(name, **settings)


def _with_reason(convert: Callable[[str], Any]) -> Callable[[str], Any]:
    """Makes argparse show the text of a ValueError."""

    def converted(text: str) -> Any:
        try:
            return convert(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return converted
