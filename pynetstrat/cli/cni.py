"""`pynetstrat cni`: a CNI plugin, which reads the environment and standard input alone."""

from __future__ import annotations

from ..cni import plugin
from ._exit import EndError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

_HELP = """\
A container runtime runs this with CNI_COMMAND and so on in the environment, and
the network configuration on standard input. "pynetstrat cni-install DIR" writes
the program that it looks for. docs/runtimes.md has examples.

exit status: 0 success, 1 failure, with the error as JSON on standard output"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares that the command has no arguments."""
    parser.epilog = _HELP


def run(options: argparse.Namespace) -> str:
    """Runs the command in CNI_COMMAND."""
    if status := plugin.main():
        raise EndError("", status)
    return ""
