"""Network namespaces: made, opened, named, entered by a thread."""

from __future__ import annotations

import os
from errno import EAGAIN, EINVAL, ENOPROTOOPT
from fcntl import ioctl

from .._core import ffi, lib
from ..errors import KernelError
from . import Namespace, encode_path, fail, kernel_error, new_socket, open_descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

RUN_NETNS = "/run/netns"
_OWN = b"/proc/thread-self/ns/net"
_SIOCGSKNS = 0x894C  # linux/sockios.h, Linux 4.9
_SOCKET_SIZE = 4096  # of a socket's buffer: as netstrat_socket_open recommends


class Descriptor:
    """A descriptor of a network namespace, closed with its object at the latest."""

    __slots__ = ("_holder",)

    def __init__(self, holder: Any) -> None:
        self._holder = holder

    @property
    def fd(self) -> int:
        """The descriptor; -1: closed."""
        return self._holder.fd  # type: ignore[no-any-return]

    def close(self) -> None:
        """Closes it; twice does no harm."""
        lib.netstrat_socket_close(self._holder)


def _open(function: Any, *arguments: object, filename: str | None = None) -> Descriptor:
    error = ffi.new("struct netstrat_error *")
    holder = open_descriptor(function, *arguments, error)
    if holder.fd < 0:
        fail(holder.fd, error, filename=filename)
    return Descriptor(holder)


def create() -> Descriptor:
    """netstrat_netns_create."""
    return _open(lib.netstrat_netns_create)


def open_path(path: object) -> Descriptor:
    """netstrat_netns_open, of what the kernel says is a network namespace."""
    encoded = encode_path(path, "netns")
    found = _open(lib.netstrat_netns_open, encoded, filename=str(path))
    check(found.fd, str(path))
    return found


def open_own() -> Descriptor:
    """The calling thread's, also where there is no /proc."""
    try:
        return _open(lib.netstrat_netns_open, _OWN, filename=_OWN.decode())
    except KernelError:
        sock = _open_socket(None)
        try:
            return Descriptor(open_descriptor(ioctl, sock.fd, _SIOCGSKNS))
        except OSError:
            pass
        finally:
            lib.netstrat_socket_close(sock)
        raise


def _open_socket(namespace: Namespace | None) -> Any:
    """A struct netstrat_socket in a namespace; None: in the calling thread's."""
    error, sock = ffi.new("struct netstrat_error *"), new_socket()
    buffer = ffi.new("unsigned char[]", _SOCKET_SIZE)  # of no use once this returns, nor needed
    if namespace is None:
        code = lib.netstrat_socket_open(sock, buffer, _SOCKET_SIZE, error)
        if code < 0:
            fail(code, error)
    else:
        code = lib.netstrat_socket_open_at(sock, buffer, _SOCKET_SIZE, namespace.fd, error)
        if code < 0:
            namespace.fail(code, error)
    return sock


def to_netns_fd(namespace: Namespace) -> Namespace:
    """The same, its descriptor being the namespace's own also where a pidfd was given.

    Messages name namespaces by such descriptors alone.

    Raises:
        KernelError: it is neither.
    """
    if not is_netns(namespace.fd):
        sock = _open_socket(namespace)
        try:
            namespace.hold(open_descriptor(ioctl, sock.fd, _SIOCGSKNS))
        except OSError as error:
            code = error.errno or EINVAL
            raise kernel_error(code, lib.NETSTRAT_OP_SETNS, filename=namespace.shown) from None
        finally:
            lib.netstrat_socket_close(sock)
    return namespace


def duplicate(namespace: Namespace) -> Descriptor:
    """A descriptor of its own."""
    try:
        return Descriptor(open_descriptor(os.dup, to_netns_fd(namespace).fd))
    except KernelError:
        raise
    except OSError as error:
        code, step = error.errno or EINVAL, lib.NETSTRAT_OP_OPEN_NETNS
        raise kernel_error(code, step, filename=namespace.shown) from None


def is_netns(fd: int) -> bool:
    """netstrat_netns_is."""
    return bool(lib.netstrat_netns_is(fd))


