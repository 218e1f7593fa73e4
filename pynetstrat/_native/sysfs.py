"""Counters from files, read once or held open: of /sys, of another tree, or of our own mount."""

from __future__ import annotations

import contextlib
import os

from .._core import ffi, lib
from ..errors import CounterParseError, InvalidCounterNameError, KernelError
from . import (
    Namespace,
    encode_name,
    encode_path,
    error_text,
    fail,
    hint_of,
    invalid_name,
    open_descriptor,
    show,
)
from .rows import new_counters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

# Attributes of `lib`, each of which takes as long as a small function.
_AT_FDCWD: int = lib.AT_FDCWD
_LINK_NAME: int = lib.NETSTRAT_OP_LINK_NAME
_read_once = lib.netstrat_sysfs_read
_read_held = lib.netstrat_sysfs_reader_read

#: The names of the eight counters, in order.
COUNTERS = tuple(
    ffi.string(lib.netstrat_counter_name(item)).decode() for item in range(lib.NETSTRAT_COUNTERS)
)


def encode_root(root: object) -> bytes:
    """Converts the path of a tree to bytes."""
    return encode_path(root, "sysfs_root")


class SysfsIdentity:
    """struct netstrat_sysfs_place: the namespace of the calling thread, and the tree of a sysfs."""

    __slots__ = ("key", "struct")

    def __init__(self, root: bytes, at: int = _AT_FDCWD) -> None:
        self.struct = ffi.new("struct netstrat_sysfs_place *")
        error = ffi.new("struct netstrat_error *")
        code = lib.netstrat_sysfs_place_get(at, root, self.struct, error)
        if code < 0:
            fail(code, error, "", os.fsdecode(root))
        #: Equal exactly if the structs are equal.
        self.key: bytes = ffi.buffer(self.struct)[:]

    def device(self) -> int:
        """The device of the tree's file system."""
        return self.struct.device  # type: ignore[no-any-return]


class Mount:
    """A detached mount of the sysfs of a namespace, closed at the latest when it is collected.

    Parameters:
        netns: the namespace; None: the calling thread's.
        name: the interface that errors name.

    Raises:
        KernelError: mounting is refused, or the namespace can't be entered.
    """

    ROOT = b"class/net"

    __slots__ = ("_holder", "fd")

    def __init__(self, netns: object = None, name: object = "") -> None:
        error = ffi.new("struct netstrat_error *")
        if netns is None:
            self._holder = open_descriptor(lib.netstrat_sysfs_mount, error)
            if self._holder.fd < 0:
                fail(self._holder.fd, error, name)
        else:
            namespace = Namespace(netns, name)
            self._holder = open_descriptor(lib.netstrat_sysfs_mount_at, namespace.fd, error)
            if self._holder.fd < 0:
                namespace.fail(self._holder.fd, error, name)
        self.fd: int = self._holder.fd

    def close(self) -> None:
        """Closes the descriptor. The mount ends once its open files are closed too."""
        lib.netstrat_socket_close(self._holder)


def _sysfs_fail(
    code: int, error: Any, root: bytes, name: object, file: str | bytes | None
) -> NoReturn:
    if error.operation == lib.NETSTRAT_OP_FILE:
        raise InvalidCounterNameError(show(name), file)
    if error.operation == lib.NETSTRAT_OP_LINK_NAME:
        raise invalid_name(name, error.operation)
    path = f"{os.fsdecode(root)}/{show(name)}/statistics"
    if error.operation not in (lib.NETSTRAT_OP_OPEN, lib.NETSTRAT_OP_READLINK):
        path += "/" + os.fsdecode(file or COUNTERS[error.item])
    if error.operation == lib.NETSTRAT_OP_PARSE:
        raise CounterParseError(path, error_text(error), show(name), hint_of(code, error))
    fail(code, error, name, path)


