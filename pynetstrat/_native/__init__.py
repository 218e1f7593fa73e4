"""The core, seen from Python: names, namespaces, signals and failures: all that `lo` up needs.

Names become bytes, return codes become exceptions, and structures become Python objects in this
package and nowhere else: nothing outside it touches `ffi` or `lib`. Nothing here is locked, see
guard.py.
"""

from __future__ import annotations

import os
import sys
from _thread import get_ident
from errno import EBADF, EINVAL

from .._core import ffi, lib
from ..errors import (
    CounterNotFoundError,
    InterfaceNotFoundError,
    InvalidInterfaceNameError,
    KernelError,
    NetlinkUnavailableError,
    PermissionDeniedError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from ..types import Name, Netns

# ---- signals ----

# What signal handlers raised while the core waited, by thread, until the core has returned.
_raised: dict[int, BaseException] = {}


def _keep(kind: object, error: BaseException, traceback: object) -> None:
    _raised[get_ident()] = error


@ffi.def_extern(name="pynetstrat_interrupted", error=1, onerror=_keep)  # type: ignore[untyped-decorator]
def _interrupted(context: object) -> int:
    # The interpreter runs the handlers of pending signals on its way through this function. One
    # that raises (KeyboardInterrupt, say) ends the wait; otherwise the core goes on waiting.
    for _ in range(2):
        pass
    return 0


# ---- names ----


def invalid_name(name: object, step: int = lib.NETSTRAT_OP_NAME) -> InvalidInterfaceNameError:
    """The error for an invalid name, with the rule from the core's table of failures.

    Parameters:
        step: NETSTRAT_OP_NAME, or NETSTRAT_OP_LINK_NAME where alternative names do not count.
    """
    return InvalidInterfaceNameError(name, decode(find_failure(step, 0, -EINVAL).hint))


_ENCODING = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()


def encode_name(name: object, step: int = lib.NETSTRAT_OP_NAME) -> bytes:
    """Converts a name to bytes; refuses only what cannot be passed to the core.

    Parameters:
        step: as for `invalid_name`.
    """
    if type(name) is str and name.isascii():  # os.fsencode without its price, 5 % of get_stats
        encoded = name.encode()
    else:
        try:
            encoded = os.fsencode(name)  # type: ignore[arg-type]
        except (TypeError, UnicodeEncodeError):
            raise invalid_name(name, step) from None
    if b"\0" in encoded:  # where C would see the end
        raise invalid_name(name, step)
    return encoded


def encode_path(path: object, what: str) -> bytes:
    """A path as bytes; refuses what C would read differently."""
    encoded = os.fsencode(path)  # type: ignore[arg-type]
    if b"\0" in encoded:
        raise ValueError(f"{what} with a NUL: {path!r}")
    return encoded


def decode(text: Any) -> str:
    """A C string of the kernel's or the core's."""
    raw: bytes = ffi.string(text)
    return raw.decode(*_ENCODING)  # os.fsdecode at a third of its price


def show(name: object) -> str:
    """A name as it stands in an error."""
    return os.fsdecode(name) if name else ""  # type: ignore[arg-type]


# ---- failures ----

_KINDS: dict[int, type[KernelError]] = {
    lib.NETSTRAT_KIND_OTHER: KernelError,
    lib.NETSTRAT_KIND_LINK_NOT_FOUND: InterfaceNotFoundError,
    lib.NETSTRAT_KIND_COUNTER_NOT_FOUND: CounterNotFoundError,
    lib.NETSTRAT_KIND_PERMISSION: PermissionDeniedError,
    lib.NETSTRAT_KIND_UNAVAILABLE: NetlinkUnavailableError,
}


def find_failure(step: int, request: int, code: int) -> Any:
    """The row of the core's table of failures: struct netstrat_failure."""
    failure = ffi.new("struct netstrat_failure *")
    lib.netstrat_failure_find(step, request, code, failure)
    return failure


def hint_of(code: int, error: Any) -> str:
    """The hint for a core function's failure."""
    return decode(find_failure(error.step, error.request, code).hint)


def kernel_error(
    errno: int,
    step: int,
    request: int = 0,
    interface: str = "",
    kernel_message: str = "",
    filename: str | None = None,
) -> KernelError:
    """The error for a failed step, its class and hint from the core's table of failures.

    Parameters:
        errno: as from <errno.h>, positive. ENODEV stands for "no such interface".
        step, request: as in struct netstrat_error.
        interface, kernel_message, filename: as in `KernelError`.
    """
    failure = find_failure(step, request, -errno)
    named = step != lib.NETSTRAT_OP_REQUEST
    name = lib.netstrat_step_name(step) if named else lib.netstrat_request_name(request)
    operation = decode(name) if name else f"message type {request}"
    kind, hint = _KINDS[failure.kind], decode(failure.hint)
    return kind(errno, operation, interface, kernel_message, hint, filename)


def error_text(error: Any) -> str:
    """What struct netstrat_error holds in `text`."""
    raw: bytes = ffi.buffer(error.text, error.text_length)[:]
    return raw.decode("utf-8", "backslashreplace")


def ext_ack(error: Any) -> str:
    """The kernel's own words, fit for a terminal."""
    return "".join(c if c.isprintable() else "?" for c in error_text(error))


def fail(code: int, error: Any, name: object = "", filename: str | None = None) -> NoReturn:
    """Raises the exception for a core function's failure."""
    raise_interrupt()
    if error.step in (lib.NETSTRAT_OP_NAME, lib.NETSTRAT_OP_LINK_NAME):
        raise invalid_name(name, error.step)
    raise kernel_error(-code, error.step, error.request, show(name), ext_ack(error), filename)


def raise_interrupt() -> None:
    """Raises what a signal handler raised while the core waited."""
    interrupt = _raised.pop(get_ident(), None)
    if interrupt is not None:
        raise interrupt


# ---- sockets and namespaces ----


def new_socket() -> Any:
    """A struct netstrat_socket, closed with its object at the latest.

    A signal handler may raise before anybody else can see to that.
    """
    return ffi.gc(ffi.new("struct netstrat_socket *", {"fd": -1}), lib.netstrat_socket_close)


def open_descriptor(function: Any, *arguments: object) -> Any:
    """What `function` of the core opens: .fd of what is given, where it is closed as a socket is.

    Or its failure, as a negative number. Both are within C, where no signal handler comes between
    the call and the keeping of its result.
    """
    holder = new_socket()
    holder.is_open = 1
    ffi.addressof(holder, "fd")[0:1] = map(function, *((argument,) for argument in arguments))
    return holder


class Namespace:
    """The network namespace that an argument stands for.

    Attributes:
        fd: its descriptor, open as long as this object and the argument are.
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
        if not 0 <= descriptor < 1 << 31:  # nothing that C should see
            raise self._not_one(EBADF, lib.NETSTRAT_OP_SETNS, name)

    @property
    def shown(self) -> str:
        """How errors and representations show it."""
        if self._path or not isinstance(self._argument, int):
            return self._path or repr(self._argument)
        return f"descriptor {self._argument}"

    def hold(self, holder: Any) -> None:
        """Takes another descriptor for it, which is closed with this object."""
        self._holder, self.fd = holder, holder.fd

    def fail(self, code: int, error: Any, name: object = "") -> NoReturn:
        """Raises the exception for a core function's failure to work in the namespace."""
        if error.step == lib.NETSTRAT_OP_SETNS and code in (-EBADF, -EINVAL):
            raise self._not_one(-code, error.step, name)
        fail(code, error, name, self.shown)

    def _not_one(self, errno: int, step: int, name: object) -> KernelError:
        error = kernel_error(errno, step, 0, show(name), "", self.shown)
        if self._argument == self.fd and _is_process(self.fd):
            error.hint = (
                f"{self.fd} is not a descriptor of a network namespace, but it is the id of a "
                f'process: give "/proc/{self.fd}/ns/net" or NetworkNamespace.of_process({self.fd})'
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

_ONCE_SIZE = 4096  # of the buffer: as netstrat_socket_open recommends


def _set_flags(
    once: Callable[..., int], kept: Callable[..., int], name: object, netns: object
) -> None:
    if netns is not None:
        _work_at(kept, name, netns)
        return
    encoded = encode_name(name)
    error = ffi.new("struct netstrat_error *")
    code = once(encoded, error)
    if code < 0:
        fail(code, error, name)


def _work_at(work: Callable[..., int], name: object, netns: object) -> int:
    """What a function of the core gives of a link in a namespace; None: the calling thread's."""
    encoded = encode_name(name)
    error = ffi.new("struct netstrat_error *")
    if lib.netstrat_name_check(encoded) < 0:  # reported before a wrong namespace
        raise invalid_name(name)
    sock, buffer = new_socket(), ffi.new("unsigned char[]", _ONCE_SIZE)
    if netns is None:
        code = lib.netstrat_socket_open(sock, buffer, _ONCE_SIZE, error)
        if code < 0:
            fail(code, error, name)
    else:
        namespace = Namespace(netns, name)
        code = lib.netstrat_socket_open_at(sock, buffer, _ONCE_SIZE, namespace.fd, error)
        if code < 0:
            namespace.fail(code, error, name)
    sock.interrupted = lib.pynetstrat_interrupted
    code = work(sock, encoded, error)
    lib.netstrat_socket_close(sock)
    if code < 0:
        fail(code, error, name)
    return code


def link_set_up(name: Name = "lo", *, netns: Netns | None = None) -> None:
    """Brings an interface up: opens a socket, sends one RTM_NEWLINK, reads the ack, closes.

    Parameters:
        name: its name or alternative name.
        netns: its namespace, as for `RtnetlinkSocket`; None: the calling thread's.

    Raises: as `RtnetlinkSocket` and its `link_set_up`.
    """
    _set_flags(lib.netstrat_link_set_up_once, lib.netstrat_link_set_up, name, netns)


def link_is_up(name: Name, *, netns: Netns | None = None) -> bool:
    """Whether an interface is up; otherwise as `link_set_up`."""
    return bool(_work_at(lib.netstrat_link_is_up, name, netns))


def link_set_down(name: Name, *, netns: Netns | None = None) -> None:
    """Takes an interface down; otherwise as `link_set_up`."""
    _set_flags(lib.netstrat_link_set_down_once, lib.netstrat_link_set_down, name, netns)
