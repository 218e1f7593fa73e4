"""The command line: `pynetstrat`, or `python -m pynetstrat`.

A command is one line of COMMANDS and one module of the same name in this folder ("-" becomes "_").
The module is loaded only if its command is run. It has two functions:

    add_arguments(parser)   declares the command's arguments
    run(options)            does the work; returns the text for standard output, or yields it in
                            parts

A command that is started for each container has to start fast. In place of `add_arguments` it has
a table, ARGUMENTS, and a text, HELP. Then argparse is loaded only for help and for errors
(`_arguments`).

A module that starts with an underscore is no command. `_stats_*` belongs to `stats` and `top`,
`_top_*` to `top`, and `_exporter_*` to `exporter` (`top` reads its file of labels); several
commands use the others.
"""

from __future__ import annotations

import sys

from ..errors import NetstratError, escape
from . import _arguments
from ._exit import EndError, UsageError
from ._output import OutputError, describe, write, write_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

COMMANDS = {
    "up": "bring an interface up",
    "down": "take an interface down",
    "stats": "show the counters of interfaces, or their rates",
    "top": "show the traffic of every container, live",
    "strategies": "list the network types and where each strategy comes from",
    "run": "run a program in a network namespace",
    "network": "set up, tear down or check the networks of a container",
    "egress": "let containers reach beyond their host; show published ports",
    "oci-hook": "set up the networks of a container, as a hook of an OCI runtime",
    "cni": "attach a container to a network, as a CNI plugin",
    "cni-install": "write the program that CNI runtimes look for",
    "exporter": "serve the traffic of every container to Prometheus",
    "diagnose": "show what this machine allows, and what to change",
    "demo": "bring lo up and wire a container, in namespaces made for it",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns the exit status. Without arguments it prints the help.

    Parameters:
        arguments: the command and its arguments. None stands for those of the process.
    """
    try:
        return _run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        return 128 + 2  # SIGINT; `signal` would have to be loaded


def _run(arguments: Sequence[str]) -> int:
    try:
        options = _parse(arguments)
        try:
            output = options.run(options)
            for text in [output] if isinstance(output, str) else output:
                if status := _print(text):
                    return status
        except UsageError as error:
            parser = _parse_slowly(arguments).parser
            usage, program = parser.format_usage(), parser.prog
            write_error(f"{usage}{program}: error: {escape(str(error))}\n")
            return 2
    except EndError as end:
        return _print(end.text) or (_fail(end.reason, end.status) if end.reason else end.status)
    except (NetstratError, OSError) as error:
        return _fail(describe(error))
    return 0


def _parse(arguments: Sequence[str]) -> Any:
    """Returns the values of the arguments, and as `run` the function of the command."""
    if arguments and arguments[0] in COMMANDS:
        module = load(arguments[0])
        table = getattr(module, "ARGUMENTS", None)
        options = None if table is None else _arguments.read(table, arguments[1:])
        if options is not None:
            options.run = module.run
            return options
    return _parse_slowly(arguments)


def _parse_slowly(arguments: Sequence[str]) -> Any:
    """As `_parse`; the values include the command's parser of argparse, as `parser`."""
    return _import("_parser").parse(arguments, COMMANDS, load)


def load(command: str) -> Any:
    """Returns the module of a command."""
    return _import(command.replace("-", "_"))


def _import(name: str) -> Any:
    # Not importlib.import_module: `importlib` takes a millisecond to load.
    return __import__(name, globals(), level=1, fromlist=["run"])


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
