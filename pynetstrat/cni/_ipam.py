"""Delegation to an IPAM plugin: a program of the folders in CNI_PATH."""

from __future__ import annotations

import os

# Not `signal`, which takes a millisecond to load.
from _signal import SIGPIPE, SIGXFSZ  # type: ignore[import-not-found]

from ._error import (
    DECODING_FAILURE,
    INCOMPATIBLE_VERSION,
    INVALID_CONFIGURATION,
    INVALID_ENVIRONMENT,
    IO_FAILURE,
    IPAM_FAILED,
    UNKNOWN_CONTAINER,
    CniError,
)
from ._json import decode, excerpt, get

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._request import Request

# The codes of a plugin that does not know the command or the version.
_NOT_KNOWN = {INCOMPATIBLE_VERSION, UNKNOWN_CONTAINER, INVALID_ENVIRONMENT}
_LARGEST_CODE = (1 << 32) - 1  # libcni decodes it as an unsigned integer of Go


class IpamError(CniError):
    """The IPAM plugin ended with an error."""


def ipam_type(configuration: dict[str, Any]) -> str:
    """Returns the name of the IPAM plugin; "" for none.

    Raises:
        CniError: the configuration is invalid.
    """
    name: str = get(get(configuration, "ipam", dict), "type", str, "ipam.")
    if "/" in name or name in (".", ".."):
        what = f"ipam.type must be the name of a program, not {excerpt(name)}"
        raise CniError(INVALID_CONFIGURATION, what)
    return name


def find_plugin(request: Request, name: str) -> str:
    """Returns the path of a plugin: the first in CNI_PATH.

    Raises:
        CniError: it does not exist.
    """
    path = request.environment.get("CNI_PATH", "")
    if not path:
        raise CniError(INVALID_ENVIRONMENT, f"CNI_PATH must be set to find the IPAM plugin {name}")
    for folder in filter(None, path.split(os.pathsep)):
        found = f"{folder}/{name}"
        if os.path.isfile(found):  # noqa: PTH113  # pathlib takes 5 ms to load
            return found
    what = f"the IPAM plugin {name} must be in a folder of CNI_PATH ({path})"
    raise CniError(INVALID_CONFIGURATION, what)


def delegate(request: Request, name: str, command: str = "") -> bytes:
    """Runs the IPAM plugin with the environment and configuration of the request.

    Parameters:
        name: the result of `ipam_type`.
        command: another command than the request's.

    Returns:
        Its standard output.

    Raises:
        CniError: the plugin does not exist, or failed (with its own code and text).
    """
    command = command or request.command
    path = find_plugin(request, name)
    environment = {**request.environment, "CNI_COMMAND": command}
    environment.pop("", None)  # Python cannot pass on a variable without a name
    status, output = _execute(path, environment, request.text)
    if status != 0:
        raise _failure(name, command, status, output)
    return output


def decode_result(name: str, output: bytes) -> dict[str, Any]:
    """Returns the result of ADD of an IPAM plugin.

    Raises:
        CniError: it is not a JSON object, or has no addresses.
    """
    found = _decode(output)
    if found is None or not found.get("ips"):
        what = f"the result of the IPAM plugin {name} must be a JSON object with ips"
        raise CniError(DECODING_FAILURE, what, excerpt(output))
    return found


def delegate_if_known(request: Request, name: str) -> None:
    """Runs the IPAM plugin with a newer command, which it may not know."""
    try:
        delegate(request, name)
    except IpamError as error:
        if error.code not in _NOT_KNOWN:
            raise


def _failure(name: str, command: str, status: int, output: bytes) -> IpamError:
    found = _decode(output) or {}
    code, message, details = found.get("code"), found.get("msg"), found.get("details")
    if type(code) is not int or not 0 < code <= _LARGEST_CODE:
        end = f"with status {status}" if status > 0 else f"by signal {-status}"
        what = f"the IPAM plugin {name} ended {command} {end} and without an error"
        return IpamError(IPAM_FAILED, what, excerpt(output))
    message = f"ended {command} without a message" if message in (None, "") else message
    texts = [one if type(one) is str else excerpt(one) for one in (message, details or "")]
    return IpamError(code, f"IPAM plugin {name}: {texts[0]}", texts[1])


def _decode(output: bytes) -> dict[str, Any] | None:
    try:
        found = decode(output)
    except (ValueError, RecursionError):
        return None
    return found if type(found) is dict else None


def _execute(path: str, environment: dict[str, str], text: bytes) -> tuple[int, bytes]:
    """Runs a program with a text on standard input; returns its status and standard output.

    The module subprocess takes 9 ms to load.
    """
    # A file, because a pipe holds 64 KiB, and the program may write before it has read them.
    source = os.memfd_create("configuration")
    reader, writer = os.pipe()
    try:
        os.write(source, text)
        os.lseek(source, 0, os.SEEK_SET)
        actions = [(os.POSIX_SPAWN_DUP2, source, 0), (os.POSIX_SPAWN_DUP2, writer, 1)]
        try:
            # Python ignores these signals, and a child would inherit that.
            signals = SIGPIPE, SIGXFSZ
            pid = os.posix_spawn(path, [path], environment, file_actions=actions, setsigdef=signals)
        except OSError as error:
            raise CniError(IO_FAILURE, f"{path} can't be run: {error.strerror}") from None
        os.close(writer)
        writer = -1
        output = []
        while part := os.read(reader, 1 << 16):
            output.append(part)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        for descriptor in (source, reader, writer):
            if descriptor >= 0:
                os.close(descriptor)
    return status, b"".join(output)
