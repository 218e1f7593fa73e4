"""Handles: objects that hold descriptors, are closed once and are never copied."""

from __future__ import annotations

import os
import sys
from _thread import RLock
from _warnings import warn
from errno import EBADF, EBUSY

from ._native import show
from .errors import KernelError, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, NoReturn, TypeVar

    from typing_extensions import Self

    Result = TypeVar("Result")

#: How many forks lie between the first process and this one.
forks = 0


def _count_fork() -> None:
    global forks
    forks += 1


os.register_at_fork(after_in_child=_count_fork)


def _report_unclosed(
    handle: object,
    close: Callable[[], object],
    # Bound now: at the interpreter's exit the names of a module are None before its objects go.
    warn: Callable[..., None] = warn,
    is_finalizing: Callable[[], bool] = sys.is_finalizing,
) -> None:
    """Warns of a handle that was not closed, and closes it."""
    try:
        warn(f"unclosed {handle!r}", ResourceWarning, 1, handle)
        close()
    except (AttributeError, TypeError):
        if not is_finalizing():  # at exit a part of this package may be gone; the kernel closes
            raise


class Closable:
    """The base of every object that holds descriptors: a context manager that is never copied.

    An object that was not closed is closed when it is collected, with a ResourceWarning. A subclass
    defines `close` and `_get_close`.
    """

    __slots__ = ("__weakref__",)

    def close(self) -> None:
        """Closes the descriptors. A second call does nothing."""
        raise NotImplementedError

    def _get_close(self) -> Callable[[], object] | None:
        """Returns the function that closes the descriptors, or None if none is open.

        The finalizer calls it, so that `__init__` may have failed at any point.
        """
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self, report: Callable[..., None] = _report_unclosed) -> None:
        close = self._get_close()
        if close is not None:
            report(self, close)

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} can't be copied or pickled: open another")


class Handle(Closable):
    """The base of objects that threads may share, but that only one thread uses at a time.

    A subclass calls `_attach` with its native half, and uses that half only in `_locked`.
    """

    __slots__ = ("_forks", "_idle", "_lock", "_native")

    def _attach(self, native: Any) -> None:
        self._lock = RLock()
        self._forks = forks
        self._idle: Any = native  # None while a call uses it, and once closed
        self._native: Any = native  # None once closed. Assigned last because __del__ checks it.

    def _locked(self, work: Callable[..., Result], operation: str, name: object = "") -> Result:
        """Calls `work` with the native half and the name, once no other thread uses it.

        Parameters:
            operation, name: for the error if the handle can't be used.

        Raises:
            KernelError: the handle is closed, was opened before a fork, or is used by a call that a
                signal handler interrupted.
        """
        if self._forks != forks:  # before the lock, which may have been held at the fork
            raise self._unusable(operation, name)
        # `with` runs no signal handler between taking the lock and the block that releases it;
        # acquire() and try would.
        with self._lock:
            native, self._idle = self._idle, None
            try:
                if native is None:
                    raise self._unusable(operation, name)
                return work(native, name)
            finally:
                self._idle = native

    def _unusable(self, operation: str, name: object) -> KernelError:
        kind = type(self).__name__
        error, hint = EBADF, f"this {kind} is closed: open a new one"
        if self._forks != forks:
            hint = f"this {kind} was opened before fork(): open a new one"
        elif self._native is not None:
            # The lock is reentrant; only a signal handler can get here on the same thread.
            error, hint = EBUSY, f"a signal handler interrupted a call on this {kind}"
        shown = show(name) if isinstance(name, (str, bytes)) else ""
        return KernelError(error, operation, shown, hint=hint)

    def close(self) -> None:
        """Closes the handle, once no other thread uses it. A second call does nothing."""
        if self._native is None:
            return
        if self._forks != forks:  # there is no other thread here, though one may hold the lock
            self._native.close()
            self._native = self._idle = None
            return
        with self._lock:
            if self._native is not None:
                if self._idle is None:
                    raise self._unusable("close", "")
                self._native.close()
                self._native = self._idle = None

    def _get_close(self) -> Callable[[], object] | None:
        native = getattr(self, "_native", None)  # missing if __init__ failed
        return None if native is None else native.close

    def _state(self) -> str:
        """The state, for representations."""
        if getattr(self, "_native", None) is None:
            return "closed"
        return "open" if self._forks == forks else "opened before fork()"

    def _place(self) -> str:
        """The namespace, which subclasses store as `_where`, for representations."""
        where = getattr(self, "_where", None)
        if where is None:  # __init__ failed
            return "no namespace"
        return quote(where) if where else "its opener's namespace"
