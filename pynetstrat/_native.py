"""The core, seen from Python: the only module that touches `ffi` and `lib`.

Names become bytes, return codes become exceptions, and structures become Python objects here and
nowhere else. Nothing here is locked: see rtnetlink.py.
"""

from __future__ import annotations

import errno
import os
from _thread import get_ident

from ._core import ffi, lib
from .errors import (
    CounterParseError,
    InvalidCounterNameError,
    InvalidInterfaceNameError,
    kernel_error,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

_SHAPE = (
    'neither "." nor "..", without "/", ":", NUL and white space '
    "(to the kernel that is also the byte 0xa0, in names of up to 15)"
)
NAME_RULE = f"a name is 1 to 15 bytes, an alternative name 16 to 127, {_SHAPE}"
SYSFS_NAME_RULE = f"a name is 1 to 15 bytes, {_SHAPE}; sysfs knows no alternative names"

# Looked up once: an attribute of `lib` costs as much as a small function.
_get_stats = lib.netstrat_get_stats
_set_up = lib.netstrat_link_set_up
_reader_read = lib.netstrat_reader_read

# ---- signals ----

# What signal handlers raised while the core waited, by thread, until the core has returned.
_raised: dict[int, BaseException] = {}


def _keep(kind: object, error: BaseException, traceback: object) -> None:
    _raised[get_ident()] = error


@ffi.def_extern(name="pynetstrat_interrupted", error=1, onerror=_keep)  # type: ignore[untyped-decorator]
def _interrupted(context: object) -> int:
    # The interpreter runs the handlers of pending signals on its way through this function. One
    # that raises (KeyboardInterrupt, say) ends the wait; otherwise the core goes on waiting.
    for _ in range(2):
        pass
    return 0


# ---- arguments ----


def encode_name(name: object) -> bytes:
    """An interface's name as bytes; only what can't be put in front of the core is refused."""
    if type(name) is str and name.isascii():  # os.fsencode, without its price
        encoded = name.encode()
    else:
        try:
            encoded = os.fsencode(name)  # type: ignore[arg-type]
        except (TypeError, UnicodeEncodeError):
            raise InvalidInterfaceNameError(name, NAME_RULE) from None
    if b"\0" in encoded:  # where C would see the end
        raise InvalidInterfaceNameError(name, NAME_RULE)
    return encoded


def check_name(name: object) -> None:
    """Raises InvalidInterfaceNameError unless it is a name or an alternative name."""
    if lib.netstrat_check_name(encode_name(name)) < 0:
        raise InvalidInterfaceNameError(name, NAME_RULE)


def _encode_path(path: object, what: str) -> bytes:
    encoded = os.fsencode(path)  # type: ignore[arg-type]
    if b"\0" in encoded:
        raise ValueError(f"{what} with a NUL: {path!r}")
    return encoded


# ---- errors ----


def _text(error: Any) -> str:
    raw: bytes = ffi.buffer(error.text, error.text_length)[:]
    return raw.decode("utf-8", "backslashreplace")


def _fail(code: int, error: Any, name: object, filename: str | None = None) -> NoReturn:
    """Raises the exception for a core function's failure."""
    interrupt = _raised.pop(get_ident(), None)
    if interrupt is not None:
        raise interrupt
    operation = ffi.string(error.operation).decode()
    if operation == "name":
        raise InvalidInterfaceNameError(name, NAME_RULE)
    interface = os.fsdecode(name) if name else ""  # type: ignore[arg-type]
    message = "".join(c if c.isprintable() else "?" for c in _text(error))
    raise kernel_error(-code, operation, interface, message, filename)


def _new_counters() -> tuple[Any, Callable[[], list[int]]]:
    """A struct netstrat_counters, and what gives its fields at a third of ffi.unpack's price."""
    counters = ffi.new("struct netstrat_counters *")
    return counters, memoryview(ffi.buffer(counters)).cast("Q").tolist


# ---- sysfs ----


def _sysfs_fail(
    code: int, error: Any, root: bytes, name: object, file: str | bytes | None
) -> NoReturn:
    operation = ffi.string(error.operation)
    interface = os.fsdecode(name) if name else ""  # type: ignore[arg-type]
    if operation == b"file":
        raise InvalidCounterNameError(interface, file)
    if operation == b"name":
        raise InvalidInterfaceNameError(name, SYSFS_NAME_RULE)
    path = f"{os.fsdecode(root)}/{interface}/statistics"
    if operation != b"open":
        path += "/" + os.fsdecode(file or ffi.string(lib.netstrat_counter_name(error.item)))
    if operation == b"parse":
        reason = (
            "does not fit 64 bits" if code == -errno.ERANGE else "is no unsigned decimal number"
        )
        raise CounterParseError(path, _text(error), interface, reason)
    _fail(code, error, name, path)


def sysfs_read_counter(root: object, name: object, file: str) -> int:
    """netstrat_sysfs_read_counter."""
    path = _encode_path(root, "sysfs_root")
    encoded = encode_name(name)
    try:
        file_name = _encode_path(file, "file")
    except (TypeError, ValueError):
        raise InvalidCounterNameError(os.fsdecode(encoded), file) from None
    error = ffi.new("struct netstrat_error *")
    value = ffi.new("uint64_t *")
    code = lib.netstrat_sysfs_read_counter(path, encoded, file_name, value, error)
    if code < 0:
        _sysfs_fail(code, error, path, name, file)
    return int(value[0])


def sysfs_read(root: object, name: object) -> list[int]:
    """netstrat_sysfs_read."""
    path = _encode_path(root, "sysfs_root")
    encoded = encode_name(name)
    error = ffi.new("struct netstrat_error *")
    counters, values = _new_counters()
    code = lib.netstrat_sysfs_read(path, encoded, counters, error)
    if code < 0:
        _sysfs_fail(code, error, path, name, None)
    return values()


class Reader:
    """struct netstrat_reader."""

    __slots__ = ("_counters", "_error", "_name", "_reader", "_root", "_values")

    def __init__(self, root: object, name: object) -> None:
        self._root = _encode_path(root, "sysfs_root")
        self._name = name
        # Closed with its object at the latest: a signal handler may raise before __init__ is over.
        reader = ffi.new("struct netstrat_reader *", [[-1] * lib.NETSTRAT_COUNTERS])
        self._reader = ffi.gc(reader, lib.netstrat_reader_close)
        self._error = ffi.new("struct netstrat_error *")
        self._counters, self._values = _new_counters()
        code = lib.netstrat_reader_open(self._reader, self._root, encode_name(name), self._error)
        if code < 0:
            _sysfs_fail(code, self._error, self._root, name, None)

    def read(self) -> list[int]:
        code = _reader_read(self._reader, self._counters, self._error)
        if code < 0:
            _sysfs_fail(code, self._error, self._root, self._name, None)
        return self._values()

    def close(self) -> None:
        lib.netstrat_reader_close(self._reader)


# ---- rtnetlink ----


def link_set_up_once(name: object) -> None:
    """netstrat_link_set_up_once."""
    error = ffi.new("struct netstrat_error *")
    code = lib.netstrat_link_set_up_once(encode_name(name), error)
    if code < 0:
        _fail(code, error, name)


CHANGES = 256  # more than a socket's default queue holds

# Rows are written by the core before they are read, so they need not be cleared.
_new = ffi.new_allocator(should_clear_after_alloc=False)


class Rows:
    """What a dump of counters gave, in memory of its own."""

    __slots__ = ("_counters", "_indexes", "count")

    def __init__(self, indexes: Any, counters: Any, count: int) -> None:
        self._indexes = indexes
        self._counters = counters
        self.count = count

    def index_bytes(self) -> bytes:
        return ffi.buffer(self._indexes, self.count * 4)[:]  # type: ignore[no-any-return]

    def indexes(self) -> list[int]:
        return ffi.unpack(self._indexes, self.count)  # type: ignore[no-any-return]

    def values(self) -> list[int]:
        return ffi.unpack(ffi.cast("uint64_t *", self._counters), self.count * 8)  # type: ignore[no-any-return]

    def views(self) -> tuple[memoryview, memoryview]:
        """The indexes, of format `i`, and the counters, of format `Q` in rows of eight."""
        indexes = memoryview(ffi.buffer(self._indexes, self.count * 4)).cast("i")
        counters = memoryview(ffi.buffer(self._counters, self.count * 64))
        return indexes, counters.cast("Q", (self.count, 8))

    def keep(self, rows: list[int]) -> Rows:
        """These rows only."""
        indexes = _new("int32_t[]", len(rows))
        counters = _new("struct netstrat_counters[]", len(rows))
        for to, row in enumerate(rows):
            indexes[to] = self._indexes[row]
            counters[to] = self._counters[row]
        return Rows(indexes, counters, len(rows))


class Socket:
    """struct netstrat_socket, with the memory that it works in."""

    __slots__ = (
        "_buffer",
        "_changes",
        "_counters",
        "_error",
        "_link",
        "_room",
        "_rows",
        "_sock",
        "_values",
    )

    def __init__(self, netns: object, timeout_ms: int) -> None:
        # Closed with its object at the latest: a signal handler may raise before __init__ is over.
        sock = ffi.new("struct netstrat_socket *", {"fd": -1})
        self._sock = sock = ffi.gc(sock, lib.netstrat_close)
        self._error = error = ffi.new("struct netstrat_error *")
        self._buffer = buffer = _new("unsigned char[]", lib.NETSTRAT_BUFFER_SIZE)
        self._link = ffi.new("struct netstrat_link *")
        self._counters, self._values = _new_counters()
        self._changes: Any = None
        self._room = 64
        self._rows: tuple[Any, Any] = ((), ())  # of dumps that need not last
        size = lib.NETSTRAT_BUFFER_SIZE
        filename = None
        if netns is None:
            code = lib.netstrat_open(sock, buffer, size, error)
        elif isinstance(netns, int) and not isinstance(netns, bool):
            filename = f"descriptor {netns}"
            if not -1 << 31 <= netns < 1 << 31:
                raise kernel_error(errno.EBADF, "setns", filename=filename)
            code = lib.netstrat_open_netns_fd(sock, buffer, size, netns, error)
        else:
            path = _encode_path(netns, "netns")
            filename = os.fsdecode(path)
            code = lib.netstrat_open_netns_path(sock, buffer, size, path, error)
        if code < 0:
            operation = ffi.string(error.operation).decode()
            operation = "open netns" if operation == "open" else operation
            raise kernel_error(-code, operation, filename=filename)
        sock.timeout_ms = timeout_ms
        sock.interrupted = lib.pynetstrat_interrupted

    def fileno(self) -> int:
        return self._sock.fd  # type: ignore[no-any-return]

    def close(self) -> None:
        lib.netstrat_close(self._sock)

    def set_up(self, name: object) -> None:
        code = _set_up(self._sock, encode_name(name), self._error)
        if code < 0:
            _fail(code, self._error, name)

    def set_down(self, name: object) -> None:
        code = lib.netstrat_link_set_down(self._sock, encode_name(name), self._error)
        if code < 0:
            _fail(code, self._error, name)

    def is_up(self, name: object) -> bool:
        code = lib.netstrat_link_is_up(self._sock, encode_name(name), self._error)
        if code < 0:
            _fail(code, self._error, name)
        return bool(code)

    def watch(self) -> bool:
        """Notes changes from now on; False where notifications are refused."""
        self._changes = _new("struct netstrat_link[]", CHANGES)
        code = lib.netstrat_watch_links(self._sock, self._changes, CHANGES, self._error)
        if code < 0:
            self._sock.by_name_only = 1
        return bool(code == 0)

    def by_name_only(self) -> bool:
        return bool(self._sock.by_name_only)

    def changed(self) -> bool:
        return bool(self._sock.changes_count)

    def take_changes(self) -> list[tuple[int, str | None]] | None:
        """What was noted since the last time; None where some of it was lost.

        (index, name) is an interface that appeared or changed, (index, None) one that went.
        """
        count = self._sock.changes_count
        self._sock.changes_count = 0
        if count > CHANGES:
            return None
        return [
            (link.index, None if link.gone else os.fsdecode(ffi.string(link.name)))
            for link in self._changes[0:count]
        ]

    def get_stats_by_name(self, name: object) -> tuple[list[int], int, str]:
        """The counters, the index and the interface name, by a name or an alternative name."""
        link = self._link
        code = lib.netstrat_get_link(
            self._sock, encode_name(name), link, self._counters, self._error
        )
        if code < 0:
            _fail(code, self._error, name)
        return self._values(), link.index, os.fsdecode(ffi.string(link.name))

    def get_stats(self, index: int, name: object) -> list[int] | None:
        """The counters of an index.

        None where a change of any interface was noted before the reply, where there is no such
        index, and where RTM_GETSTATS is refused.
        """
        code = _get_stats(self._sock, index, self._counters, self._error)
        if code == 0:
            return self._values()
        if code < 0 and code not in (-errno.ENODEV, -errno.EOPNOTSUPP):
            _fail(code, self._error, name)
        return None

    def dump_names(self) -> dict[int, str]:
        """The name of every interface, by index."""
        while True:
            links = _new("struct netstrat_link[]", self._room)
            count = lib.netstrat_dump_links(self._sock, links, self._room, self._error)
            if count < 0:
                _fail(count, self._error, "")
            if count <= self._room:
                return {link.index: os.fsdecode(ffi.string(link.name)) for link in links[0:count]}
            self._room = count + count // 8

    def dump_stats(self, *, lasting: bool) -> Rows:
        """The counters of every interface.

        Parameters:
            lasting: in memory of their own; otherwise in the socket's, up to the next dump.
        """
        while True:
            indexes, counters = self._rows
            if lasting or len(indexes) < self._room:
                indexes = _new("int32_t[]", self._room)
                counters = _new("struct netstrat_counters[]", self._room)
            if not lasting:
                self._rows = indexes, counters
            count = lib.netstrat_dump_stats(self._sock, indexes, counters, self._room, self._error)
            if count < 0:
                _fail(count, self._error, "")
            if count <= self._room:
                return Rows(indexes, counters, count)
            self._room = count + count // 8
