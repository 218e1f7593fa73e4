"""The commands of the plugin. A runtime starts it for each, and it keeps no state of its own."""

from __future__ import annotations

import json
import os
import sys

from ..errors import NetstratError
from ._add import add
from ._check import check, status
from ._delete import collect, delete
from ._error import INTERNAL, CniError, to_cni_error
from ._request import VERSIONS, Request
from ._result import to_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


def main() -> int:
    """Runs the command of the environment. Returns the exit status."""
    # Without a command, standard input may be a terminal: a read would wait.
    text = _read_standard_input() if os.environ.get("CNI_COMMAND") else b""
    status, answer = call(os.environ, text)
    output = answer.encode()
    try:
        while output:
            output = output[os.write(1, output) :]
    except OSError:  # the runtime does not know what was made, and has to call DEL
        return 1
    return status


def _read_standard_input() -> bytes:
    try:
        return b"".join(iter(lambda: os.read(0, 1 << 16), b""))
    except OSError:  # it is closed: reported as an empty configuration
        return b""


def call(environment: Mapping[str, str], text: bytes) -> tuple[int, str]:
    """Runs a command.

    Parameters:
        environment: with CNI_COMMAND and so on.
        text: the network configuration, JSON.

    Returns:
        The exit status, and the text for standard output: the result of ADD and VERSION, or the
        error.
    """
    request = Request(environment, text)
    try:
        request.parse()
        result = _COMMANDS[request.command](request)
    except (NetstratError, OSError) as error:
        return 1, json.dumps(to_error(request.version, to_cni_error(error))) + "\n"
    except Exception as error:  # a fault of the plugin: the runtime reads standard output alone
        sys.excepthook(*sys.exc_info())
        failure = CniError(INTERNAL, f"a fault of the plugin: {error!r}")
        return 1, json.dumps(to_error(request.version, failure)) + "\n"
    return 0, "" if result is None else json.dumps(result) + "\n"


def _version(request: Request) -> dict[str, Any]:
    return {"cniVersion": request.version, "supportedVersions": list(VERSIONS)}


_COMMANDS: dict[str, Callable[[Request], dict[str, Any] | None]] = {
    "ADD": add,
    "DEL": delete,
    "CHECK": check,
    "GC": collect,
    "STATUS": status,
    "VERSION": _version,
}
