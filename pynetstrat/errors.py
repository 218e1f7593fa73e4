"""The exceptions. Each is a `NetstratError`, can be pickled and copied, and names what failed.

    NetstratError
    ├── UnknownStrategyError (LookupError)
    ├── StrategyLoadError (ImportError)
    ├── InvalidInterfaceNameError (ValueError)
    ├── InvalidCounterNameError (ValueError)
    ├── InvalidNetworkError (ValueError)
    ├── CounterParseError (ValueError)
    ├── TeardownError
    └── KernelError (OSError)
        ├── InterfaceNotFoundError (FileNotFoundError)
        ├── CounterNotFoundError (FileNotFoundError)
        ├── PermissionDeniedError (PermissionError)
        ├── NetlinkUnavailableError
        ├── ForeignSysfsError
        └── BatchError

The core's table of failures (csrc/error.c) says which failure becomes which class, with which hint.
"""

# Without `from __future__ import annotations`, which loads a module: see docs/architecture.md.

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from ._native.batch import Pending
    from .counters import NetworkInterface


def escape(text: str) -> str:
    """Escapes the unprintable characters of a text, for a terminal or a line of a log."""
    if text.isprintable():
        return text
    # The codec "unicode_escape" would be imported, and after chroot() no module can be.
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def quote(text: str) -> str:
    """Puts a text in double quotes; escapes quotes, backslashes and unprintable characters."""
    return '"' + escape(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


class NetstratError(Exception):
    """The base of every exception of this package.

    Example:
        >>> try:
        ...     set_up_networks([Network("veth", name="eth0")], netns="blue")
        ... except NetstratError as error:
        ...     print(error)
    """


class UnknownStrategyError(NetstratError, LookupError):
    """No strategy of that type is registered, and no installed package provides one.

    Attributes:
        type: the requested type.
        known: the types that exist.
    """

    def __init__(self, type: str, known: "Sequence[str]" = ()) -> None:
        super().__init__(type, known)
        self.type = type
        self.known = known

    def __str__(self) -> str:
        text = f"unknown strategy type {quote(self.type)}"
        return text + (f"; known: {', '.join(map(quote, self.known))}" if self.known else "")


class StrategyLoadError(NetstratError, ImportError):
    """An installed package provides the strategy, but the strategy can't be loaded.

    Attributes:
        type: the requested type.
        reason: why it can't be loaded. If an import failed, its exception is the `__cause__`.
    """

    def __init__(self, type: str, reason: str) -> None:
        super().__init__(type, reason)
        self.type = type
        self.reason = reason

    def __str__(self) -> str:
        return f"strategy type {quote(self.type)} can't be loaded: {self.reason}"

    def __reduce__(self) -> "tuple[Any, ...]":
        # The __reduce__ of ImportError leaves out these attributes.
        return type(self), (self.type, self.reason)


class InvalidInterfaceNameError(NetstratError, ValueError):
    """No interface can have that name. It was not sent to the kernel or made part of a path.

    An interface name has 1 to 15 bytes, is not "." or "..", and contains no "/", ":" or white space
    (dev_valid_name, net/core/dev.c). An alternative name has 1 to 127 bytes other than NUL.

    Attributes:
        interface: the invalid name.
        reason: the rule that it breaks.
    """

    def __init__(self, interface: object, reason: str) -> None:
        super().__init__(interface, reason)
        self.interface = interface
        self.reason = reason

    def __reduce__(self) -> "tuple[Any, ...]":
        # Only these types are sure to be picklable.
        plain = isinstance(self.interface, (str, bytes)) or self.interface is None
        return type(self), (self.interface if plain else repr(self.interface), self.reason)

    def __str__(self) -> str:
        shown = quote(self.interface) if isinstance(self.interface, str) else repr(self.interface)
        return f"invalid interface name {shown}: {self.reason}"


class InvalidCounterNameError(NetstratError, ValueError):
    """No file in an interface's `statistics` directory can have that name.

    Attributes:
        interface: the name of the interface.
        counter: the invalid name.
    """

    def __init__(self, interface: str, counter: object) -> None:
        super().__init__(interface, counter)
        self.interface = interface
        self.counter = counter

    def __str__(self) -> str:
        shown = quote(self.counter) if isinstance(self.counter, str) else repr(self.counter)
        # The same sentence as in the core's table of failures.
        return (
            f"interface {quote(self.interface)}: invalid counter name {shown}: "
            "must be one file name, such as rx_bytes"
        )


class CounterParseError(NetstratError, ValueError):
    """A counter file does not contain one unsigned 64-bit decimal number.

    Attributes:
        path: the path of the file.
        text: the first 127 bytes of its contents, without surrounding white space. Bytes that are
            not UTF-8 appear as backslash escapes.
        interface: the name of the interface.
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
        operation: what failed: a system call (`socket`, `setns` and so on), a message
            (`RTM_NEWLINK` and so on), or "find": pynetstrat itself refused the link that it found,
            for the reason in `hint`.
        interface: the name of the interface, or "".
        kernel_message: the kernel's own error text (the extended ack), or "".
        hint: the remedy or the usual cause, or "".
        filename: the path concerned, or None.
        subject: what a message was about besides its interface: the destination of a route, or an
            address; otherwise "".

    Example:
        >>> try:
        ...     link_set_up("eth0")
        ... except KernelError as error:
        ...     if error.errno != errno.EBUSY:
        ...         raise
    """

    def __init__(
        self,
        errno: int,
        operation: str,
        interface: str = "",
        kernel_message: str = "",
        hint: str = "",
        filename: str | None = None,
        subject: str = "",
    ) -> None:
        super().__init__(errno, os.strerror(errno))
        self.operation = operation
        self.interface = interface
        self.kernel_message = kernel_message
        self.hint = hint
        self.filename = filename
        self.subject = subject

    def __str__(self) -> str:
        text = f"interface {quote(self.interface)}: " if self.interface else ""
        text += f"{self.operation} {self.subject}".rstrip()
        if self.filename is not None:
            text += f" {escape(str(self.filename))}"
        text += f": {self.strerror}"
        if self.kernel_message:
            text += f" (the kernel says: {self.kernel_message})"
        return text + (f"; {self.hint}" if self.hint else "")

    def __reduce__(self) -> "tuple[Any, ...]":
        return type(self), (
            self.errno,
            self.operation,
            self.interface,
            self.kernel_message,
            self.hint,
            self.filename,
            self.subject,
        )


class InterfaceNotFoundError(KernelError, FileNotFoundError):
    """The interface does not exist in the namespace, or was deleted during the call."""


class CounterNotFoundError(KernelError, FileNotFoundError):
    """The interface exists, but has no counter of that name."""


class PermissionDeniedError(KernelError, PermissionError):
    """A capability, which the text names, or a file permission is missing."""


class NetlinkUnavailableError(KernelError):
    """seccomp, a security module or the kernel refuses `AF_NETLINK` sockets."""


class ForeignSysfsError(KernelError):
    """`/sys` may show another namespace than the requested one, and no other source can be read."""


class BatchError(KernelError):
    """A message of a batch failed. The messages before and after it may have been executed.

    The attributes of `KernelError` describe the first failure. If the exchange failed after the
    kernel had refused a message, the text describes both.

    Attributes:
        item: the number of the first message that failed, from 0.
        results: the result of each message: None if it succeeded, its `KernelError`, or `PENDING`
            if its ack did not arrive. If the exchange itself failed (by a timeout, for example),
            that error is the result of the first message without an ack.

    Example:
        >>> try:
        ...     rtnetlink.execute(Batch().delete_link("veth0").delete_link("veth1"))
        ... except BatchError as error:
        ...     failed = [number for number, result in enumerate(error.results) if result]
    """

    def __init__(
        self,
        errno: int,
        operation: str,
        interface: str = "",
        kernel_message: str = "",
        hint: str = "",
        filename: str | None = None,
        item: int = 0,
        results: "Sequence[KernelError | Pending | None]" = (),
        subject: str = "",
    ) -> None:
        super().__init__(errno, operation, interface, kernel_message, hint, filename, subject)
        self.item = item
        self.results = list(results)

    def __str__(self) -> str:
        text = super().__str__()
        count = len(self.results)
        return f"message {self.item + 1} of {count}: {text}" if count > 1 else text

    def __reduce__(self) -> "tuple[Any, ...]":
        kind, (*arguments, subject) = super().__reduce__()
        return kind, (*arguments, self.item, self.results, subject)


class InvalidNetworkError(NetstratError, ValueError):
    """An argument or a field of a `Network` is invalid. Nothing was sent to the kernel.

    Attributes:
        field: the name of the argument or field, such as "mtu".
        value: the invalid value.
        reason: what is wrong with it.
        network: the name of the network, or "".
    """

    def __init__(self, field: str, value: object, reason: str, network: str = "") -> None:
        super().__init__(field, value, reason, network)
        self.field = field
        self.value = value
        self.reason = reason
        self.network = network if isinstance(network, str) else ""  # the name itself may be invalid

    def __reduce__(self) -> "tuple[Any, ...]":
        # Only these types are sure to be picklable.
        plain = isinstance(self.value, (str, bytes, int, float)) or self.value is None
        value = self.value if plain else _shown(self.value)
        return type(self), (self.field, value, self.reason, self.network)

    def __str__(self) -> str:
        value = quote(self.value) if isinstance(self.value, str) else _shown(self.value)
        text = f"invalid {self.field} {value}: {self.reason}"
        return f"network {quote(self.network)}: {text}" if self.network else text


def _shown(value: object) -> str:
    try:
        return repr(value)
    except RecursionError:  # JSON may be nested as deeply as it can be decoded
        return "..."


class TeardownError(NetstratError):
    """Some networks could not be torn down. All others were.

    Attributes:
        errors: the failures, in the order in which they happened.
        counters: the final counters of the interfaces that were torn down, as `tear_down_networks`
            returns them.

    Example:
        >>> try:
        ...     tear_down_networks(networks, netns="blue")
        ... except TeardownError as error:
        ...     for failure in error.errors:
        ...         print(failure)
    """

    def __init__(
        self,
        errors: "Sequence[Exception]",
        counters: "Mapping[str, NetworkInterface] | None" = None,
    ) -> None:
        super().__init__(list(errors))
        self.errors = list(errors)
        self.counters = dict(counters or {})

    def __str__(self) -> str:
        return "not everything could be torn down: " + "; ".join(map(str, self.errors))