def read_counter(
    root: bytes, name: object, file: str, place: SysfsIdentity | None = None, at: int = _AT_FDCWD
) -> int | None:
    """Reads one counter, or returns None if the thread or the files are not at `place`.

    Parameters:
        root, at: the tree, as for netstrat_sysfs_read_counter.
    """
    encoded = encode_name(name, lib.NETSTRAT_OP_LINK_NAME)
    try:
        file_name = encode_path(file, "file")
    except (TypeError, ValueError):
        raise InvalidCounterNameError(show(name), file) from None
    error = ffi.new("struct netstrat_error *")
    value = ffi.new("uint64_t *")
    wanted = place.struct if place is not None else ffi.NULL
    code = lib.netstrat_sysfs_read_counter(at, root, encoded, file_name, wanted, value, error)
    if code < 0:
        if error.operation == lib.NETSTRAT_OP_READLINK:
            return None
        _sysfs_fail(code, error, root, name, file)
    return value[0]  # type: ignore[no-any-return]


# The memory of calls of `read` that have returned, for later ones: to make it takes a tenth of a
# call. A call takes it from here while it runs, so that no other thread or signal handler uses it.
_unused: list[tuple[Any, Any, Callable[[], list[int]]]] = []


def read(root: bytes, name: object, place: SysfsIdentity | None = None) -> list[int] | None:
    """Reads the eight counters, or returns None if the thread or the files are not at `place`."""
    encoded = encode_name(name, _LINK_NAME)
    try:
        memory = _unused.pop()
    except IndexError:
        memory = ffi.new("struct netstrat_error *"), *new_counters()
    error, counters, values = memory
    wanted = place.struct if place is not None else ffi.NULL
    code = _read_once(_AT_FDCWD, root, encoded, wanted, counters, error)
    if code < 0:
        if error.operation == lib.NETSTRAT_OP_READLINK:
            return None
        _sysfs_fail(code, error, root, name, None)
    found = values()
    _unused.append(memory)
    return found


def check(name: object, file: str | None = None) -> None:
    """Raises an error if the name of an interface or of a counter is invalid."""
    if lib.netstrat_name_check(encode_name(name, lib.NETSTRAT_OP_LINK_NAME)) != 0:
        raise invalid_name(name, lib.NETSTRAT_OP_LINK_NAME)
    if file is not None:
        with contextlib.suppress(KernelError):  # at "" there is no file: only the name is checked
            read_counter(b"", name, file)


class Reader:
    """struct netstrat_sysfs_reader: the eight files of an interface, held open.

    Parameters:
        root, at: the tree, as for netstrat_sysfs_reader_open.
        place: where the thread and the files must be; None: anywhere.

    Raises:
        LookupError: the thread or the files are not at `place`.
    """

    __slots__ = ("_arguments", "_error", "_name", "_reader", "_root", "_values")

    def __init__(
        self, root: bytes, name: object, place: SysfsIdentity | None = None, at: int = _AT_FDCWD
    ) -> None:
        self._root = root
        self._name = name
        # Closed when it is collected, since a signal handler may raise before __init__ ends.
        reader = ffi.new("struct netstrat_sysfs_reader *")
        self._reader = ffi.gc(reader, lib.netstrat_sysfs_reader_close)
        self._error = error = ffi.new("struct netstrat_error *")
        counters, self._values = new_counters()
        wanted = place.struct if place is not None else ffi.NULL
        encoded = encode_name(name, lib.NETSTRAT_OP_LINK_NAME)
        self._arguments = self._reader, counters, error
        code = lib.netstrat_sysfs_reader_open(self._reader, at, root, encoded, wanted, error)
        if code < 0:
            if error.operation == lib.NETSTRAT_OP_READLINK:
                raise LookupError(root)
            _sysfs_fail(code, error, root, name, None)

    def read(self) -> list[int]:
        """Reads the eight counters."""
        code = _read_held(*self._arguments)
        if code < 0:
            _sysfs_fail(code, self._error, self._root, self._name, None)
        return self._values()

    def close(self) -> None:
        """Closes the files. A second call does nothing."""
        lib.netstrat_sysfs_reader_close(self._reader)
