"""`top` at a terminal: samples, keys and changes of the size, drawn at once."""

from __future__ import annotations

import gc
import time
from contextlib import closing

from . import _missing
from ._exit import EndError
from ._stats_rates import take_samples
from ._stats_readings import read_containers
from ._top_screen import Screen, Styler
from ._top_terminal import open_terminal
from ._top_view import by_container

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from ._exporter_labels import LabelsFile
    from ._stats_rates import Sample
    from ._top_terminal import Terminal
    from ._top_view import Entry, View

_MAX_WAIT = 86400  # seconds; select() refuses very large numbers


def show(
    options: argparse.Namespace, view: View, styler: Styler, labels: LabelsFile | None
) -> Iterator[str]:
    """Shows the containers until the user or a signal ends it. Yields nothing."""
    with open_terminal() as terminal:
        display = Display(view, styler, terminal, labels)
        with closing(read_containers(options, display.report, routed=False)) as readings:
            for sample in take_samples(readings, options.interval, display.wait):
                display.show(sample)
                if sample.interval is None:
                    gc.freeze()  # modules, rows: collections need not look at what stays
    yield from ()


class Display:
    """The live table.

    Attributes:
        status: a warning about what is not counted, and about the file of labels, or "".
    """

    def __init__(
        self, view: View, styler: Styler, terminal: Terminal, labels: LabelsFile | None
    ) -> None:
        self.status = ""
        self._view = view
        self._styler = styler
        self._terminal = terminal
        self._labels = labels
        self._entries: list[Entry] = []
        self._page = 1
        self._drawn = (0, 0)

    def report(self, reasons: dict[str, str]) -> None:
        """Takes what a reading does not count; without a reading nothing else is drawn."""
        self.status = _missing.line(reasons.values()) if reasons else ""
        if "failed" in reasons:
            self.draw()

    def show(self, sample: Sample) -> None:
        """Takes a sample and draws it."""
        if self._labels is not None:
            self._labels.update()
            self.status = "; ".join(filter(None, (self._labels.error, self.status)))
        self._entries = by_container(sample.rows, self._labels)
        self.draw()

    def draw(self) -> None:
        """Draws the last sample."""
        columns, lines = self._drawn = self._terminal.size
        entries = self._view.arrange(self._entries)
        screen = Screen(entries, self._view, columns, lines, self.status)
        self._page = screen.page
        self._terminal.draw(self._styler.to_text(screen))

    def wait(self, due: float) -> None:
        """Handles keys and changes of the size until this time of the monotonic clock.

        Raises:
            EndError: the user or a signal ends the command.
        """
        left = 1.0
        while left > 0:  # keys are handled once even if the next sample is late
            left = due - time.monotonic()
            keys = self._terminal.wait(max(0.0, min(left, _MAX_WAIT)))
            for key in keys:
                if self._view.edited is None and key in ("q", "Q"):
                    raise EndError("", 0)
                self._view.press(key, self._page)
            if keys or self._terminal.size != self._drawn:
                self.draw()
