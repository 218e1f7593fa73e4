"""The exporter's scrapes: a thread that makes and encodes the metrics, one order at a time."""

from __future__ import annotations

import math
import os
import threading
import time
from queue import SimpleQueue
from select import POLLIN, poll

from ._exporter_coding import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from ._exporter_metrics import Metrics
    from ._exporter_textfile import Textfile

    # The metrics by content coding, or the exception that made the scrape fail.
    Outcome = dict[str, bytes] | Exception

_PAUSE = 0.1  # seconds without a look at the notifications, so that a flood of them costs little
_TEXTFILE_PERIOD = 15.0  # seconds between two scrapes for the text file


class Scraper:
    """Scrapes in a thread of its own, between `start` and `stop`.

    Between the scrapes it processes the kernel's notifications, so that their queues do not
    overflow.

    Parameters:
        metrics: makes the text.
        log: called with one line for each failure.
        notify: called after each scrape, in the scraper's thread.
        textfile: a file that gets the metrics every 15 seconds.
    """

    def __init__(
        self,
        metrics: Metrics,
        log: Callable[[str], None],
        notify: Callable[[], None],
        textfile: Textfile | None = None,
    ) -> None:
        self._metrics = metrics
        self._log = log
        self._notify = notify
        self._textfile = textfile
        self._textfile_due = math.inf if textfile is None else time.monotonic()
        self._descriptors = metrics.scrape.descriptors()
        self._orders: SimpleQueue[Collection[str]] = SimpleQueue()
        self._outcomes: SimpleQueue[Outcome] = SimpleQueue()
        self._is_stopping = False
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._failure: BaseException | None = None  # what ended the thread
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Waits until all orders are done, and ends the thread. Removes the text file."""
        self._is_stopping = True
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        if self._textfile is not None:
            self._textfile.remove()

    def close(self) -> None:
        """Closes the descriptor. The thread does not run."""
        os.close(self._wake)

    def order(self, codings: Collection[str]) -> None:
        """Orders one scrape, encoded in each of the codings."""
        self._orders.put(codings)
        os.eventfd_write(self._wake, 1)

    def take(self) -> Outcome | None:
        """Returns the outcome of the oldest finished order, or None if none has finished.

        Raises the exception that ended the thread, because nothing else answers scrapes.
        """
        if self._failure is not None:
            raise self._failure
        return None if self._outcomes.empty() else self._outcomes.get()

    # ---- in the thread ----

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self._failure = error
            self._notify()

    def _work(self) -> None:
        only_wake, everything = _poll([self._wake]), _poll([self._wake, *self._descriptors])
        paused_until = 0.0
        while True:
            while not self._orders.empty():
                self._answer(self._orders.get())
            if self._is_stopping:
                return
            now = time.monotonic()
            if now >= self._textfile_due:
                self._textfile_due = now + _TEXTFILE_PERIOD
                self._write_textfile()
            if is_paused := now < paused_until:
                due = min(self._textfile_due, paused_until)
            else:
                due = self._textfile_due
            wait = None if due == math.inf else math.ceil(max(due - now, 0) * 1000)
            ready = {number for number, _ in (only_wake if is_paused else everything).poll(wait)}
            if self._wake in ready:
                os.eventfd_read(self._wake)
                ready.remove(self._wake)
            if ready:
                self._metrics.process_pending()
                paused_until = time.monotonic() + _PAUSE

    def _answer(self, codings: Collection[str]) -> None:
        outcome: Outcome
        try:
            text = b"".join(self._metrics.write_all())
            outcome = {coding: encode(text, coding) for coding in codings}
        except Exception as error:
            self._log(f"metrics: {error!r}")
            outcome = error
        self._outcomes.put(outcome)
        self._notify()

    def _write_textfile(self) -> None:
        assert self._textfile is not None
        try:
            # The metrics of the process would collide with those of node_exporter.
            self._textfile.write(self._metrics.write())
            self._metrics.report("textfile", self._textfile.error)
        except Exception as error:
            self._metrics.report("textfile", f"metrics: {error!r}")


def _poll(descriptors: Iterable[int]) -> poll:
    watched = poll()
    for number in descriptors:
        watched.register(number, POLLIN)
    return watched
