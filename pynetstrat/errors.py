"""The errors. Every one of them is a `NetstratError`, pickles, and names what went wrong where."""

from __future__ import annotations

import errno as _errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def escape(text: str) -> str:
    """`text` with its unprintable characters escaped, fit for a terminal or a line of a log."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def quote(text: str) -> str:
    """`text` in double quotes, with quotes, backslashes and unprintable characters escaped."""
    return '"' + escape(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


class NetstratError(Exception):
    """The base of every error of this package."""


class UnknownStrategyError(NetstratError, LookupError):
    """No strategy of that type is registered, and no installed package provides one.

    Attributes:
        type: the type that was asked for.
    """

    def __init__(self, type: str) -> None:
        super().__init__(type)
        self.type = type

    def __str__(self) -> str:
        return f"unknown strategy type {quote(self.type)}"


class StrategyLoadError(NetstratError, ImportError):
    """An installed package provides the strategy, but it can't be used.

    Attributes:
        type: the type that was asked for.
        reason: why; the exception that a failing import raised is the `__cause__`.
    """

    def __init__(self, type: str, reason: str) -> None:
        super().__init__(type, reason)
        self.type = type
        self.reason = reason

    def __str__(self) -> str:
        return f"strategy type {quote(self.type)} can't be loaded: {self.reason}"

    def __reduce__(self) -> tuple[Any, ...]:
        # ImportError pickles its arguments alone once it has a state of its own.
        return type(self), (self.type, self.reason)


class InvalidInterfaceNameError(NetstratError, ValueError):
    """What was given is no interface name; neither the kernel nor a path has seen it.

    Attributes:
        interface: what was given.
        reason: the rule that it breaks (`dev_valid_name`, Linux net/core/dev.c).
    """

    def __init__(self, interface: object, reason: str) -> None:
        super().__init__(interface, reason)
        self.interface = interface
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        # What is no name at all may not pickle.
        plain = isinstance(self.interface, (str, bytes)) or self.interface is None
        return type(self), (self.interface if plain else repr(self.interface), self.reason)

    def __str__(self) -> str:
        shown = quote(self.interface) if isinstance(self.interface, str) else repr(self.interface)
        return f"invalid interface name {shown}: {self.reason}"


class InvalidCounterNameError(NetstratError, ValueError):
    """What was given is no name of a file in an interface's `statistics` directory.

    Attributes:
        interface: the interface.
        counter: what was given.
    """

    def __init__(self, interface: str, counter: object) -> None:
        super().__init__(interface, counter)
        self.interface = interface
        self.counter = counter

    def __str__(self) -> str:
        return (
            f"interface {quote(self.interface)}: invalid counter name {self.counter!r}: "
            "it is one file name, such as rx_bytes"
        )


class CounterParseError(NetstratError, ValueError):
    """A counter file was read, but does not hold one unsigned 64-bit decimal number.

    Attributes:
        path: the file.
        text: what it holds, white space around it removed, the first 127 bytes at most; bytes
            that are no UTF-8 stand as backslash escapes.
        interface: the interface.
        reason: what is wrong with the text.
    """

    def __init__(self, path: str, text: str, interface: str, reason: str) -> None:
        super().__init__(path, text, interface, reason)
        self.path = path
        self.text = text
        self.interface = interface
        self.reason = reason

    def __str__(self) -> str:
        found = f"{quote(self.text)} {self.reason}"
        return f"interface {quote(self.interface)}: parse {escape(self.path)}: {found}"


class KernelError(NetstratError, OSError):
    """A system call failed, or the kernel refused a request.

    Attributes:
        errno, strerror: the error, as in any `OSError`.
        operation: the step that failed: a system call (`socket`, `setns`, ...) or a message
            (`RTM_NEWLINK`, ...).
        interface: the interface, or "" where none is concerned.
        kernel_message: the kernel's own words (the extended ack), or "".
        hint: the remedy or the usual cause, or "".
        filename: the path concerned, or None.
    """

    def __init__(
        self,
        errno: int,
        operation: str,
        interface: str = "",
        kernel_message: str = "",
        hint: str = "",
        filename: str | None = None,
    ) -> None:
        super().__init__(errno, os.strerror(errno))
        self.operation = operation
        self.interface = interface
        self.kernel_message = kernel_message
        self.hint = hint
        self.filename = filename

    def __str__(self) -> str:
        text = f"interface {quote(self.interface)}: " if self.interface else ""
        text += self.operation
        if self.filename is not None:
            text += f" {escape(str(self.filename))}"
        text += f": {self.strerror}"
        if self.kernel_message:
            text += f" (the kernel says: {self.kernel_message})"
        return text + (f"; {self.hint}" if self.hint else "")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (
            self.errno,
            self.operation,
            self.interface,
            self.kernel_message,
            self.hint,
            self.filename,
        )


class InterfaceNotFoundError(KernelError, FileNotFoundError):
    """There is no such interface in the namespace, or it vanished while it was being read."""


class CounterNotFoundError(KernelError, FileNotFoundError):
    """The interface is there, but has no counter of that name."""


class PermissionDeniedError(KernelError, PermissionError):
    """The kernel refuses for want of a capability, which the text names, or of a permission."""


class NetlinkUnavailableError(KernelError):
    """`AF_NETLINK` sockets can't be used here: seccomp, a security module, or the kernel itself."""


