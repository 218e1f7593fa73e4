"""`pynetstrat cni`: a CNI plugin, which reads the environment and standard input alone."""

from __future__ import annotations

from ..cni import plugin
from ._exit import EndError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import SimpleNamespace

    from ._arguments import Arguments

HELP = """\
A container runtime runs this with CNI_COMMAND and so on in the environment, and
the network configuration on standard input. "pynetstrat cni-install DIR" writes
the program that it looks for. docs/runtimes.md has examples.

exit status: 0 success, 1 failure, with the error as JSON on standard output"""
ARGUMENTS: Arguments = {}


def run(options: SimpleNamespace) -> str:
    """Runs the command in CNI_COMMAND."""
    if status := plugin.main():
        raise EndError("", status)
    return ""
