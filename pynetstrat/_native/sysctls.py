"""struct netstrat_sysctl: settings under /proc/sys of another network namespace."""

from __future__ import annotations

from .._core import ffi, lib
from . import Namespace, fail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_SYSCTL_OPERATIONS = (
    lib.NETSTRAT_OP_OPEN_SYSCTL,
    lib.NETSTRAT_OP_READ_SYSCTL,
    lib.NETSTRAT_OP_WRITE_SYSCTL,
)


def exchange(
    netns: object, settings: Sequence[tuple[str, str | None]], interface: str
) -> list[str]:
    """Sets or reads settings, in order, in a thread that is in the namespace.

    Parameters:
        netns: the namespace.
        settings: for each setting its path beneath /proc/sys and the value to set, or None to read
            it.
        interface: the interface in errors.

    Returns:
        The value of each setting that was read, and "" for each that was set.

    Raises:
        KernelError: a setting does not exist or was refused. Those before it stay set.
    """
    rows = ffi.new("struct netstrat_sysctl[]", len(settings))
    held = []  # the texts, which the rows only point to
    for row, (path, value) in zip(rows, settings, strict=True):
        row.path = encoded = ffi.new("char[]", path.encode("utf-8", "surrogateescape"))
        held.append(encoded)
        if value is not None:
            row.value = encoded = ffi.new("char[]", value.encode("utf-8", "surrogateescape"))
            held.append(encoded)
    error = ffi.new("struct netstrat_error *")
    namespace = Namespace(netns, interface)
    code = lib.netstrat_sysctls_exchange_at(namespace.fd, rows, len(settings), error)
    if code < 0 and error.operation in _SYSCTL_OPERATIONS:
        fail(code, error, interface, f"/proc/sys/{settings[error.item][0]}")
    if code < 0:
        namespace.fail(code, error, interface)
    return [ffi.string(row.text).decode("utf-8", "surrogateescape") for row in rows]
