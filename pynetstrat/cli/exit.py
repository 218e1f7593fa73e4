"""How a command ends that does not end with what it returns and status 0, or an error and 1.

And how it goes on, where there is something to say.
"""

from __future__ import annotations

import contextlib
import sys

from ..errors import NetstratError, escape


def warn(text: str) -> None:
    """A line on standard error, for a command that goes on all the same."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(f"pynetstrat: warning: {escape(text)}", file=sys.stderr, flush=True)


class EndError(NetstratError):
    """A command ends here.

    Attributes:
        reason: one line for standard error, or "".
        status: the exit status.
        text: what goes to standard output.
    """

    def __init__(self, reason: str, status: int = 1, text: str = "") -> None:
        super().__init__(reason, status, text)
        self.reason = reason
        self.status = status
        self.text = text
