"""The command line: `pynetstrat`, or `python -m pynetstrat`.

A command is one line of COMMANDS and one module of the same name in this folder ("-" becomes "_").
The module is loaded only if its command is run. It has two functions:

    add_arguments(parser)   declares the command's arguments
    run(options)            does the work; returns the text for standard output, or yields it in
                            parts

A module that starts with an underscore is no command. `_stats_*` belongs to `stats` and `top`,
`_top_*` to `top`, and `_exporter_*` to `exporter` (`top` reads its file of labels); several
commands use the others.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import signal
import sys
from importlib import import_module

from .. import __version__
from ..errors import NetstratError, escape
from ._exit import EndError, UsageError
from ._output import OutputError, write, write_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "up": "bring an interface up",
    "down": "take an interface down",
    "stats": "show the counters of interfaces, or their rates",
    "top": "show the traffic of every container, live",
    "strategies": "list the network types and where each strategy comes from",
    "run": "run a program in a network namespace",
    "network": "set up, tear down or check the networks of a container",
    "oci-hook": "set up the networks of a container, as a hook of an OCI runtime",
    "exporter": "serve the traffic of every container to Prometheus",
    "diagnose": "show what this machine allows, and what to change",
    "demo": "bring lo up and wire a container, in namespaces made for it",
}

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns the exit status.

    Parameters:
        arguments: the command and its arguments. None stands for those of the process.
    """
    try:
        return _run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _run(arguments: Sequence[str]) -> int:
    try:
        parser = _parser(arguments)
        printed, complaint = io.StringIO(), io.StringIO()
        try:
            # argparse would ignore a full standard output, and write to standard output in place
            # of a closed standard error.
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(complaint):
                options, unknown = parser.parse_known_args(arguments)
                if unknown:
                    options.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
        except SystemExit as end:  # after --help and --version, and for wrong usage
            write_error(complaint.getvalue())
            return _print(printed.getvalue()) or int(end.code or 0)
        try:
            output = options.run(options)
            for text in [output] if isinstance(output, str) else output:
                if status := _print(text):
                    return status
        except UsageError as error:
            usage, program = options.parser.format_usage(), options.parser.prog
            write_error(f"{usage}{program}: error: {escape(str(error))}\n")
            return 2
    except EndError as end:
        return _print(end.text) or (_fail(end.reason, end.status) if end.reason else end.status)
    except (NetstratError, OSError) as error:
        return _fail(str(error))
    return 0


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Returns the parser of all commands, with the arguments only of the command to be run."""
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
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    # No option before the command takes a value, so the first name of a command is the command.
    chosen = next((word for word in arguments if word in COMMANDS), None)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name == chosen:
            module = import_module("." + name.replace("-", "_"), __name__)
            module.add_arguments(command)
            command.set_defaults(run=module.run, parser=command)
    return parser


def _print(text: str) -> int:
    """Writes text to standard output and returns the exit status."""
    try:
        write(text)
    except OutputError as error:
        return error.status if error.is_broken_pipe else _fail(str(error))
    return 0


def _fail(reason: str, status: int = 1) -> int:
    write_error(f"pynetstrat: {escape(reason)}\n")
    return status
