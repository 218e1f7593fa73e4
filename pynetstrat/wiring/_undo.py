"""The undo stack of a call: what reverses its changes, and how a rollback survives signals."""

from __future__ import annotations

from signal import NSIG, getsignal, signal
from time import monotonic

from ..errors import InvalidNetworkError, KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    Handler = Callable[[int, FrameType | None], object]
    Step = Callable[[], object]

# How often a step is run that something other than a deferred signal interrupts every time.
_MAX_RUNS = 16


class UndoStack:
    """Undo steps, in the order of the changes that they reverse.

    A step is pushed before its change is made, because an exception of a signal handler can come
    between any two lines. So a step has to be idempotent: it may run although its change was not
    made, and it runs again after an interrupt.
    """

    def __init__(self) -> None:
        self._steps: list[tuple[Step, str]] = []
        self._runs = 0  # of the last step
        # Kept between calls of roll_back(): one that was interrupted is continued by the next.
        self._signals = _DeferredSignals()

    def __len__(self) -> int:
        return len(self._steps)

    def push(self, step: Step, what: str = "") -> None:
        """Adds a step.

        Parameters:
            step: reverses the change that is made next.
            what: how a note on a failure of the step names it.
        """
        self._steps.append((step, what))

    def last(self) -> Step | None:
        """The step that a rollback runs first, or None."""
        return self._steps[-1][0] if self._steps else None

    def pop(self) -> None:
        """Forgets the step that was pushed last: its change has not been made."""
        self._steps.pop()

    def clear(self) -> None:
        """Forgets every step."""
        self._steps.clear()

    def roll_back(self, error: BaseException, kept: int, until: float) -> None:
        """Runs the steps above the first `kept`, last step first, because of `error`.

        A step that fails is named in the text of `error`, and the other steps run all the same.
        Python's signal handlers run when every step has; what a handler raises follows then. (To
        block the signals in this thread would not do: another thread takes them, and their handlers
        run in the main thread anyway.) A step that something else interrupts is run again.

        Parameters:
            until: the deadline, a time of time.monotonic(). After it signal handlers run at once,
                and an interrupted step counts as failed.
        """
        interrupt: BaseException | None = None
        while len(self._steps) > kept:
            try:
                self._signals.defer(until)
                self._run_down(error, kept, until)
            except BaseException as raised:
                interrupt = raised
        try:
            self._signals.deliver()
        except BaseException as raised:
            interrupt = raised
        finally:
            self._signals.deliver()  # one that was interrupted
        if interrupt is not None:
            raise interrupt

    def _run_down(self, error: BaseException, kept: int, until: float) -> None:
        while len(self._steps) > kept:
            step, what = self._steps[-1]
            self._runs += 1
            try:
                step()
            except Exception as failure:
                add_note(error, f"{what} could not be undone: {failure}".lstrip())
            except BaseException as interrupt:
                if monotonic() < until and self._runs < _MAX_RUNS:
                    raise
                add_note(error, f"{what} could not be undone: {interrupt!r}".lstrip())
                self._runs = 0
                self._steps.pop()
                raise
            self._runs = 0
            self._steps.pop()


class _DeferredSignals:
    """Notes signals instead of running Python's handlers for them, which then run later.

    Handlers run in the main thread only. In any other thread there is nothing to defer.
    """

    def __init__(self) -> None:
        self._handlers: dict[int, Handler] = {}  # those that are replaced
        self._noted: dict[int, tuple[Handler, FrameType | None]] = {}
        self._until = 0.0

    def defer(self, until: float) -> None:
        """Replaces the handlers; a call that was interrupted is continued by the next."""
        self._until = until
        for number in range(1, NSIG):
            handler = getsignal(number)
            if not callable(handler) or handler == self._note:
                continue
            self._handlers[number] = handler  # first: deliver() has to know it
            try:
                signal(number, self._note)
            except ValueError:  # not the main thread
                del self._handlers[number]
                return

    def _note(self, number: int, frame: FrameType | None) -> None:
        handler = self._handlers[number]
        if monotonic() >= self._until:
            handler(number, frame)
        else:
            self._noted[number] = handler, frame

    def deliver(self) -> None:
        """Puts the handlers back, then runs those whose signals came meanwhile, each once."""
        try:
            self._put_back()
        finally:
            self._put_back()  # a handler that is back already may have raised
            self._run_noted()

    def _put_back(self) -> None:
        for number, handler in list(self._handlers.items()):
            if getsignal(number) == self._note:  # otherwise a step has set another one
                signal(number, handler)
            del self._handlers[number]

    def _run_noted(self) -> None:
        if self._noted:
            number, (handler, frame) = self._noted.popitem()
            try:
                handler(number, frame)
            finally:
                self._run_noted()


def add_note(error: BaseException, note: str) -> None:
    """Adds to the text of an error of this package, and to the notes of any other exception."""
    if isinstance(error, KernelError):
        error.hint = "; ".join(filter(None, (error.hint, note)))
    elif isinstance(error, InvalidNetworkError):
        error.reason += f"; {note}"
    else:  # add_note() of Python 3.11, also for 3.10
        error.__notes__ = [*getattr(error, "__notes__", []), note]