def check(fd: int, shown: str) -> None:
    """Raises KernelError unless the descriptor is that of a network namespace."""
    if not is_netns(fd):
        raise kernel_error(EINVAL, lib.NETSTRAT_OP_SETNS, filename=shown)


def identify(fd: int, shown: str) -> tuple[int, int]:
    """Device and inode of the namespace that a descriptor is of."""
    try:
        status = os.fstat(fd)
    except OSError as error:
        code, step = error.errno or EINVAL, lib.NETSTRAT_OP_FSTAT
        raise kernel_error(code, step, filename=shown) from None
    return status.st_dev, status.st_ino


def enter(fd: int, shown: str) -> None:
    """netstrat_netns_enter: the calling thread."""
    error = ffi.new("struct netstrat_error *")
    code = lib.netstrat_netns_enter(fd, error)
    if code < 0:
        fail(code, error, filename=shown)


def no_thread(fd: int) -> KernelError:
    """The error for a thread that could not be started.

    Parameters:
        fd: any network namespace. The core tries to start a thread for it, since Python does not
            say why it could not.
    """
    try:
        sock = _open_socket(Namespace(fd))
    except KernelError as error:
        return error
    lib.netstrat_socket_close(sock)
    return kernel_error(EAGAIN, lib.NETSTRAT_OP_PTHREAD_CREATE)


class visit:  # noqa: N801  # used as a function
    """The calling thread in a namespace, as a context, and home again where /proc shows the way."""

    def __init__(self, fd: int, shown: str) -> None:
        self._fd, self._shown = fd, shown

    def __enter__(self) -> None:
        try:
            self._home: Descriptor | None = open_own()
        except OSError:
            self._home = None
        enter(self._fd, self._shown)

    def __exit__(self, *_: object) -> None:
        if self._home is not None:
            enter(self._home.fd, "the thread's own namespace")
            self._home.close()


def cookie(fd: int) -> int | None:
    """netstrat_netns_cookie, of a socket opened there for the purpose; None before Linux 5.14."""
    error, value = ffi.new("struct netstrat_error *"), ffi.new("uint64_t *")
    sock = _open_socket(Namespace(fd))
    code = lib.netstrat_netns_cookie(sock, value, error)
    lib.netstrat_socket_close(sock)
    if code == -ENOPROTOOPT:
        return None
    if code < 0:
        fail(code, error)
    return int(value[0])


def bind(fd: int, path: str) -> None:
    """netstrat_netns_bind."""
    error = ffi.new("struct netstrat_error *")
    code = lib.netstrat_netns_bind(fd, RUN_NETNS.encode(), encode_path(path, "name"), error)
    if code < 0:
        fail(code, error, filename=path)


def unbind(path: str) -> None:
    """netstrat_netns_unbind."""
    error = ffi.new("struct netstrat_error *")
    code = lib.netstrat_netns_unbind(encode_path(path, "name"), error)
    if code < 0:
        fail(code, error, filename=path)


# ---- children ----

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_SIGKILL = 9


def die_with_parent(parent: int) -> None:
    """Has the kernel kill this process, a fresh child, when the thread that forked it ends.

    Parameters:
        parent: the id of the parent, which may have ended already: then the process is killed now.
    """
    lib.prctl(_PR_SET_PDEATHSIG, ffi.cast("unsigned long", _SIGKILL))
    if os.getppid() != parent:
        os.kill(os.getpid(), _SIGKILL)


def separate_mounts() -> None:
    """netstrat_mounts_separate: the calling thread."""
    error = ffi.new("struct netstrat_error *")
    code = lib.netstrat_mounts_separate(error)
    if code < 0:
        fail(code, error)


def bind_mount(source: str, target: str) -> None:
    """netstrat_mounts_bind: a file or a directory over another."""
    error = ffi.new("struct netstrat_error *")
    code = lib.netstrat_mounts_bind(
        encode_path(source, "source"), encode_path(target, "target"), error
    )
    if code < 0:
        fail(code, error, filename=target)
