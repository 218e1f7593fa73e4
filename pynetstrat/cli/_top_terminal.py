"""The terminal of `top`: its keys, its size and its state, restored at the end."""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import select
import signal
import sys
import termios
import tty

from ._exit import EndError
from ._output import write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

# The alternate screen without a cursor (xterm's control sequences, which all terminals follow).
_BEGIN, _END = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME = "\x1b[H"

_SEQUENCE = re.compile("\x1b[\\[O][0-9;]*[A-Za-z~]|.", re.DOTALL)
_NAMES = dict(zip("ABCDHF", ("up", "down", "right", "left", "home", "end"), strict=True))
_NAMES |= {"5~": "page up", "6~": "page down", "1~": "home", "4~": "end", "7~": "home", "8~": "end"}
_ENDS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)  # Ctrl-\ sends the last
_SIZE = (80, 24)  # of a terminal that does not know its own


class Terminal:
    """Standard input and output, as the screen of a program. Used by `open_terminal` alone."""

    def __init__(self, wake: int) -> None:
        self._input = sys.stdin.fileno()
        self._wake = wake
        self._before = termios.tcgetattr(self._input)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._caught: list[int] = []

    def begin(self) -> None:
        """Makes the terminal a screen whose keys are read one by one."""
        tty.setcbreak(self._input)  # Ctrl-C and Ctrl-Z are signals still
        write(_BEGIN)

    def end(self) -> None:
        """Restores the terminal."""
        with contextlib.suppress(Exception):  # it may be gone
            write(_END)
        with contextlib.suppress(termios.error):
            termios.tcsetattr(self._input, termios.TCSADRAIN, self._before)

    def note(self, number: int, _: FrameType | None) -> None:
        """Notes a signal, as its handler."""
        self._caught.append(number)

    @property
    def size(self) -> tuple[int, int]:
        """Its columns and lines."""
        try:
            columns, lines = os.get_terminal_size(sys.stdout.fileno())
        except OSError:
            return _SIZE
        return columns or _SIZE[0], lines or _SIZE[1]

    def draw(self, text: str) -> None:
        """Draws a screen: as many lines as it has, of as many columns, without a last newline."""
        write(_HOME + text)

    def wait(self, seconds: float) -> list[str]:
        """Waits for keys, a new size, or so many seconds; returns the keys that were pressed.

        A key is a character or a name, such as "page down".

        Raises:
            EndError: a signal ends the command, or the terminal is gone.
        """
        self._handle_signals()
        ready, _, _ = select.select([self._input, self._wake], [], [], seconds)
        if self._wake in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake, 4096)
        self._handle_signals()
        if self._input not in ready:
            return []
        try:
            data = os.read(self._input, 4096)
        except OSError:
            data = b""
        if not data:
            raise EndError("", 128 + signal.SIGHUP)
        return parse_keys(self._decoder.decode(data))

    def _handle_signals(self) -> None:
        caught, self._caught = self._caught, []
        for number in caught:
            if number in _ENDS:
                raise EndError("", 128 + number)
        if signal.SIGTSTP in caught:
            self.end()
            os.kill(os.getpid(), signal.SIGSTOP)
            self.begin()  # after SIGCONT


def parse_keys(text: str) -> list[str]:
    """Splits what a terminal sends into keys; sequences that are not known are left out."""
    keys = []
    for sequence in _SEQUENCE.findall(text):
        if len(sequence) == 1:
            keys.append(sequence)
        elif sequence[2:] in _NAMES:
            keys.append(_NAMES[sequence[2:]])
    return keys


@contextlib.contextmanager
def open_terminal() -> Iterator[Terminal]:
    """Makes the terminal a screen during the block."""
    wake, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    terminal = Terminal(wake)
    handled = (*_ENDS, signal.SIGWINCH, signal.SIGTSTP)
    handlers = {}
    wakeup = signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    try:
        for number in handled:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                handlers[number] = signal.signal(number, terminal.note)
        terminal.begin()
        yield terminal
    finally:
        terminal.end()
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        os.close(wake)
        os.close(waker)
