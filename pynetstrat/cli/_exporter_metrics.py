"""The exporter's metrics: the containers, the exporter itself and its process, as text."""

from __future__ import annotations

import sys

from .. import NetstratError, __version__
from ._exporter_process import ProcessMetrics
from ._exporter_text import TextWriter, format_metric

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .._scrape import Scrape
    from ._exporter_labels import LabelsFile

_LABELS_ERROR = ("pynetstrat_labels_error", "1 if the file of --labels is not used, otherwise 0.")


class Metrics:
    """Makes the texts that clients get. For one thread at a time.

    Parameters:
        scrape: finds and reads the containers.
        log: called with one line for each failure. The same failure is logged once in a row.
        prefix: put before the names of the counters.
        labels: the further labels that `scrape` looks up.
    """

    def __init__(
        self,
        scrape: Scrape,
        log: Callable[[str], None],
        *,
        prefix: str = "",
        labels: LabelsFile | None = None,
    ) -> None:
        self.scrape = scrape
        self._log = log
        self._writer = TextWriter(prefix)
        self._labels = labels
        self._logged: dict[str, str] = {}  # the last failure of each kind
        self._process = ProcessMetrics()
        versions = ("python", sys.version.partition(" ")[0]), ("version", __version__)
        text = "1, with the versions of pynetstrat and of Python as labels."
        self._build = format_metric("pynetstrat_build_info", text, 1, versions)

    def write(self) -> list[bytes]:
        """Scrapes, and returns the text in parts, without the metrics of the process."""
        labels_error = ""
        if self._labels is not None:
            if self._labels.update():
                self.scrape.relabel()
            labels_error = self._labels.error
            self.report("labels", labels_error)
        reading = self.scrape.scrape()
        self.report("scrape", f"scrape: {self.scrape.error}" if self.scrape.error else "")
        parts = self._writer.write(reading)
        return [*parts, format_metric(*_LABELS_ERROR, bool(labels_error)), self._build]

    def write_all(self) -> list[bytes]:
        """Scrapes, and returns the whole text in parts."""
        return [*self.write(), self._process.write()]

    def process_pending(self) -> None:
        """Processes the kernel's notifications between two scrapes."""
        try:
            self.scrape.process_pending()
        except (NetstratError, OSError) as error:
            self.report("notifications", f"notifications: {error}")

    def report(self, kind: str, failure: str) -> None:
        """Logs a failure, unless the last one of this kind was the same; "": it has ended."""
        if failure and failure != self._logged.get(kind):
            self._log(failure)
        self._logged[kind] = failure
