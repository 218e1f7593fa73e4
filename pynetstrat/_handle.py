"""What threads share: one at a time, closed once, never after a fork, never copied."""

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

#: How many forks lie between this process and the first.
forks = 0


def _count_fork() -> None:
    global forks
    forks += 1


os.register_at_fork(after_in_child=_count_fork)


def report_unclosed(
    handle: object,
    close: Callable[[], object],
    # Bound now: at the interpreter's exit the names of a module are None before its objects go.
    warn: Callable[..., None] = warn,
    is_finalizing: Callable[[], bool] = sys.is_finalizing,
) -> None:
    """Warns of a handle that is no longer referenced, and closes it.

    A `__del__` binds this function as the default of a parameter, for the same reason as here.
    """
    try:
        warn(f"unclosed {handle!r}", ResourceWarning, 1, handle)
        close()
    except (AttributeError, TypeError):
        if not is_finalizing():  # otherwise a part of this package is gone; the kernel closes
            raise


class Handle:
    """The base of what holds descriptors of its own: a context manager that threads take turns at.

    A subclass calls `_guard` with its native half, and works with that in `_turn` alone.
    """

    __slots__ = ("__weakref__", "_forks", "_idle", "_lock", "_native")

    def _attach(self, native: Any) -> None:
        self._lock = RLock()
        self._forks = forks
        self._idle: Any = native  # None: at work, or closed
        self._native: Any = native  # None: closed. Last: __del__ believes it

    def _locked(self, work: Callable[..., Result], operation: str, name: object = "") -> Result:
        """What `work` gives, called with the native half and the name when it is our turn.

        Parameters:
            operation, name: for the error where there is no turn to be had.
        """
        if self._forks != forks:  # before the lock, which may have been held at the fork
            raise self._unusable(operation, name)
        # A signal handler that raises never comes between the lock and its release: `with` sees to
        # that, an acquire() and a try would not.
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
            # The lock lets its own thread in again, which only a signal handler can bring about.
            error, hint = EBUSY, f"a signal handler interrupted a call on this {kind}"
        shown = show(name) if isinstance(name, (str, bytes)) else ""
        return KernelError(error, operation, shown, hint=hint)

    def close(self) -> None:
        """Closes it, once no other thread is at work on it. Twice does no harm."""
        if self._native is None:
            return
        if self._forks != forks:  # no other thread is here, though one may have held the lock
            self._native.close()
            self._native = self._idle = None
            return
        with self._lock:
            if self._native is not None:
                if self._idle is None:
                    raise self._unusable("close", "")
                self._native.close()
                self._native = self._idle = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self, report: Callable[..., None] = report_unclosed) -> None:
        native = getattr(self, "_native", None)  # None: closed, or __init__ was not over
        if native is not None:
            report(self, native.close)

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} can't be copied or pickled: open another")

    def _state(self) -> str:
        """For representations."""
        if getattr(self, "_native", None) is None:
            return "closed"
        return "open" if self._forks == forks else "opened before fork()"

    def _place(self) -> str:
        """The namespace, which subclasses note as `_where`, for representations."""
        where = getattr(self, "_where", None)
        if where is None:  # __init__ was not over
            return "no namespace"
        return quote(where) if where else "its opener's namespace"