_SYSFS = frozenset({"open", "openat", "read", "pread"})
# What socket(2) fails with for want of memory or descriptors, which says nothing about AF_NETLINK.
_SHORTAGE = frozenset({_errno.EMFILE, _errno.ENFILE, _errno.ENOMEM, _errno.ENOBUFS})
_REFUSED = frozenset({_errno.EPERM, _errno.EACCES})

_NET_ADMIN = (
    "this needs CAP_NET_ADMIN in the user namespace that owns the network namespace: run as root, "
    "in a user namespace of your own (unshare -Urn), or with a container's --cap-add=NET_ADMIN"
)
_SYS_ADMIN = (
    "entering a network namespace needs CAP_SYS_ADMIN in the user namespace that owns it "
    "and in the caller's own"
)
_HINTS = {
    "setns": "this is neither a network namespace nor a pidfd",
    "open netns": "give the path of a network namespace, such as /run/netns/NAME",
}


def kernel_error(
    errno: int,
    operation: str,
    interface: str = "",
    kernel_message: str = "",
    filename: str | None = None,
) -> KernelError:
    """The error for what failed: the one place where an errno becomes an exception.

    Parameters:
        errno: as from <errno.h>, positive. ENODEV stands for "no such interface".
        operation: the step, as in `KernelError.operation`.
        interface, kernel_message, filename: as in `KernelError`.
    """
    kind: Callable[..., KernelError] = KernelError
    hint = ""
    if operation == "socket":
        if errno not in _SHORTAGE:
            kind = NetlinkUnavailableError
            hint = (
                "AF_NETLINK sockets are refused here: look for a seccomp filter, a SELinux or "
                "AppArmor policy, or a kernel without them"
            )
    elif errno in _REFUSED:
        kind = PermissionDeniedError
        if operation == "setns":
            hint = _SYS_ADMIN
        elif operation == "open netns":
            hint = "the namespaces of another's process need CAP_SYS_PTRACE over it"
        elif operation in _SYSFS:
            hint = "the file's mode or a security module forbids it"
        elif operation == "RTM_NEWLINK":
            hint = _NET_ADMIN
        else:
            hint = "a seccomp filter or a security module forbids it"
    elif operation == "setns" and errno == _errno.ESRCH:
        hint = "the process has ended"
    elif operation in _HINTS:
        hint = _HINTS[operation] if errno in {_errno.EINVAL, _errno.ENOENT} else ""
    elif errno == _errno.ENODEV:
        kind = InterfaceNotFoundError
        hint = "no such interface in this namespace" if operation.startswith("RTM_") else ""
    elif errno == _errno.ENOENT and operation == "openat":
        kind = CounterNotFoundError
    elif errno == _errno.ENOENT and operation == "open":
        hint = "is sysfs mounted there?"
    elif errno == _errno.ETIMEDOUT:
        hint = "the kernel did not answer in time"
    return kind(errno, operation, interface, kernel_message, hint, filename)
