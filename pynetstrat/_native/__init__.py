"""The binding of the C core: what `lo` up needs of it.

Only this package uses `ffi` and `lib`. It converts names to bytes, return codes to exceptions, and
structures to Python objects. Nothing here is locked: see _handle.py. The sections of this module
are one module because `import pynetstrat` loads it, and each further module would slow that down.
"""

# Without `from __future__ import annotations`, which loads a module: see docs/architecture.md.

import os
import sys
from _thread import get_ident
from errno import EBADF, EBADMSG, EINVAL

from ..errors import (
    CounterNotFoundError,
    InterfaceNotFoundError,
    InvalidInterfaceNameError,
    KernelError,
    NetlinkUnavailableError,
    PermissionDeniedError,
)

try:
    from .._core import ffi, lib
except ImportError as error:
    if "subinterpreters" not in str(error):
        raise
    raise ImportError(
        "pynetstrat can't be imported in a subinterpreter with its own GIL, because cffi can't: "
        "use threads or processes in place of subinterpreters",
        name="pynetstrat",
    ) from error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from ..types import Name, Netns

# ---- signals ----

# The exceptions of signal handlers that ran while the core waited, by thread. `raise_interrupt`
# raises them once the core has returned.
_raised: dict[int, BaseException] = {}


def _keep(kind: object, error: BaseException, traceback: object) -> None:
    _raised[get_ident()] = error


@ffi.def_extern(name="pynetstrat_interrupted", error=1, onerror=_keep)  # type: ignore[untyped-decorator]
def _interrupted(context: object) -> int:
    # The interpreter runs the handlers of pending signals when a loop jumps back, which this empty
    # loop does. If a handler raises (KeyboardInterrupt, for one) cffi calls _keep and returns 1 to
    # the core, which ends the wait; otherwise the wait continues.
    for _ in range(2):
        pass
    return 0


# ---- names ----


def invalid_name(name: object, operation: int = lib.NETSTRAT_OP_NAME) -> InvalidInterfaceNameError:
    """Makes the error for an invalid name, with the rule from the core's table of failures.

    Parameters:
        operation: NETSTRAT_OP_NAME, or NETSTRAT_OP_LINK_NAME if alternative names are not allowed.
    """
    return InvalidInterfaceNameError(name, decode(find_failure(operation, 0, -EINVAL).hint))


_ENCODING, _ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()


def encode_name(name: object, operation: int = lib.NETSTRAT_OP_NAME) -> bytes:
    """Converts a name to bytes. Rejects only what cannot be passed to the core.

    Parameters:
        operation: as for `invalid_name`.
    """
    if type(name) is str and name.isascii():  # os.fsencode alone would cost 5 % of get_stats
        encoded = name.encode()
    else:
        try:
            encoded = os.fsencode(name)  # type: ignore[arg-type]
        except (TypeError, UnicodeEncodeError):
            raise invalid_name(name, operation) from None
    if 0 in encoded:  # C would read only the part before the NUL
        raise invalid_name(name, operation)
    return encoded


def encode_path(path: object, what: str) -> bytes:
    """Converts a path to bytes.

    Parameters:
        what: the argument that the error names.

    Raises:
        ValueError: the path contains NUL, where C would end it, or a lone surrogate.
    """
    try:
        encoded = os.fsencode(path)  # type: ignore[arg-type]
    except UnicodeEncodeError:
        raise ValueError(f"{what} must not contain a lone surrogate: {path!r}") from None
    if 0 in encoded:
        raise ValueError(f"{what} must not contain NUL: {path!r}")
    return encoded


def decode(text: "Any") -> str:
    """Converts a C string, as os.fsdecode does in three times the time."""
    raw: bytes = ffi.string(text)
    return raw.decode(_ENCODING, _ERRORS)


def show(name: object) -> str:
    """Converts a name to text for an error."""
    return os.fsdecode(name) if name else ""  # type: ignore[arg-type]


# ---- failures ----

