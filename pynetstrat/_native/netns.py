"""Network namespaces: made, opened, named, entered by a thread."""

from __future__ import annotations

import os
from errno import EAGAIN, EINVAL, ENOPROTOOPT
from fcntl import ioctl

from .._core import ffi, lib
from ..errors import KernelError, PermissionDeniedError
from . import (
    SMALL_BUFFER,
    Namespace,
    encode_path,
    fail,
    kernel_error,
    open_descriptor,
    open_socket,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

RUN_NETNS = "/run/netns"
_OWN = b"/proc/thread-self/ns/net"
_SIOCGSKNS = lib.NETSTRAT_SIOCGSKNS
NS_GET_USERNS: int = lib.NETSTRAT_NS_GET_USERNS

# The flags of unshare(2) and setns(2), and of mount(2).
CLONE_NEWNS: int = lib.CLONE_NEWNS
CLONE_NEWUSER: int = lib.CLONE_NEWUSER
CLONE_NEWNET: int = lib.CLONE_NEWNET
MS_BIND: int = lib.MS_BIND
MS_REC: int = lib.MS_REC
MS_PRIVATE: int = lib.MS_PRIVATE
MS_SLAVE: int = lib.MS_SLAVE
MS_RDONLY: int = lib.MS_RDONLY
MS_NOSUID: int = lib.MS_NOSUID
MS_NODEV: int = lib.MS_NODEV
MS_NOEXEC: int = lib.MS_NOEXEC


class Descriptor:
    """A descriptor of a network namespace, closed at the latest when the object is collected."""

    __slots__ = ("_closable", "_holder")

    def __init__(self, holder: Any) -> None:
        self._holder = holder
        self._closable = [holder]  # empty once closed

    @property
    def fd(self) -> int:
        """The descriptor; -1 once closed."""
        return self._holder.fd  # type: ignore[no-any-return]

    def close(self) -> None:
        """Closes the descriptor. A second call does nothing, whichever thread makes it."""
        # The core runs without the GIL. Closed twice, the number might be that of another file by
        # then; pop() is atomic, also in a free-threaded Python.
        try:
            holder = self._closable.pop()
        except IndexError:
            return
        lib.netstrat_socket_close(holder)


def _open(function: Any, *arguments: object, filename: str | None = None) -> Descriptor:
    error = ffi.new("struct netstrat_error *")
    holder = open_descriptor(function, *arguments, error)
    if holder.fd < 0:
        fail(holder.fd, error, filename=filename)
    return Descriptor(holder)


def create() -> Descriptor:
    """Makes a network namespace."""
    return _open(lib.netstrat_netns_create)


def open_path(path: object) -> Descriptor:
    """Opens a path. Raises KernelError if it is not that of a network namespace."""
    encoded = encode_path(path, "netns")
    found = _open(lib.netstrat_netns_open, encoded, filename=str(path))
    check(found.fd, str(path))
    return found


def open_own() -> Descriptor:
    """Opens the calling thread's namespace, by a socket if /proc is missing."""
    try:
        return _open(lib.netstrat_netns_open, _OWN, filename=_OWN.decode())
    except KernelError:
        sock = open_socket(ffi.new("unsigned char[]", SMALL_BUFFER))
        try:
            return Descriptor(open_descriptor(ioctl, sock.fd, _SIOCGSKNS))
        except OSError:
            pass
        finally:
            lib.netstrat_socket_close(sock)
        raise


def to_netns_fd(namespace: Namespace) -> Namespace:
    """Replaces a pidfd by a descriptor of its network namespace, and returns the namespace.

    Messages can name a namespace only by a descriptor of the namespace itself.

    Raises:
        KernelError: the descriptor is neither.
    """
    if not is_netns(namespace.fd):
        sock = open_socket(ffi.new("unsigned char[]", SMALL_BUFFER), namespace)
        try:
            namespace.hold(open_descriptor(ioctl, sock.fd, _SIOCGSKNS))
        except OSError as error:
            code = error.errno or EINVAL
            raise kernel_error(code, lib.NETSTRAT_OP_SETNS, filename=namespace.shown) from None
        finally:
            lib.netstrat_socket_close(sock)
    return namespace


def duplicate(fd: int, shown: object) -> Descriptor:
    """Returns another descriptor of a namespace.

    Parameters:
        shown: what errors name the namespace by: a text, or an object with one.
    """
    try:
        return Descriptor(open_descriptor(os.dup, fd))
    except OSError as error:
        code, operation = error.errno or EINVAL, lib.NETSTRAT_OP_OPEN_NETNS
        raise kernel_error(code, operation, filename=str(shown)) from None


def is_netns(fd: int) -> bool:
    """Returns whether a descriptor is that of a network namespace (NS_GET_NSTYPE)."""
    return bool(lib.netstrat_netns_is(fd))


def check(fd: int, shown: str) -> None:
    """Raises KernelError unless a descriptor is that of a network namespace."""
    if not is_netns(fd):
        raise kernel_error(EINVAL, lib.NETSTRAT_OP_SETNS, filename=shown)


def identify(fd: int, shown: str) -> tuple[int, int]:
    """Returns device and inode of the namespace of a descriptor."""
    try:
        status = os.fstat(fd)
    except OSError as error:
        code, operation = error.errno or EINVAL, lib.NETSTRAT_OP_FSTAT
        raise kernel_error(code, operation, filename=shown) from None
    return status.st_dev, status.st_ino


def enter(fd: int, shown: str) -> None:
    """Moves the calling thread into a namespace."""
    error = ffi.new("struct netstrat_error *")
    code = lib.netstrat_netns_enter(fd, error)
    if code < 0:
        fail(code, error, filename=shown)


def no_thread(fd: int) -> KernelError:
    """Makes the error for a thread that could not be started.

    Parameters:
        fd: any network namespace. The core tries to start a thread for it, since Python does not
            report the cause.
    """
    try:
        sock = open_socket(ffi.new("unsigned char[]", SMALL_BUFFER), Namespace(fd))
    except KernelError as error:
        return error
    lib.netstrat_socket_close(sock)
    return kernel_error(EAGAIN, lib.NETSTRAT_OP_PTHREAD_CREATE)


class entered:  # noqa: N801  # used as a function
    """A context in which the calling thread, a temporary one, is in a namespace.

    The thread returns to its own namespace afterwards if that could be opened before, and if it is
    allowed to: after `unshare --user` that namespace still belongs to the outer user namespace.
    """

    def __init__(self, fd: int, shown: str) -> None:
        self._fd, self._shown = fd, shown

    def __enter__(self) -> None:
        try:
            self._own: Descriptor | None = open_own()
        except OSError:
            self._own = None
        enter(self._fd, self._shown)

    def __exit__(self, *_: object) -> None:
        if self._own is not None:
            try:  # noqa: SIM105  # contextlib takes long to load
                enter(self._own.fd, "the thread's own namespace")
            except PermissionDeniedError:
                pass
            self._own.close()


def cookie(namespace: Namespace) -> int | None:
    """Returns a namespace's cookie (SO_NETNS_COOKIE), or None before Linux 5.14.

    It opens a socket in the namespace to read it.
    """
    sock = open_socket(ffi.new("unsigned char[]", SMALL_BUFFER), namespace)
    try:
        return read_cookie(sock)
    finally:
        lib.netstrat_socket_close(sock)


def read_cookie(sock: Any) -> int | None:
    """Returns the cookie of a socket's namespace, or None before Linux 5.14."""
    error, value = ffi.new("struct netstrat_error *"), ffi.new("uint64_t *")
    code = lib.netstrat_netns_cookie(sock, value, error)
    if code == -ENOPROTOOPT:
        return None
    if code < 0:
        fail(code, error)
    return int(value[0])


def bind(fd: int, path: str) -> None:
    """Gives a namespace a name: a path under /run/netns, as `ip netns add` does."""
    error = ffi.new("struct netstrat_error *")
    code = lib.netstrat_netns_bind(fd, RUN_NETNS.encode(), encode_path(path, "name"), error)
    if code < 0:
        fail(code, error, filename=path)


def unbind(path: str) -> None:
    """Removes the name of a namespace, as `ip netns delete` does."""
    error = ffi.new("struct netstrat_error *")
    code = lib.netstrat_netns_unbind(encode_path(path, "name"), error)
    if code < 0:
        fail(code, error, filename=path)


# ---- children ----


def die_with_parent(parent: int) -> None:
    """Asks the kernel to kill this process, a new child, when the thread that forked it ends.

    Parameters:
        parent: the id of the parent. If it has ended already, the process is killed now.
    """
    lib.prctl(lib.PR_SET_PDEATHSIG, ffi.cast("unsigned long", lib.SIGKILL))
    if os.getppid() != parent:
        os.kill(os.getpid(), lib.SIGKILL)


def separate_mounts() -> None:
    """Moves the calling thread into a mount namespace of its own, as `ip netns exec` does."""
    error = ffi.new("struct netstrat_error *")
    code = lib.netstrat_mounts_separate(error)
    if code < 0:
        fail(code, error)


def bind_mount(source: str, target: str) -> None:
    """Mounts a file or directory over another one."""
    error = ffi.new("struct netstrat_error *")
    code = lib.netstrat_mounts_bind(
        encode_path(source, "source"), encode_path(target, "target"), error
    )
    if code < 0:
        fail(code, error, filename=target)
