"""Network namespaces: made, opened, named, and entered by a thread of their own."""

from __future__ import annotations

import os
import subprocess
import threading
from _warnings import warn
from errno import EBADF, ENOENT, ESRCH

from ._native import Namespace
from ._native import netns as native
from .errors import KernelError, PermissionDeniedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, NoReturn, TypeVar

    from .arguments import Netns

    Result = TypeVar("Result")


class NetworkNamespace:
    """A handle of a network namespace, which lives at least as long as the handle is open.

    The calling thread never moves: what has to happen in the namespace is done by a thread that
    lives for that only. A context manager; safe to share among threads, and with forked children.

    Made by `create`, `open`, `of_process` and `current`.
    """

    __slots__ = ("__weakref__", "_cookie", "_descriptor", "_id", "_name", "_shown")

    def __init__(self, descriptor: native.Descriptor, shown: str, name: str = "") -> None:
        """For the class methods alone."""
        try:
            self._id = native.identify(descriptor.fd, shown)
        except KernelError:
            descriptor.close()
            raise
        self._descriptor = descriptor
        self._shown = shown
        self._name = name
        self._cookie: int | bool | None = False  # False: not asked for yet

    # ---- where from ----

    @classmethod
    def create(cls, name: str = "") -> NetworkNamespace:
        """Makes a network namespace, in which there is `lo` alone, and that is down.

        Parameters:
            name: its name under /run/netns, as `ip netns add` gives one: it then lives until it
                is deleted. "": it has none, and is gone with its last descriptor, process and
                socket.

        Raises:
            PermissionDeniedError: CAP_SYS_ADMIN is missing.
            KernelError: the name is taken (EEXIST), or something else is refused.
            ValueError: that is not a name.
        """
        path = _path(name) if name else ""
        descriptor = native.create()
        if name:
            try:
                native.bind(descriptor.fd, path)
            except BaseException:
                descriptor.close()
                raise
        return cls(descriptor, path or "a new namespace", name)

    @classmethod
    def open(cls, netns: Netns) -> NetworkNamespace:
        """Opens an existing one: a path, a name, a descriptor, or an object with `fileno()`.

        Raises:
            KernelError: there is none, or it is not a network namespace.
        """
        given = Namespace(netns)
        descriptor = native.duplicate(given)
        if isinstance(netns, NetworkNamespace):
            return cls(descriptor, netns._shown, netns.name)
        folder, _, name = given.shown.rpartition("/")
        return cls(descriptor, given.shown, name if folder == native.RUN_NETNS else "")

    @classmethod
    def of_process(cls, pid: int) -> NetworkNamespace:
        """That of a process.

        Raises:
            KernelError: there is no such process (ESRCH).
            PermissionDeniedError: it is another user's.
        """
        path = f"/proc/{int(pid)}/ns/net"
        try:
            return cls(native.open_path(path), path)
        except KernelError as error:
            if error.errno != ENOENT:
                raise
            hint = f"there is no process {pid}"
            raise KernelError(ESRCH, "open netns", hint=hint, filename=path) from None

    @classmethod
    def current(cls) -> NetworkNamespace:
        """The calling thread's."""
        return cls(native.open_own(), "/proc/thread-self/ns/net")

    # ---- names ----

    @staticmethod
    def names() -> list[str]:
        """The names under /run/netns, sorted; only what the kernel says is a network namespace.

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
        """Takes the name away; the namespace ends once nothing else holds it.

        Raises:
            KernelError: there is none of that name, or it is not a network namespace.
            ValueError: that is not a name.
        """
        path = _path(name)
        native.open_path(path).close()
        native.unbind(path)

    # ---- what it is ----

    def fileno(self) -> int:
        """Its descriptor.

        Raises:
            KernelError: it is closed.
        """
        fd = self._descriptor.fd
        if fd < 0:
            hint = "this NetworkNamespace is closed: open it again"
            raise KernelError(EBADF, "fileno", hint=hint)
        return fd

    @property
    def id(self) -> tuple[int, int]:
        """Its device and inode: the same for every handle while it lives, and used again later."""
        return self._id

    @property
    def cookie(self) -> int | None:
        """A number that no other namespace ever has (SO_NETNS_COOKIE); None before Linux 5.14."""
        if self._cookie is False:
            self._cookie = native.cookie(self.fileno())
        return self._cookie

    @property
    def name(self) -> str:
        """Its name under /run/netns by which it was made or opened, or ""."""
        return self._name

    def __repr__(self) -> str:
        state = "" if self._descriptor.fd >= 0 else ", closed"
        return f"<NetworkNamespace {self._shown} (inode {self._id[1]}){state}>"

    # ---- work in it ----

    def call(self, function: Callable[..., Result], *args: object) -> Result:
        """The function's result, from a thread that has entered the namespace.

        A socket of any family that is opened there stays in the namespace, and keeps it alive.
        What the function raises is raised here.

        Raises:
            PermissionDeniedError: it is not to be entered without CAP_SYS_ADMIN over it.
            KernelError: the handle is closed.
        """
        return _run(self.fileno(), self._shown, function, *args)

    def popen(self, args: Any, **options: Any) -> subprocess.Popen[Any]:
        """`subprocess.Popen` with the child in the namespace.

        Only the fork happens in another thread: the child has the caller's signal mask, and is
        waited for as any other. Its /sys shows the caller's namespace still. A `preexec_fn` that
        sets PR_SET_PDEATHSIG would have the child killed at once, when that thread ends.
        """
        started: list[subprocess.Popen[Any]] = []

        def start() -> None:
            started.append(subprocess.Popen(args, **options))  # noqa: S603  # the caller's choice

        try:
            _run(self.fileno(), self._shown, start, finish=True)
        except BaseException:
            for process in started:  # a signal handler has raised meanwhile
                process.kill()
                with process:  # closes its pipes and waits for it
                    pass
            raise
        return started[0]

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
        """`subprocess.run` with the child in the namespace; see `popen`."""
        if input is not None:
            if options.get("stdin") is not None:
                raise ValueError("stdin and input can't be used together")
            options["stdin"] = subprocess.PIPE
        if capture_output:
            if options.get("stdout") is not None or options.get("stderr") is not None:
                raise ValueError("stdout and stderr can't be used with capture_output")
            options["stdout"] = options["stderr"] = subprocess.PIPE
        with self.popen(args, **options) as process:
            try:
                stdout, stderr = process.communicate(input, timeout=timeout)
            except BaseException:  # TimeoutExpired, which holds what was read, or Ctrl-C
                process.kill()
                process.wait()
                raise
        done = subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)
        if check:
            done.check_returncode()
        return done

    # ---- the handle ----

    def close(self) -> None:
        """Closes the handle. Closing twice does no harm."""
        self._descriptor.close()

    def __enter__(self) -> NetworkNamespace:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        descriptor = getattr(self, "_descriptor", None)  # None: __init__ never began
        if descriptor is not None and descriptor.fd >= 0:
            warn(f"unclosed {self!r}", ResourceWarning, 1, self)
            descriptor.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a NetworkNamespace can't be copied or pickled: open it again")


def _path(name: object) -> str:
    """The path of a name under /run/netns."""
    fits = isinstance(name, str) and name not in ("", ".", "..") and not {"/", "\0"} & set(name)
    if not fits or len(os.fsencode(name)) > 255:  # type: ignore[arg-type]
        raise ValueError(
            "the name of a network namespace is one file name of 1 to 255 bytes, neither "
            f'"." nor "..", not {name!r}'
        )
    return f"{native.RUN_NETNS}/{name}"


def _is_netns(path: str) -> bool:
    try:
        native.open_path(path).close()
    except OSError:
        return False
    return True


def _run(
    fd: int, shown: str, function: Callable[..., Result], *args: object, finish: bool = False
) -> Result:
    """Runs the function in a thread that enters the namespace, and leaves it before it ends.

    `finish`: what a signal handler raises meanwhile is raised only after the function has returned.
    """
    outcome: list[Any] = []
    raised: list[BaseException] = []
    over = threading.Lock()
    over.acquire()

    def visit() -> None:
        try:
            with native.visit(fd, shown):
                outcome.append(function(*args))
        except BaseException as error:
            raised.append(error)
        finally:
            over.release()

    thread = threading.Thread(target=visit, name="pynetstrat", daemon=True)
    thread.start()
    try:
        over.acquire()  # not join(): after one that is interrupted, a thread counts as ended
    except BaseException:
        while finish:
            try:
                finish = not over.acquire()
            except BaseException:  # noqa: S112  # the first one is raised
                continue
        raise
    thread.join()
    if raised:
        try:
            raise raised[0]
        finally:
            raised.clear()  # no cycle of the error and this frame
    result: Result = outcome[0]
    return result
