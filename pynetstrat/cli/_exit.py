"""How a command ends other than with success (status 0) or an error of the package (status 1)."""

from __future__ import annotations

from ..errors import NetstratError

#: A line of the help of most commands.
EXIT_STATUS = "exit status: 0 success, 1 failure, 2 wrong usage"


class EndError(NetstratError):
    """Ends a command.

    Attributes:
        reason: one line for standard error, or "".
        status: the exit status.
        text: text for standard output.
    """

    def __init__(self, reason: str, status: int = 1, text: str = "") -> None:
        super().__init__(reason, status, text)
        self.reason = reason
        self.status = status
        self.text = text


class UsageError(NetstratError):
    """Ends a command with status 2; its usage and the reason go to standard error."""
