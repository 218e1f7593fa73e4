"""Runs a function in a thread that has entered a network namespace."""

from __future__ import annotations

import _thread
from _frozen_importlib import BuiltinImporter, ModuleSpec

from ._native import netns as native

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from typing import Any, TypeVar

    Result = TypeVar("Result")

# A second copy of the built-in module `_thread`. gevent and eventlet replace functions of the first
# one by their own, which start greenlets on the calling thread.
_system: Any = BuiltinImporter.create_module(ModuleSpec("_thread", BuiltinImporter))  # type: ignore[arg-type]
BuiltinImporter.exec_module(_system)


def is_patched() -> bool:
    """Whether gevent or eventlet have replaced the threads of `threading`."""
    return type(_thread.start_new_thread) is not type(_system.start_new_thread)


def run_in_namespace(
    fd: int,
    shown: str,
    function: Callable[[], Result],
    finish: Callable[[Result], None] | None = None,
) -> Result:
    """Runs a function in a thread that enters the namespace, and that leaves it before it ends.

    Parameters:
        fd: the namespace.
        shown: its name in errors.
        function: what to run. An exception of the function is raised here.
        finish: what the thread does afterwards with the result, outside of the namespace. The call
            does not wait for that. With `finish`, an exception of a signal handler is raised only
            once `function` has returned.

    Returns:
        What `function` returns.
    """
    outcome: list[Result] = []
    raised: list[BaseException] = []
    done = _system.allocate_lock()
    done.acquire()

    # enter_and_run() takes the function out of this list, and so does not keep what the function
    # refers to alive during `finish`, which may take long.
    work = [function]

    def enter_and_run() -> None:
        try:
            with native.entered(fd, shown):
                outcome.append(work.pop()())
        except BaseException as error:
            raised.append(error)
        failed = bool(raised)  # the caller empties `raised` once `done` is released
        done.release()
        if finish is not None and not failed:
            finish(outcome[0])

    started: list[int] = []
    try:
        thread = _start(enter_and_run, fd, None if finish is None else started)
        done.acquire()  # not join(): after an interrupted join() a thread counts as ended
    except BaseException:
        # A handler may also have raised once the lock was acquired: then nothing releases it again.
        while started and not (outcome or raised):
            try:
                done.acquire()
            except BaseException:  # noqa: S112  # the first one is raised
                continue
        raise
    if thread is not None:
        thread.join()
    if raised:
        try:
            raise raised[0]
        finally:
            raised.clear()  # otherwise the error and this frame would refer to each other
    return outcome[0]


def _threading() -> Any:
    """Returns the module `threading`, or None if it can't be loaded, for example after a chroot.

    Few programs that wire a container need it. It takes the thread that loads it for the main
    thread, so it must be loaded before a function in the new thread does so.
    """
    try:
        import threading
    except (ImportError, OSError):
        return None
    return threading


def _start(
    function: Callable[[], None], fd: int, started: list[int] | None
) -> threading.Thread | None:
    """Starts an operating-system thread. Returns None if `threading` does not know it.

    Parameters:
        fd: a network namespace, see `native.no_thread`.
        started: gets an item if the thread has started. The thread may then run after the call has
            returned. It runs functions of this package only, so it needs no Thread object. None: a
            thread that ends before the call returns.
    """
    try:
        known = None if started is not None or is_patched() else _threading()
        if known is None:
            ids = map(_system.start_new_thread, (function,), ((),))
            # In one call: a signal handler that raises right after it must not hide the thread.
            ([] if started is None else started).extend(ids)
            return None
        thread: threading.Thread = known.Thread(target=function, name="pynetstrat", daemon=True)
        thread.start()
    except RuntimeError:
        raise native.no_thread(fd) from None
    return thread
