"""Network namespaces: made, opened, named, and entered by a thread of their own."""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import stat
import subprocess
import threading
from _warnings import warn
from errno import EBADF, EEXIST, ENOENT, ESRCH
from importlib.machinery import BuiltinImporter, ModuleSpec
from operator import index

from ._handle import report_unclosed
from ._native import Namespace
from ._native import netns as native
from .errors import KernelError, PermissionDeniedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, NoReturn, TypeVar

    from .types import Netns

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
            KernelError: the name is taken (EEXIST; the hint says if the file is stale), no thread
                can be started (after `unshare(CLONE_NEWPID)`, for one), or something else failed.
            ValueError: the name is invalid.
        """
        path = _path(name) if name else ""
        descriptor = native.create()
        try:
            if name:
                native.bind(descriptor.fd, path)
            return cls(descriptor, path or "a new namespace", name)
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
        """Opens the network namespace of a process.

        Raises:
            KernelError: the process does not exist (ESRCH).
            PermissionDeniedError: it belongs to another user.
            TypeError: the id is not an integer.
        """
        if isinstance(pid, bool):
            raise TypeError(f"pid must be an integer, not {pid!r}")
        path = f"/proc/{index(pid)}/ns/net"
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
        """Deletes the name; the namespace ends once nothing else holds it.

        An empty file on which nothing is mounted, or a symbolic link that leads nowhere, is removed
        too: an interrupted `create` or `ip netns add` leaves such a file.

        Raises:
            KernelError: the name does not exist, or is not that of a network namespace.
            ValueError: the name is invalid.
        """
        path = _path(name)
        try:
            native.open_path(path).close()
        except KernelError:
            if not _is_stale(path):
                raise
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

    def call(self, function: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Result:
        """Calls the function in a thread that has entered the namespace, and returns its result.

        The thread is one of the operating system's, also where gevent or eventlet have patched
        `threading`; other greenlets wait meanwhile. A socket of any family that is opened in the
        function stays in the namespace, and keeps it alive. An exception of the function is raised
        here.

        Raises:
            PermissionDeniedError: entering needs CAP_SYS_ADMIN over the namespace.
            KernelError: the handle is closed, or no thread can be started.
        """
        return _run(self.fileno(), self._shown, lambda: function(*args, **kwargs))

    def popen(
        self, args: Any, *, die_with_parent: bool = False, **options: Any
    ) -> subprocess.Popen[Any]:
        """`subprocess.Popen` with the child in the namespace.

        A thread of its own forks the child, and lives as long as the child does: a PR_SET_PDEATHSIG
        that the child sets itself takes effect when this process ends. The child has the working
        directory, the umask and the signal mask of the caller. Its /sys still shows the caller's
        namespace. If the namespace has a name and /etc/netns/NAME exists, the child is in a mount
        namespace in which each file there is mounted over the file of the same name in /etc, as by
        `ip netns exec`; a RuntimeWarning names a file for which that fails.

        Parameters:
            args, options: as for `subprocess.Popen`.
            die_with_parent: the kernel kills the child when this process ends, however it ends
                (PR_SET_PDEATHSIG, SIGKILL). This does not survive the execution of a set-user-ID
                program or of one with file capabilities (man 2 prctl).

        Raises:
            PermissionDeniedError: entering needs CAP_SYS_ADMIN over the namespace.
            KernelError: the handle is closed, or no thread can be started.
            OSError: as `subprocess.Popen`.
        """
        started: list[subprocess.Popen[Any]] = []
        failed: list[KernelError] = []
        if die_with_parent:
            options["preexec_fn"] = _dying(options.get("preexec_fn"))
        module = _standard_subprocess()

        def start() -> int:
            if entries := etc_files(self._name):
                native.separate_mounts()
                failed.extend(bind_etc(self._name, entries))
            started.append(module.Popen(args, **options))
            return started[0].pid

        try:
            _run(self.fileno(), self._shown, start, finish=_wait_for)
            for error in failed:
                warn(f"popen in {self._shown}: {error}", RuntimeWarning, 2)
        except BaseException:
            for process in started:  # a signal handler has raised meanwhile
                process.kill()
                with process:  # closes its pipes and waits for it
                    pass
            raise
        return started.pop()

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
        """`subprocess.run` with the child in the namespace.

        Parameters:
            args, input, capture_output, timeout, check: as for `subprocess.run`.
            options: as for `popen`.

        Raises: as `subprocess.run` and `popen`.
        """
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

    def __del__(self, report: Callable[..., None] = report_unclosed) -> None:
        descriptor = getattr(self, "_descriptor", None)  # None: __init__ never began
        if descriptor is not None and descriptor.fd >= 0:
            report(self, descriptor.close)

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


def _is_at(path: str, fd: int) -> bool:
    """Whether the path names the namespace of the descriptor."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(fd))  # noqa: PTH116
    except OSError:
        return False


def _is_stale(path: str) -> bool:
    """Whether the path is a leftover: an empty file without a mount, or a link to nothing."""
    try:
        found, folder = os.lstat(path), os.lstat(os.path.dirname(path))  # noqa: PTH120
    except OSError:
        return False
    if stat.S_ISLNK(found.st_mode):
        return not os.path.exists(path)  # noqa: PTH110
    is_empty = stat.S_ISREG(found.st_mode) and found.st_size == 0
    return is_empty and found.st_dev == folder.st_dev