_KINDS: dict[int, type[KernelError]] = {
    lib.NETSTRAT_KIND_OTHER: KernelError,
    lib.NETSTRAT_KIND_LINK_NOT_FOUND: InterfaceNotFoundError,
    lib.NETSTRAT_KIND_COUNTER_NOT_FOUND: CounterNotFoundError,
    lib.NETSTRAT_KIND_PERMISSION: PermissionDeniedError,
    lib.NETSTRAT_KIND_UNAVAILABLE: NetlinkUnavailableError,
}


def find_failure(operation: int, request: int, code: int) -> "Any":
    """Finds the row for a failure in the core's table: a struct netstrat_failure."""
    failure = ffi.new("struct netstrat_failure *")
    lib.netstrat_failure_find(operation, request, code, failure)
    return failure


def hint_of(code: int, error: "Any") -> str:
    """Returns the hint for a core function's failure."""
    return decode(find_failure(error.operation, error.request, code).hint)


def kernel_error(
    errno: int,
    operation: int,
    request: int = 0,
    interface: str = "",
    kernel_message: str = "",
    filename: str | None = None,
    subject: str = "",
) -> KernelError:
    """Makes the error for a failed operation. The core's table supplies its class and its hint.

    Parameters:
        errno: an error number, positive. ENODEV stands for "no such interface".
        operation, request: as in struct netstrat_error.
        interface, kernel_message, filename, subject: as in `KernelError`.
    """
    failure = find_failure(operation, request, -errno)
    named = operation != lib.NETSTRAT_OP_REQUEST
    name = lib.netstrat_operation_name(operation) if named else lib.netstrat_request_name(request)
    shown = decode(name) if name else f"message type {request}"
    kind, hint = _KINDS[failure.kind], decode(failure.hint)
    return kind(errno, shown, interface, kernel_message, hint, filename, subject)


def error_text(error: "Any") -> str:
    """Returns the `text` of a struct netstrat_error."""
    raw: bytes = ffi.buffer(error.text, error.text_length)[:]
    return raw.decode("utf-8", "backslashreplace")


def ext_ack(error: "Any") -> str:
    """Returns the extended ack in a struct netstrat_error, with unprintable characters replaced."""
    return "".join(c if c.isprintable() else "?" for c in error_text(error))


def fail(code: int, error: "Any", name: object = "", filename: str | None = None) -> "NoReturn":
    """Raises the exception for a core function's failure."""
    raise_interrupt()
    if error.operation in (lib.NETSTRAT_OP_NAME, lib.NETSTRAT_OP_LINK_NAME):
        raise invalid_name(name, error.operation)
    raise kernel_error(-code, error.operation, error.request, show(name), ext_ack(error), filename)


def raise_interrupt() -> None:
    """Raises the exception of a signal handler that ran while the core waited, if there was one."""
    interrupt = _raised.pop(get_ident(), None)
    if interrupt is not None:
        raise interrupt


def malformed(request: int) -> KernelError:
    """Makes the error for a malformed reply to a request of that type."""
    return kernel_error(EBADMSG, lib.NETSTRAT_OP_REQUEST, request)


# ---- sockets and namespaces ----


def new_socket() -> "Any":
    """Makes a struct netstrat_socket that is not open.

    It is closed at the latest when the object is collected, since a signal handler may raise
    before its owner has stored it.
    """
    return ffi.gc(ffi.new("struct netstrat_socket *", {"fd": -1}), lib.netstrat_socket_close)


def open_socket(
    buffer: "Any",
    netns: "Namespace | None" = None,
    name: object = "",
    *,
    beside: "Any" = None,
    protocol: int = lib.NETLINK_ROUTE,
    error: "Any" = None,
) -> "Any":
    """Opens a netlink socket: a struct netstrat_socket. Every socket is opened here.

    Parameters:
        buffer: its memory, which must live as long as the socket is used.
        netns: the namespace; None: that of the calling thread.
        name: the interface that errors name.
        beside: a struct netstrat_socket, in whose namespace a second one for rtnetlink is opened.
        protocol: NETLINK_ROUTE, or NETLINK_NETFILTER for nf_tables.
        error: the caller's struct netstrat_error, if it has one.
    """
    if error is None:
        error = ffi.new("struct netstrat_error *")
    sock, size = new_socket(), len(buffer)
    if beside is not None:
        code = lib.netstrat_socket_open_beside(sock, buffer, size, beside, error)
    elif netns is not None:
        code = lib.netstrat_socket_open_protocol_at(sock, buffer, size, protocol, netns.fd, error)
    else:
        code = lib.netstrat_socket_open_protocol(sock, buffer, size, protocol, error)
    if code < 0:
        if netns is not None:
            netns.fail(code, error, name)
        fail(code, error, name)
    sock.interrupted = lib.pynetstrat_interrupted
    return sock


