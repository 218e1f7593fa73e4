"""`NetworkNamespace`: network namespaces that are made, opened, named and entered."""

from __future__ import annotations

import os
import stat
from _operator import index
from errno import EBADF, EEXIST, ENOENT, ESRCH

from ._handle import Closable
from ._namespace_thread import run_in_namespace
from ._native import Namespace
from ._native import netns as native
from .errors import KernelError, PermissionDeniedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from typing import Any, TypeVar

    from .types import Netns

    Result = TypeVar("Result")

_UNNAMED = "a new namespace"


class NetworkNamespace(Closable):
    """A handle of a network namespace, which lives at least as long as the handle is open.

    `create`, `open`, `of_process` and `current` return one. The calling thread never changes its
    namespace: `call`, `popen` and `run` start a thread, which enters the namespace.

    It is a context manager. Threads may share it, and it works in a forked child.

    Example:
        >>> with NetworkNamespace.create() as namespace:
        ...     namespace.run(["ip", "-brief", "link"])
    """

    __slots__ = ("_cookie", "_descriptor", "_id", "_name", "_shown")

    def __init__(
        self,
        descriptor: native.Descriptor,
        shown: str,
        name: str = "",
        id: tuple[int, int] | None = None,
    ) -> None:
        """Only for the class methods."""
        if id is None:
            try:
                id = native.identify(descriptor.fd, shown)
            except KernelError:
                descriptor.close()
                raise
        self._id = id
        self._descriptor = descriptor
        self._shown = shown
        self._name = name
        self._cookie: int | bool | None = False  # False: not read yet

    # ---- created and opened ----

    @classmethod
    def create(cls, name: str = "") -> NetworkNamespace:
        """Makes a network namespace. It has one link, `lo`, which is down.

        Parameters:
            name: a name under /run/netns, as `ip netns add` makes one; the namespace then lives
                until the name is deleted. With "" the namespace has no name, and lives as long as a
                descriptor, a process or a socket refers to it.

        Raises:
            PermissionDeniedError: CAP_SYS_ADMIN is missing.
            KernelError: the name is taken (EEXIST; the hint says if the file is stale), no thread
                can be started (for example after `unshare(CLONE_NEWPID)`), or another failure.
            ValueError: the name is not one file name of 1 to 255 bytes.
        """
        path = _path(name) if name else ""
        descriptor = native.create()
        try:
            if name:
                native.bind(descriptor.fd, path)
            return cls(descriptor, path or _UNNAMED, name)
        except BaseException as error:
            if isinstance(error, KernelError):
                if error.errno == EEXIST and _is_stale(path):
                    error.hint = (
                        "no namespace is mounted on this file: it is stale, unless another process"
                        " is naming a namespace now; remove it with "
                        f"NetworkNamespace.delete({name!r})"
                    )
            elif name and _is_at(path, descriptor.fd):  # a signal handler raised after the mount
                native.unbind(path)
            descriptor.close()
            raise

    @classmethod
    def open(cls, netns: Netns) -> NetworkNamespace:
        """Opens an existing network namespace.

        Parameters:
            netns: a path, a name under /run/netns (a string without a slash), the descriptor of a
                namespace, a pidfd (Linux 5.8), or an object with `fileno()`.

        Raises:
            KernelError: it does not exist, or is not a network namespace.
            TypeError: `netns` is none of these.
        """
        if isinstance(netns, NetworkNamespace):  # which is known to be one
            descriptor = native.duplicate(netns.fileno(), netns)
            return cls(descriptor, netns._shown, netns._name, netns._id)
        given = native.to_netns_fd(Namespace(netns))
        shown = given.shown
        descriptor = native.duplicate(given.fd, shown)
        folder, _, name = shown.rpartition("/")
        return cls(descriptor, shown, name if folder == native.RUN_NETNS else "")

    @classmethod
    def of_process(cls, pid: int) -> NetworkNamespace:
        """Opens the network namespace of a process.

        Parameters:
            pid: the process id.

        Raises:
            KernelError: the process does not exist (ESRCH).
            PermissionDeniedError: the process belongs to another user.
            TypeError: `pid` is not an integer.
        """
        if isinstance(pid, bool):
            raise TypeError(f"pid must be an integer, not {pid!r}")
        path = f"/proc/{index(pid)}/ns/net"
        try:
            return cls(native.open_path(path), path)
        except KernelError as error:
            if error.errno != ENOENT:
                raise
            hint = f"process {pid} does not exist"
            raise KernelError(ESRCH, "open netns", hint=hint, filename=path) from None

    @classmethod
    def current(cls) -> NetworkNamespace:
        """Opens the calling thread's network namespace.

        Raises:
            KernelError: the kernel refuses a descriptor.
        """
        return cls(native.open_own(), "/proc/thread-self/ns/net")

    # ---- names ----

    @staticmethod
    def names() -> list[str]:
        """Lists the names under /run/netns, sorted.

        Files that are not network namespaces for the kernel (`NS_GET_NSTYPE`, man 2 ioctl_ns) are
        left out.

        Raises:
            KernelError: the directory can't be read.
        """
        try:
            entries = sorted(os.listdir(native.RUN_NETNS))  # noqa: PTH208  # names alone
        except FileNotFoundError:
            return []
        except OSError as error:
            kind = PermissionDeniedError if isinstance(error, PermissionError) else KernelError
            raise kind(error.errno or 0, "open", filename=native.RUN_NETNS) from None
        return [entry for entry in entries if _is_netns(f"{native.RUN_NETNS}/{entry}")]

    @staticmethod
    def delete(name: str) -> None:
        """Deletes a name under /run/netns. The namespace ends once nothing refers to it.

        It also removes what an interrupted `create` or `ip netns add` leaves: an empty file without
        a mount, or a symbolic link to a missing file.

        Parameters:
            name: the name.

        Raises:
            KernelError: the name does not exist, or is not that of a network namespace.
            ValueError: the name is not one file name of 1 to 255 bytes.
        """
        path = _path(name)
        try:
            native.open_path(path).close()
        except KernelError:
            if not _is_stale(path):
                raise
        native.unbind(path)

    # ---- properties ----

    def fileno(self) -> int:
        """Returns the descriptor of the namespace.

        Raises:
            KernelError: the handle is closed (EBADF).
        """
        fd = self._descriptor.fd
        if fd < 0:
            hint = "this NetworkNamespace is closed: open it again"
            raise KernelError(EBADF, "fileno", hint=hint)
        return fd

    @property
    def id(self) -> tuple[int, int]:
        """The device and inode of the namespace's file.

        All handles of a namespace have the same one. The kernel may give it to another namespace
        once this one has ended.
        """
        return self._id

    @property
    def cookie(self) -> int | None:
        """The namespace's cookie (`SO_NETNS_COOKIE`), which no other namespace ever has.

        None before Linux 5.14.

        Raises:
            PermissionDeniedError: entering the namespace needs CAP_SYS_ADMIN.
            KernelError: the handle is closed.
        """
        if self._cookie is False:
            self._cookie = native.cookie(Namespace(self))
        return self._cookie

    @property
    def name(self) -> str:
        """The name under /run/netns with which the handle was made or opened, or ""."""
        return self._name

    def __str__(self) -> str:
        """The path or descriptor by which the namespace was opened, or else its inode."""
        if self._shown == _UNNAMED:
            return f"the namespace with inode {self._id[1]}"
        return self._shown

    def __repr__(self) -> str:
        state = "" if self._descriptor.fd >= 0 else ", closed"
        return f"<NetworkNamespace {self._shown} (inode {self._id[1]}){state}>"

    # ---- functions and programs in the namespace ----

    def call(self, function: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Result:
        """Calls a function in a thread that has entered the namespace.

        The thread is one of the operating system, even if gevent or eventlet have patched
        `threading`; other greenlets wait until the function returns. A socket that the function
        opens stays in the namespace, and keeps the namespace alive.

        Parameters:
            function: what to call.
            args, kwargs: its arguments.

        Returns:
            What the function returns. An exception of the function is raised in the caller.

        Raises:
            PermissionDeniedError: entering needs CAP_SYS_ADMIN over the namespace.
            KernelError: the handle is closed, or no thread can be started.

        Example:
            >>> with NetworkNamespace.create() as namespace:
            ...     sock = namespace.call(socket.create_server, ("127.0.0.1", 0))
        """
        return run_in_namespace(self.fileno(), self._shown, lambda: function(*args, **kwargs))

    def popen(
        self,
        args: Any,
        *,
        die_with_parent: bool = False,
        resolv_conf: str | bytes | os.PathLike[Any] | None = None,
        private_sys: bool = False,
        **options: Any,
    ) -> subprocess.Popen[Any]:
        """Starts a program in the namespace, as `subprocess.Popen` does.

        The child has the working directory, the umask and the signal mask of the caller. If the
        namespace has a name and /etc/netns/NAME exists, the child gets a mount namespace in which
        the files there replace those of /etc, as for `ip netns exec`; a RuntimeWarning names each
        file for which that fails.

        Parameters:
            args, options: as for `subprocess.Popen`.
            die_with_parent: the kernel kills the child when this process ends, however it ends
                (PR_SET_PDEATHSIG, SIGKILL). The kernel clears this setting when the child executes
                a set-user-ID program or one with file capabilities (man 2 prctl). A thread that
                lives as long as the child forks it, so a child that sets PR_SET_PDEATHSIG itself
                also gets the signal only when this process ends.
            resolv_conf: a file that replaces /etc/resolv.conf for the child, also one of
                /etc/netns/NAME. None: the child's /etc/resolv.conf is not changed.
            private_sys: the child gets a /sys that shows the namespace. Mounts below the caller's
                /sys, such as /sys/fs/cgroup, stay visible there. False: the child's /sys shows the
                caller's namespace.

        Raises:
            PermissionDeniedError: entering or mounting needs CAP_SYS_ADMIN.
            KernelError: the handle is closed, no thread can be started, `resolv_conf` or
                /etc/resolv.conf does not exist (ENOENT), or the kernel refuses a mount.
            OSError: as from `subprocess.Popen`.

        Example:
            >>> namespace.popen(["worker"], die_with_parent=True, resolv_conf="/srv/resolv.conf")
        """
        from . import _children

        mount_sys: Callable[[], None] | None = None
        if private_sys:
            from ._private_sys import mount_private_sys

            mount_sys = mount_private_sys

        return _children.popen(
            self.fileno(),
            self._shown,
            self._name,
            args,
            die_with_parent=die_with_parent,
            resolv_conf=resolv_conf,
            mount_sys=mount_sys,
            options=options,
        )

    def run(
        self,
        args: Any,
        *,
        input: Any = None,
        capture_output: bool = False,
        timeout: float | None = None,
        check: bool = False,
        **options: Any,
    ) -> subprocess.CompletedProcess[Any]:
        """Runs a program in the namespace and waits for it, as `subprocess.run` does.

        Parameters:
            args, input, capture_output, check: as for `subprocess.run`.
            timeout: seconds, after which the program is killed; None: no limit.
            options: as for `popen`.

        Raises:
            PermissionDeniedError: entering needs CAP_SYS_ADMIN over the namespace.
            KernelError: the handle is closed, or no thread can be started.
            subprocess.TimeoutExpired: the program was still running after `timeout`.
            subprocess.CalledProcessError: with `check`, the program's status is not 0.
            OSError, ValueError: as from `subprocess.run`.

        Example:
            >>> with NetworkNamespace.create() as namespace:
            ...     namespace.run(["ip", "link"], capture_output=True, text=True).stdout
        """
        from . import _children

        return _children.run(
            self.popen,
            args,
            input,
            timeout,
            capture_output=capture_output,
            check=check,
            options=options,
        )

    # ---- the handle ----

    def close(self) -> None:
        """Closes the handle. Closing it twice does no harm."""
        self._descriptor.close()

    def _get_close(self) -> Callable[[], object] | None:
        descriptor = getattr(self, "_descriptor", None)  # missing if __init__ failed
        return None if descriptor is None or descriptor.fd < 0 else descriptor.close


def _path(name: object) -> str:
    """The path of a name under /run/netns; ValueError if the name is invalid."""
    fits = isinstance(name, str) and name not in ("", ".", "..") and not {"/", "\0"} & set(name)
    if not fits or len(os.fsencode(name)) > 255:  # type: ignore[arg-type]
        raise ValueError(
            "the name of a network namespace must be one file name of 1 to 255 bytes, neither "
            f'"." nor "..", not {name!r}'
        )
    return f"{native.RUN_NETNS}/{name}"


def _is_netns(path: str) -> bool:
    try:
        native.open_path(path).close()
    except OSError:
        return False
    return True


def _is_at(path: str, fd: int) -> bool:
    """Whether the file at `path` is the namespace of the descriptor."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(fd))  # noqa: PTH116
    except OSError:
        return False


def _is_stale(path: str) -> bool:
    """Whether the file is a leftover: empty and without a mount, or a link to a missing file."""
    try:
        found, folder = os.lstat(path), os.lstat(os.path.dirname(path))  # noqa: PTH120
    except OSError:
        return False
    if stat.S_ISLNK(found.st_mode):
        return not os.path.exists(path)  # noqa: PTH110
    is_empty = stat.S_ISREG(found.st_mode) and found.st_size == 0
    return is_empty and found.st_dev == folder.st_dev
