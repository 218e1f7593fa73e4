"""Runs undo steps, the last one first, whatever signals arrive."""

from __future__ import annotations

from time import monotonic

from ..errors import InvalidNetworkError, KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from signal import NSIG, getsignal, signal
    from types import FrameType

    Handler = Callable[[int, FrameType | None], object]
    Step = Callable[[], object]
else:
    # What `signal` wraps, with numbers in place of enumerations, which take long to load.
    from _signal import NSIG, getsignal, signal

# How many times an undo step is run if an exception other than a signal handler's interrupts it
# each time.
_MAX_RUNS = 16


class UndoStack:
    """Undo steps, in the order of the changes that they reverse.

    A step is pushed before its change is made, because a signal handler can raise between any two
    lines. So a step must be idempotent: it may run although its change was not made, and it runs
    again after an interrupt.
    """

    def __init__(self) -> None:
        self._steps: list[tuple[Step, str]] = []
        self._runs = 0  # of the last step
        # Kept between calls of roll_back(): the next call continues an interrupted one.
        self._signals = _DeferredSignals()

    def __len__(self) -> int:
        return len(self._steps)

    def push(self, step: Step, what: str) -> None:
        """Adds an undo step.

        Parameters:
            step: reverses the change that the caller makes next.
            what: names what the step restores, such as "the state of lo". If the step fails, the
                error says that this could not be restored.
        """
        self._steps.append((step, what))

    def last(self) -> Step | None:
        """Returns the step that a rollback runs first, or None."""
        return self._steps[-1][0] if self._steps else None

    def clear(self) -> None:
        """Removes every step without running it."""
        self._steps.clear()

    def roll_back(self, error: BaseException, until: float) -> None:
        """Runs every step because of `error`, the last one first.

        A step that fails is named in the text of `error`, and the other steps still run. Python's
        signal handlers run after the last step; an exception of a handler is raised then. (Blocking
        the signals in this thread is not enough: another thread takes them, and Python runs the
        handlers in the main thread anyway.) A step that another exception interrupts runs again.

        Parameters:
            until: the deadline, a time of time.monotonic(). After it signal handlers run at once,
                and an interrupted step counts as failed.
        """
        interrupt: BaseException | None = None
        while self._steps:
            try:
                self._signals.defer(until)
                self._run_all(error, until)
            except BaseException as raised:
                interrupt = raised
        try:
            self._signals.deliver()
        except BaseException as raised:
            interrupt = raised
        finally:
            self._signals.deliver()  # completes a deliver() that a handler interrupted
        if interrupt is not None:
            raise interrupt

    def _run_all(self, error: BaseException, until: float) -> None:
        while self._steps:
            step, what = self._steps[-1]
            self._runs += 1
            try:
                step()
            except Exception as failure:
                add_note(error, f"{what} could not be restored: {failure}")
            except BaseException as interrupt:
                if monotonic() < until and self._runs < _MAX_RUNS:
                    raise
                add_note(error, f"{what} could not be restored: {interrupt!r}")
                self._runs = 0
                self._steps.pop()
                raise
            self._runs = 0
            self._steps.pop()


class _DeferredSignals:
    """Records signals instead of running Python's handlers for them, and runs these later.

    Python runs handlers in the main thread only, so in any other thread nothing is deferred.
    """

    def __init__(self) -> None:
        self._handlers: dict[int, Handler] = {}  # the replaced handlers, by signal number
        self._recorded: dict[int, tuple[Handler, FrameType | None]] = {}
        self._until = 0.0

    def defer(self, until: float) -> None:
        """Replaces the handlers of all signals. The next call continues an interrupted one."""
        self._until = until
        for number in range(1, NSIG):
            handler = getsignal(number)
            if not callable(handler) or handler == self._record:
                continue
            self._handlers[number] = handler  # before signal(): deliver() must know it
            try:
                signal(number, self._record)
            except ValueError:  # this is not the main thread
                del self._handlers[number]
                return

    def _record(self, number: int, frame: FrameType | None) -> None:
        handler = self._handlers[number]
        if monotonic() >= self._until:
            handler(number, frame)
        else:
            self._recorded[number] = handler, frame

    def deliver(self) -> None:
        """Restores the handlers, then runs each whose signal was recorded, once."""
        try:
            self._restore()
        finally:
            self._restore()  # completes the first call if a restored handler has raised
            self._run_recorded()

    def _restore(self) -> None:
        for number, handler in list(self._handlers.items()):
            if getsignal(number) == self._record:  # otherwise an undo step has set another handler
                signal(number, handler)
            del self._handlers[number]

    def _run_recorded(self) -> None:
        if self._recorded:
            number, (handler, frame) = self._recorded.popitem()
            try:
                handler(number, frame)
            finally:
                self._run_recorded()


def add_note(error: BaseException, note: str) -> None:
    """Adds a sentence to the text of an error.

    An exception of another package gets it as a note (`BaseException.add_note`).
    """
    if isinstance(error, KernelError):
        error.hint = "; ".join(filter(None, (error.hint, note)))
    elif isinstance(error, InvalidNetworkError):
        error.reason += f"; {note}"
    else:  # Python 3.10 has no add_note()
        error.__notes__ = [*getattr(error, "__notes__", []), note]
