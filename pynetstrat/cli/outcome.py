"""How a command ends that does not end with what it returns and status 0, or an error and 1."""

from __future__ import annotations

from ..errors import NetstratError


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