def open_descriptor(function: "Any", *arguments: object) -> "Any":
    """Calls a function that opens a descriptor, and returns it as the `fd` of a closable struct.

    Returns:
        A struct netstrat_socket. Its `fd` is the descriptor, or a negative error number.
    """
    holder = new_socket()
    holder.is_open = 1
    # cffi iterates over the `map` itself and stores the result of the call: no bytecode runs
    # between the two, so that a signal handler that raises cannot leak the descriptor.
    ffi.addressof(holder, "fd")[0:1] = map(function, *((argument,) for argument in arguments))
    return holder


class Namespace:
    """The network namespace that a `netns` argument stands for.

    Attributes:
        fd: its descriptor, open as long as this object and the argument exist.
    """

    __slots__ = ("_argument", "_holder", "_path", "fd")

    def __init__(self, netns: object, name: object = "") -> None:
        self._argument = netns
        self._path = ""
        bare = isinstance(netns, (str, bytes))
        if bare or hasattr(netns, "__fspath__"):  # isinstance(netns, os.PathLike), but cheap
            path = encode_path(netns, "netns")
            if path and b"/" not in path and bare:
                path = b"/run/netns/" + path
            self._path = os.fsdecode(path)
            error = ffi.new("struct netstrat_error *")
            self._holder = open_descriptor(lib.netstrat_netns_open, path, error)
            self.fd: int = self._holder.fd
            if self.fd < 0:
                fail(self.fd, error, name, self._path)
            return
        fileno = getattr(netns, "fileno", None)
        descriptor = fileno() if callable(fileno) else netns
        if not isinstance(descriptor, int) or isinstance(descriptor, bool):
            raise TypeError(
                "netns must be a path, the name of a namespace in /run/netns, an open descriptor "
                f"or an object with fileno(), not {netns!r}"
            )
        self.fd = descriptor
        if not 0 <= descriptor < 1 << 31:  # C must not see it
            raise self._not_a_namespace(EBADF, lib.NETSTRAT_OP_SETNS, name)

    @classmethod
    def of_handle(cls, handle: "Any") -> "Namespace":
        """Makes one for an open NetworkNamespace, which needs no check."""
        made = cls.__new__(cls)
        made._argument, made._path, made.fd = handle, "", handle.fileno()
        return made

    def fileno(self) -> int:
        """Returns the descriptor, so that this object is a `netns` argument, too."""
        return self.fd

    @property
    def shown(self) -> str:
        """The text for it in errors and representations."""
        if self._path or not isinstance(self._argument, int):
            return self._path or str(self._argument)
        return f"descriptor {self._argument}"

    def hold(self, holder: "Any") -> None:
        """Replaces the descriptor by one that is closed with this object."""
        self._holder, self.fd = holder, holder.fd

    def fail(self, code: int, error: "Any", name: object = "") -> "NoReturn":
        """Raises the exception for a core function's failure to work in the namespace."""
        if error.operation == lib.NETSTRAT_OP_SETNS and code in (-EBADF, -EINVAL):
            raise self._not_a_namespace(-code, error.operation, name)
        fail(code, error, name, self.shown)

    def _not_a_namespace(self, errno: int, operation: int, name: object) -> KernelError:
        error = kernel_error(errno, operation, 0, show(name), "", self.shown)
        if self._argument == self.fd and _is_process(self.fd):
            error.hint = (
                f"{self.fd} is not a descriptor of a network namespace, but it is the id of a "
                f'process; use "/proc/{self.fd}/ns/net" or NetworkNamespace.of_process({self.fd})'
            )
        return error


