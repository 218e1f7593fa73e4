"""The command line: `pynetstrat`, and `python -m pynetstrat`.

A command is one line in COMMANDS and one module of its name here (`-` as `_`), loaded only when it
is the command. The module has two functions:

    add_arguments(parser)   declares the command's arguments
    run(options) -> str     does the work and returns the text for standard output, or yields it in
                            pieces where it goes on; EndError (outcome.py) is for those that end in
                            another way

What several commands share is in options.py, outcome.py, output.py, text.py, table.py and
uncounted.py; readings.py and watch.py belong to stats, endpoint.py to exporter.
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
from .exit import EndError
from .output import OutputError, discard, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "up": "bring an interface up",
    "down": "take an interface down",
    "stats": "show counters, or their rates",
    "strategies": "list the strategies, plug-ins included",
    "run": "run a command in a network namespace",
    "network": "set networks up, tear them down, check them",
    "oci-hook": "wire a container, as a hook of an OCI runtime",
    "exporter": "serve the containers' traffic to Prometheus",
    "diagnose": "show what is allowed here, and what is not",
    "demo": "see it work, in namespaces of its own",
}

_EXAMPLES = """\
examples:
  pynetstrat up                              bring lo up in this network namespace
  pynetstrat up --netns blue                 ... in the namespace /run/netns/blue
  pynetstrat up eth0 --pid 4711              ... eth0, in the namespace of process 4711
  pynetstrat stats                           the counters of every interface
  pynetstrat stats eth0 --perspective container --json
  pynetstrat stats --containers --watch 1    the rates of every container, each second
  pynetstrat run -- make test                ... without a network but lo
  pynetstrat exporter                        every container's traffic, for Prometheus
  pynetstrat demo                            see it work, in a namespace of its own

exit status: 0 done, 1 failed (one line on standard error says why), 2 wrong usage
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns the exit status.

    Parameters:
        arguments: the command and its arguments; None: those of the process.
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
            # argparse alone would ignore a full stream, and use the other in place of a closed one.
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(complaint):
                options = parser.parse_args(arguments)
        except SystemExit as end:  # after --help and --version, or for wrong usage
            _complain(complaint.getvalue())
            return _print(printed.getvalue()) or int(end.code or 0)
        said = options.run(options)
        for text in [said] if isinstance(said, str) else said:
            if status := _print(text):
                return status
    except EndError as end:
        return _print(end.text) or (_fail(end.reason, end.status) if end.reason else end.status)
    except (NetstratError, OSError) as error:
        return _fail(str(error))
    return 0


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of all commands; only that of the command to be run knows its arguments."""
    parser = argparse.ArgumentParser(
        prog="pynetstrat",
        description="Wire containers by rtnetlink, and read the counters of their interfaces.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pynetstrat {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    # No option before the command takes a value: the first word that is a command is the command.
    chosen = next((word for word in arguments if word in COMMANDS), None)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        if name == chosen:
            module = import_module("." + name.replace("-", "_"), __name__)
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser


# ---- standard output and standard error: None where they were closed before Python began ----


def _print(text: str) -> int:
    """Writes to standard output, and returns the exit status."""
    try:
        write(text)
    except OutputError as error:
        return error.status if error.is_broken_pipe else _fail(str(error))
    return 0


def _fail(reason: str, status: int = 1) -> int:
    _complain(f"pynetstrat: {escape(reason)}\n")
    return status


def _complain(text: str) -> None:
    """Writes to standard error; where that is not possible, the exit status must do."""
    if sys.stderr is None:  # print() would write to standard output
        return
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        discard(sys.stderr)
