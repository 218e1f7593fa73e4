"""Child processes in a network namespace. Loaded by the first `popen` or `run`."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from _warnings import warn

from ._etc_netns import bind_etc, bind_resolv_conf, check_resolv_conf, etc_files
from ._namespace_thread import is_patched, run_in_namespace
from ._native import netns as native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .errors import KernelError


def popen(
    fd: int,
    shown: str,
    name: str,
    args: Any,
    *,
    die_with_parent: bool,
    resolv_conf: Any,
    mount_sys: Callable[[], None] | None,
    options: dict[str, Any],
) -> subprocess.Popen[Any]:
    """Starts a child in a namespace.

    Parameters:
        fd, shown: the namespace, and its name in errors.
        name: its name under /run/netns, or "".
        args, die_with_parent, resolv_conf, options: as for `NetworkNamespace.popen`.
        mount_sys: mounts the /sys of the child, or None.
    """
    started: list[subprocess.Popen[Any]] = []
    failed: list[KernelError] = []
    if die_with_parent:
        options["preexec_fn"] = _dying(options.get("preexec_fn"))
    resolver = None if resolv_conf is None else check_resolv_conf(resolv_conf)
    module = _standard_subprocess()

    def start() -> int:
        entries = etc_files(name)
        if entries or resolver is not None or mount_sys is not None:
            native.separate_mounts()
        failed.extend(bind_etc(name, entries))
        if resolver is not None:
            bind_resolv_conf(resolver)
        if mount_sys is not None:
            mount_sys()
        started.append(module.Popen(args, **options))
        return started[0].pid

    try:
        run_in_namespace(fd, shown, start, finish=_wait_for)
        for error in failed:
            warn(f"popen in {shown}: {error}", RuntimeWarning, 3)
    except BaseException:
        for process in started:  # a signal handler has raised since the fork
            process.kill()
            with process:  # closes its pipes and waits for it
                pass
        raise
    return started.pop()


def run(
    start: Callable[..., subprocess.Popen[Any]],
    args: Any,
    input: Any,
    timeout: float | None,
    *,
    capture_output: bool,
    check: bool,
    options: dict[str, Any],
) -> subprocess.CompletedProcess[Any]:
    """Starts a child with `start` and waits for it, as `subprocess.run` does."""
    if input is not None:
        if options.get("stdin") is not None:
            raise ValueError("stdin and input must not be given both")
        options["stdin"] = subprocess.PIPE
    if capture_output:
        if options.get("stdout") is not None or options.get("stderr") is not None:
            raise ValueError("stdout and stderr must not be given with capture_output")
        options["stdout"] = options["stderr"] = subprocess.PIPE
    with start(args, **options) as process:
        try:
            stdout, stderr = process.communicate(input, timeout=timeout)
        except BaseException:  # TimeoutExpired, which has the output so far, or Ctrl-C
            process.kill()
            process.wait()
            raise
    done = subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)
    if check:
        done.check_returncode()
    return done


def _standard_subprocess() -> Any:
    """The module `subprocess` with a Popen that works in every thread.

    gevent replaces Popen by one that works in the main thread alone, and makes the original
    unusable. eventlet's uses greenlets.
    """
    if not is_patched() or subprocess.Popen.__module__ == "subprocess":
        return subprocess
    if not _copies:
        spec = subprocess.__spec__
        assert spec is not None
        assert spec.loader is not None
        copy = type(subprocess)("subprocess")
        copy.__spec__ = spec
        spec.loader.exec_module(copy)
        for name in ("SubprocessError", "CalledProcessError", "TimeoutExpired"):
            setattr(copy, name, getattr(subprocess, name))  # the classes that callers catch
        _copies.append(copy)
    return _copies[0]


_copies: list[Any] = []


def _dying(prepare: Callable[[], object] | None) -> Callable[[], None]:
    """The `preexec_fn` of a child that is killed when this process ends.

    Parameters:
        prepare: the caller's own `preexec_fn`.
    """
    parent = os.getpid()

    def prepare_and_die() -> None:
        if prepare is not None:
            prepare()
        native.die_with_parent(parent)  # last: a change of user IDs clears the setting

    return prepare_and_die


def _wait_for(pid: int) -> None:
    """Waits until the child has ended, and leaves its status for the caller to collect.

    The thread lives as long as the child because PR_SET_PDEATHSIG takes effect when the thread that
    forked the child ends (man 2 prctl).
    """
    # Signals for the process must go to the threads that would get them without this one.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    with contextlib.suppress(ChildProcessError):  # the caller has collected the status
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
