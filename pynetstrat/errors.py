"""The errors. Each is a `NetstratError`, pickles and copies, and says what failed and where.

    NetstratError
    ├── UnknownStrategyError (LookupError)
    ├── StrategyLoadError (ImportError)
    ├── InvalidInterfaceNameError (ValueError)
    ├── InvalidCounterNameError (ValueError)
    ├── CounterParseError (ValueError)
    └── KernelError (OSError)
        ├── InterfaceNotFoundError (FileNotFoundError)
        ├── CounterNotFoundError (FileNotFoundError)
        ├── PermissionDeniedError (PermissionError)
        ├── NetlinkUnavailableError
        └── ForeignSysfsError

Which failure becomes which error, and with which hint, is the core's table (csrc/error.c).
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def escape(text: str) -> str:
    """`text` with its unprintable characters escaped, fit for a terminal or a line of a log."""
    if text.isprintable():
        return text
    # Not the codec "unicode_escape", which is imported: there may be no file of Python's left.
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def quote(text: str) -> str:
    """`text` in double quotes, with quotes, backslashes and unprintable characters escaped."""
    return '"' + escape(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


class NetstratError(Exception):
    """The base of every error of this package."""


class UnknownStrategyError(NetstratError, LookupError):
    """No strategy of that type is registered, and no installed package provides one.

    Attributes:
        type: the type that was asked for.
        known: the types that there are.
    """

    def __init__(self, type: str, known: Sequence[str] = ()) -> None:
        super().__init__(type, known)
        self.type = type
        self.known = known

    def __str__(self) -> str:
        text = f"unknown strategy type {quote(self.type)}"
        return text + (f"; known: {', '.join(map(quote, self.known))}" if self.known else "")


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
    """No interface can have that name; neither the kernel nor a path has seen it.

    Attributes:
        interface: what was given.
        reason: the rule that it breaks. Those of link names are of `dev_valid_name` (Linux
            net/core/dev.c); an alternative name may hold any 1 to 127 bytes but NUL.
    """

    def __init__(self, interface: object, reason: str) -> None:
        super().__init__(interface, reason)
        self.interface = interface
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        # Anything but text may not pickle.
        plain = isinstance(self.interface, (str, bytes)) or self.interface is None
        return type(self), (self.interface if plain else repr(self.interface), self.reason)

    def __str__(self) -> str:
        shown = quote(self.interface) if isinstance(self.interface, str) else repr(self.interface)
        return f"invalid interface name {shown}: {self.reason}"


class InvalidCounterNameError(NetstratError, ValueError):
    """No file in an interface's `statistics` directory can have that name.

    Attributes:
        interface: the interface.
        counter: what was given.
    """

    def __init__(self, interface: str, counter: object) -> None:
        super().__init__(interface, counter)
        self.interface = interface
        self.counter = counter

    def __str__(self) -> str:
        shown = quote(self.counter) if isinstance(self.counter, str) else repr(self.counter)
        # The reason is that of the table.
        return (
            f"interface {quote(self.interface)}: invalid counter name {shown}: "
            "must be one file name, such as rx_bytes"
        )


class CounterParseError(NetstratError, ValueError):
    """A counter file was read, but does not hold one unsigned 64-bit decimal number.

    Attributes:
        path: the file.
        text: what it holds, white space around it removed, the first 127 bytes at most; bytes
            that are not UTF-8 stand as backslash escapes.
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


class ForeignSysfsError(KernelError):
    """`/sys` is not known to show the namespace asked for, and nothing else can be read."""


class InvalidNetworkError(NetstratError, ValueError):
    """A value that the kernel would not take, or that makes no sense; nothing has been sent.

    Attributes:
        field: which one it is, such as "mtu".
        value: what was given.
        reason: what is wrong with it.
        network: the name of the network, or "".
    """

    def __init__(self, field: str, value: object, reason: str, network: str = "") -> None:
        super().__init__(field, value, reason, network)
        self.field = field
        self.value = value
        self.reason = reason
        self.network = network if isinstance(network, str) else ""  # it may be what is wrong

    def __reduce__(self) -> tuple[Any, ...]:
        # What is given for a value may not pickle.
        plain = isinstance(self.value, (str, bytes, int, float)) or self.value is None
        value = self.value if plain else repr(self.value)
        return type(self), (self.field, value, self.reason, self.network)

    def __str__(self) -> str:
        value = quote(self.value) if isinstance(self.value, str) else repr(self.value)
        text = f"invalid {self.field} {value}: {self.reason}"
        return f"network {quote(self.network)}: {text}" if self.network else text


class TeardownError(NetstratError):
    """Networks were torn down, but not all of them.

    Attributes:
        errors: what failed, in the order in which it did.
    """

    def __init__(self, errors: Sequence[Exception]) -> None:
        super().__init__(list(errors))
        self.errors = list(errors)

    def __str__(self) -> str:
        return "not everything could be torn down: " + "; ".join(map(str, self.errors))
