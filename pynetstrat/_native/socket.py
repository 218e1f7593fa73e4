"""Counters over rtnetlink, with a name watch that tells when interfaces change."""

from __future__ import annotations

from errno import ENODEV, EOPNOTSUPP

from .._core import ffi, lib
from . import decode, encode_name, fail
from .queries import Queries
from .rows import Rows, named_rows, new, new_counters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

CHANGES = 256  # more than the default receive queue of a socket holds
_KNOWN = 1024  # entries of the core's name cache at first: a power of two

# An attribute of `lib` takes as long as a small function: 2 % of get_stats.
_counters_get = lib.netstrat_counters_get
_set_up = lib.netstrat_link_set_up

_NOTHING = object()  # no name


class Socket(Queries):
    """The native half of `RtnetlinkSocket`.

    Attributes:
        by_name_only: whether the kernel refuses RTM_GETSTATS or notifications, so that each
            reading goes by name.
    """

    # Made by the first get_stats_by_name(), which comes before the first get_stats().
    _name: Any = None
    _counters: Any = None
    _values: Callable[[], list[int]] = list
    # Made by watch(). The first is the second once it records changes.
    _watch: Any = ffi.NULL
    _new_watch: Any = None
    _changes: Any = None
    _known: Any = None
    # The last name brought up, and the index last read, each with the arguments for the core. It
    # takes an eighth of the call to convert a name, and a thirtieth to collect the arguments. Both
    # are replaced at once, since a signal handler may raise between two statements.
    _up: tuple[object, tuple[Any, ...]] = _NOTHING, ()
    _reading: tuple[int, tuple[Any, ...]] = 0, ()
    _room = 64  # rows, of the memory for a dump
    _rows: tuple[Any, Any] = ((), ())  # memory that dumps use again
    by_name_only = False

    # ---- changes of a link ----

    def set_up(self, name: object) -> None:
        """Brings a link up."""
        last, arguments = self._up
        if name is not last:
            arguments = self._prepare_set_up(name)
        code = _set_up(*arguments)
        if code < 0:
            fail(code, self._error, name)

    def _prepare_set_up(self, name: object) -> tuple[Any, ...]:
        encoded = encode_name(name)
        arguments = self._changer or self._open_changer(), encoded, self._error
        # Another type than str may be mutable. Without a socket for changes, the next call tries
        # to open it again.
        if type(name) is str and self._changer:
            self._up = name, arguments
        return arguments

    def set_down(self, name: object) -> None:
        """Takes a link down."""
        sock = self._changer or self._open_changer()
        code = lib.netstrat_link_set_down(sock, encode_name(name), self._error)
        if code < 0:
            fail(code, self._error, name)

    # ---- the name watch ----

    def watch(self) -> bool:
        """Begins to record changes of names. Returns False if notifications are refused."""
        if self._watch:
            return True
        if self.by_name_only:
            return False
        if self._new_watch is None:
            self._new_watch = self._make_watch()
        # The core keeps a pointer to it, also if a signal handler raises as soon as this returns.
        if lib.netstrat_name_watch_start(self._new_watch, self._sock, self._error) < 0:
            self.by_name_only = True
            return False
        self._up = _NOTHING, ()
        self._changer = ffi.NULL
        self._watch = self._new_watch  # last: it is checked above
        return True

    def _make_watch(self) -> Any:
        watch = ffi.new("struct netstrat_name_watch *")
        self._changes = watch.changes = new("struct netstrat_link_name[]", CHANGES)
        watch.room = CHANGES
        self._set_known(watch, _KNOWN)
        return watch

    def _set_known(self, watch: Any, entries: int) -> None:
        """Gives the core an empty name cache."""
        known = ffi.new("struct netstrat_link_name[]", entries)
        self._known = self._known, known  # a signal handler may raise before the core has the new
        watch.known, watch.known_size = known, entries
        self._known = known

    def has_changes(self) -> bool:
        """Returns whether a change was recorded since take_changes()."""
        return bool(self._watch) and self._watch.count != 0

    def take_changes(self) -> list[tuple[int, str]] | None:
        """Returns the changes since the last call, or None if some of them were lost.

        A change is (index, name) for an interface that appeared or was renamed, and (index, "")
        for one that was deleted or left the namespace.
        """
        count, self._watch.count = self._watch.count, 0
        if count > CHANGES:
            return None
        return [(link.index, decode(link.name)) for link in self._changes[0:count]]

    # ---- counters of one link ----

    def get_stats(self, index: int, name: object) -> list[int] | None:
        """Returns the counters of the link with that index.

        Returns None if a change of any link was recorded before the reply, if there is no such
        index, or if the kernel refuses RTM_GETSTATS.
        """
        last, arguments = self._reading
        if index != last:
            arguments = self._sock, self._watch, index, self._counters, self._error
            self._reading = index, arguments
        code = _counters_get(*arguments)
        if code == 0:
            return self._values()
        if code == -EOPNOTSUPP:
            self.by_name_only = True
        elif code < 0 and code != -ENODEV:
            fail(code, self._error, name)
        return None

    def get_stats_by_name(self, name: object) -> tuple[list[int], int, str]:
        """Returns the counters, the index and the interface name, by a name or alternative name."""
        if self._name is None:
            self._counters, self._values = new_counters()
            self._name = ffi.new("struct netstrat_link_name *")  # last: it is checked above
        found = self._name
        function = lib.netstrat_counters_get_by_name
        self._call(function, self._watch, encode_name(name), found, self._counters, name=name)
        return self._values(), found.index, decode(found.name)

    def read_counters(self, index: int, name: object) -> list[int]:
        """Returns the counters of the link with that index, on any kernel.

        Parameters:
            name: the link's name in errors.
        """
        link, (counters, values) = ffi.new("struct netstrat_link *"), new_counters()
        self._call(lib.netstrat_link_get_index, index, link, counters, name=name)
        return values()

    # ---- counters of all links ----

    def _grow(self, count: int) -> bool:
        """Makes room for more rows. Returns False if there was enough."""
        if count <= self._room:
            return False
        self._room = count + count // 8
        return True

    def dump_names(self) -> dict[int, str]:
        """Returns the name of every interface, by index."""
        while True:
            links = new("struct netstrat_link_name[]", self._room)
            count = self._call(lib.netstrat_link_names_dump, self._watch, links, self._room)
            watch = self._watch
            too_small = bool(watch) and watch.known_size < count
            if too_small:
                self._set_known(watch, 1 << (2 * count).bit_length())
            if not self._grow(count) and not too_small:
                return {link.index: decode(link.name) for link in links[0:count]}

    def dump_stats(self, *, lasting: bool) -> Rows | None:
        """Returns the counters of every interface, or None if the kernel refuses RTM_GETSTATS.

        Parameters:
            lasting: whether the rows get memory of their own; otherwise the next dump overwrites
                them.
        """
        while True:
            indexes, counters = self._rows
            if lasting or len(indexes) < self._room:
                indexes = new("int32_t[]", self._room)
                counters = new("struct netstrat_counters[]", self._room)
            if not lasting:
                self._rows = indexes, counters
            code = lib.netstrat_counters_dump(
                self._sock, indexes, counters, self._room, self._error
            )
            if code == -EOPNOTSUPP:
                self.by_name_only = True
                return None
            if code < 0 and not self._enlarge(code):
                fail(code, self._error)
            if code >= 0 and not self._grow(code):
                return Rows(indexes, counters, code)

    def dump_stats_by_name(self) -> tuple[tuple[str, ...], Rows]:
        """Returns the names and counters of every interface, both from the same messages."""
        return self._until_distinct(self._dump_stats_by_name)

    def _dump_stats_by_name(self) -> tuple[tuple[tuple[str, ...], Rows], int, int]:
        while True:
            room = self._room
            links = new("struct netstrat_link_name[]", room)
            counters = new("struct netstrat_counters[]", room)
            count = self._call(lib.netstrat_counters_dump_by_name, links, counters, room)
            if not self._grow(count):
                names, rows = named_rows(links, counters, count)
                return (names, rows), count, len(set(names))