def _is_process(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)  # sends nothing
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


# ---- links, one shot ----

SMALL_BUFFER = 4096  # bytes of a socket's buffer, as netstrat_socket_open recommends


# The memory for errors of calls that have returned, for later calls. A call takes one from here
# while it runs, so that no other thread or signal handler uses it.
_unused_errors: "list[Any]" = []


def _call_once(function: "Callable[..., int]", name: object) -> None:
    """Calls a function of the core that opens a socket itself, for a link."""
    encoded = encode_name(name)
    try:
        error = _unused_errors.pop()
    except IndexError:
        error = ffi.new("struct netstrat_error *")
    code = function(encoded, error)
    if code < 0:
        fail(code, error, name)
    _unused_errors.append(error)


def _call_at(function: "Callable[..., int]", name: object, netns: object) -> int:
    """Calls a function of the core for a link in a namespace; None: the calling thread's."""
    encoded = encode_name(name)
    if lib.netstrat_name_check(encoded) < 0:  # reported before a wrong namespace
        raise invalid_name(name)
    buffer = ffi.new("unsigned char[]", SMALL_BUFFER)
    sock = open_socket(buffer, None if netns is None else Namespace(netns, name), name)
    error = ffi.new("struct netstrat_error *")
    code = function(sock, encoded, error)
    lib.netstrat_socket_close(sock)
    if code < 0:
        fail(code, error, name)
    return code


def link_set_up(name: "Name" = "lo", *, netns: "Netns | None" = None) -> None:
    """Brings an interface up: opens a socket, sends one RTM_NEWLINK, reads the ack, closes.

    For more than one operation keep a `RtnetlinkSocket`. An interface that is up already is a
    success, also without CAP_NET_ADMIN.

    Parameters:
        name: its name or alternative name.
        netns: its namespace: a path, a bare name under /run/netns, an open descriptor of a
            namespace or a pidfd, or an object with `fileno()`. None: the calling thread's.

    Raises:
        InvalidInterfaceNameError: no interface can have that name; nothing was sent.
        InterfaceNotFoundError: the interface does not exist in the namespace.
        PermissionDeniedError: the interface is down and CAP_NET_ADMIN is missing, or `netns` can't
            be entered without CAP_SYS_ADMIN.
        NetlinkUnavailableError: AF_NETLINK is refused.
        KernelError: the driver refuses, no answer arrived within 5 seconds, or `netns` is not a
            network namespace.

    Example:
        >>> link_set_up("lo", netns="/proc/4242/ns/net")
    """
    if netns is None:
        _call_once(lib.netstrat_link_set_up_once, name)
    else:
        _call_at(lib.netstrat_link_set_up, name, netns)


def link_is_up(name: "Name", *, netns: "Netns | None" = None) -> bool:
    """Returns whether an interface is up (IFF_UP); arguments and errors as for `link_set_up`."""
    return bool(_call_at(lib.netstrat_link_is_up, name, netns))


def link_set_down(name: "Name", *, netns: "Netns | None" = None) -> None:
    """Takes an interface down: opens a socket, sends one RTM_NEWLINK, reads the ack, closes.

    Parameters:
        name: its name or alternative name.
        netns: its namespace, as for `link_set_up`; None: the calling thread's.

    Raises:
        InvalidInterfaceNameError: no interface can have that name; nothing was sent.
        InterfaceNotFoundError: the interface does not exist in the namespace.
        PermissionDeniedError: the interface is up and CAP_NET_ADMIN is missing, or `netns` can't
            be entered without CAP_SYS_ADMIN.
        NetlinkUnavailableError: AF_NETLINK is refused.
        KernelError: the driver refuses, no answer arrived within 5 seconds, or `netns` is not a
            network namespace.
    """
    if netns is None:
        _call_once(lib.netstrat_link_set_down_once, name)
    else:
        _call_at(lib.netstrat_link_set_down, name, netns)
