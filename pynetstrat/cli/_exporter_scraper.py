"""The exporter's scrapes: a thread that reads the metrics and encodes them, one order at a time."""

from __future__ import annotations

import threading
from queue import SimpleQueue

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

from ._exporter_coding import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ..prometheus import ContainerCollector

    # The metrics by content coding, or the exception that made the scrape fail.
    Outcome = dict[str, bytes] | Exception


class Scraper:
    """Scrapes in a thread of its own, between `start` and `stop`.

    Parameters:
        collector: the collector of the containers.
        log: called with one line for each failure.
        notify: called after each scrape, in the scraper's thread.
    """

    def __init__(
        self,
        collector: ContainerCollector,
        log: Callable[[str], None],
        notify: Callable[[], None],
    ) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(collector)
        ProcessCollector(registry=self.registry)
        self._collector = collector
        self._log = log
        self._notify = notify
        self._logged = ""
        self._orders: SimpleQueue[Collection[str] | None] = SimpleQueue()
        self._outcomes: SimpleQueue[Outcome] = SimpleQueue()
        self._thread = threading.Thread(target=self._scrape)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Waits until all orders are done, and ends the thread."""
        self._orders.put(None)
        self._thread.join()

    def order(self, codings: Collection[str]) -> None:
        """Orders one scrape, encoded in each of the codings."""
        self._orders.put(codings)

    def take(self) -> Outcome | None:
        """Returns the outcome of the oldest finished order, or None if none has finished."""
        return None if self._outcomes.empty() else self._outcomes.get()

    def _scrape(self) -> None:
        while (codings := self._orders.get()) is not None:
            outcome: Outcome
            try:
                text = generate_latest(self.registry)
                outcome = {coding: encode(text, coding) for coding in codings}
                self._log_failure()
            except Exception as error:
                self._log(f"metrics: {error!r}")
                outcome = error
            self._outcomes.put(outcome)
            self._notify()

    def _log_failure(self) -> None:
        """Logs why the containers could not be read, unless the last failure was the same."""
        reason = str(self._collector.error or "")
        if reason and reason != self._logged:
            self._log(f"scrape: {reason}")
        self._logged = reason