# ---- threads ----

# The module `_thread` once more, as the interpreter has it: gevent and eventlet replace functions
# of the one that is imported, and their threads are greenlets on the caller's thread.
_system: Any = BuiltinImporter.create_module(ModuleSpec("_thread", BuiltinImporter))  # type: ignore[arg-type]
BuiltinImporter.exec_module(_system)


def _is_patched() -> bool:
    """Whether gevent or eventlet have replaced the threads of `threading`."""
    return type(_thread.start_new_thread) is not type(_system.start_new_thread)


def _run(
    fd: int,
    shown: str,
    function: Callable[[], Result],
    finish: Callable[[Result], None] | None = None,
) -> Result:
    """Runs the function in a thread that enters the namespace, and leaves it before it ends.

    Parameters:
        finish: what the thread does afterwards, outside of the namespace, with the result. With it,
            what a signal handler raises meanwhile is raised after the function has returned.
    """
    outcome: list[Result] = []
    raised: list[BaseException] = []
    over = _system.allocate_lock()
    over.acquire()

    work = [function]  # emptied before the thread waits, which must not keep arguments alive

    def visit() -> None:
        try:
            with native.visit(fd, shown):
                outcome.append(work.pop()())
        except BaseException as error:
            raised.append(error)
        waits = finish is not None and not raised
        over.release()
        if waits and finish is not None:
            finish(outcome[0])

    thread = _start(visit, fd, is_ours=finish is not None)
    try:
        over.acquire()  # not join(): after one that is interrupted, a thread counts as ended
    except BaseException:
        while finish:
            try:
                over.acquire()
            except BaseException:  # noqa: S112  # the first one is raised
                continue
            break
        raise
    if thread is not None:
        thread.join()
    if raised:
        try:
            raise raised[0]
        finally:
            raised.clear()  # no cycle of the error and this frame
    return outcome[0]


def _start(
    function: Callable[[], None], fd: int, *, is_ours: bool = False
) -> threading.Thread | None:
    """Starts an operating-system thread; returns None if `threading` does not know it.

    Parameters:
        fd: a network namespace, see `native.no_thread`.
        is_ours: the thread calls functions of this module alone, and may outlive the call.
    """
    try:
        if is_ours or _is_patched():
            _system.start_new_thread(function, ())
            return None
        thread = threading.Thread(target=function, name="pynetstrat", daemon=True)
        thread.start()
    except RuntimeError:
        raise native.no_thread(fd) from None
    return thread


# ---- children ----


def _standard_subprocess() -> Any:
    """The module `subprocess` with a Popen that works in every thread.

    gevent replaces Popen by one that works in the main thread alone, and makes the original
    unusable. eventlet's uses greenlets.
    """
    if not _is_patched() or subprocess.Popen.__module__ == "subprocess":
        return subprocess
    if not _copies:
        spec = subprocess.__spec__
        assert spec is not None
        assert spec.loader is not None
        copy = type(subprocess)("subprocess")
        copy.__spec__ = spec
        spec.loader.exec_module(copy)
        for name in ("SubprocessError", "CalledProcessError", "TimeoutExpired"):
            setattr(copy, name, getattr(subprocess, name))  # which callers catch
        _copies.append(copy)
    return _copies[0]


_copies: list[Any] = []


def _dying(prepare: Callable[[], object] | None) -> Callable[[], None]:
    """What a child calls before it executes its program, to be killed when this process ends."""
    parent = os.getpid()

    def prepare_and_die() -> None:
        if prepare is not None:
            prepare()
        native.die_with_parent(parent)  # last: a change of the user would undo it

    return prepare_and_die


def _wait_for(pid: int) -> None:
    """Waits until the child has ended, which is left to be waited for by the caller's program."""
    # A signal for the process must find the threads that it would find without this one.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    with contextlib.suppress(ChildProcessError):  # it has been waited for already
        _waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


_waitid = os.waitid


# ---- files of a named namespace ----

_ETC, _ETC_NETNS = "/etc", "/etc/netns"


def etc_files(name: str) -> list[str]:
    """The entries of /etc/netns/NAME; none without a name.

    Raises:
        KernelError: the directory exists and can't be read.
    """
    folder = f"{_ETC_NETNS}/{name}"
    try:
        return sorted(os.listdir(folder)) if name else []  # noqa: PTH208  # names alone
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        kind = PermissionDeniedError if isinstance(error, PermissionError) else KernelError
        raise kind(error.errno or 0, "open", filename=folder) from None


def bind_etc(name: str, entries: list[str]) -> list[KernelError]:
    """Mounts entries of /etc/netns/NAME over those of /etc in the thread's mount namespace.

    Returns the failures, one for each entry that could not be mounted.
    """
    failed = []
    for entry in entries:
        source = f"{_ETC_NETNS}/{name}/{entry}"
        try:
            native.bind_mount(source, f"{_ETC}/{entry}")
        except KernelError as error:
            error.hint = f"{source} is not visible to the child"
            if error.errno == ENOENT:
                error.hint += ": make the file that it is to replace"
            failed.append(error)
    return failed
