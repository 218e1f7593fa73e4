"""Counters of one interface, and tables of the counters of many interfaces."""

from __future__ import annotations

from itertools import repeat

from ._dataclass import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    View = Callable[[str, list[int]], "NetworkInterface"]

    class CounterView(memoryview):  # type: ignore[misc]  # memoryview is final and one-dimensional there
        """A two-dimensional memoryview of format `Q`, for type checkers."""

        def tolist(self) -> list[list[int]]:  # type: ignore[override]
            """The rows."""


@dataclass(slots=True)
class NetworkInterface:
    """The eight counters of an interface, from one perspective.

    Each counter is an unsigned 64-bit number that starts at 0 when the interface is created
    (`struct rtnl_link_stats64`, linux/if_link.h). It is a dataclass.

    Attributes:
        name: the interface's name.
        rx_bytes: bytes of the packets in `rx_packets`.
        rx_packets: good packets received.
        rx_errors: bad packets received.
        rx_dropped: packets received but not processed, for example for lack of memory.
        tx_bytes: bytes of the packets in `tx_packets`.
        tx_packets: packets transmitted.
        tx_errors: packets that could not be transmitted.
        tx_dropped: packets dropped on their way to transmission, for example for lack of memory.
    """

    name: str = ""
    rx_bytes: int = 0
    rx_packets: int = 0
    rx_errors: int = 0
    rx_dropped: int = 0
    tx_bytes: int = 0
    tx_packets: int = 0
    tx_errors: int = 0
    tx_dropped: int = 0

    def swapped(self) -> NetworkInterface:
        """Returns the counters from the other perspective, with rx and tx swapped."""
        return container_view(
            self.name,
            [
                self.rx_bytes,
                self.rx_packets,
                self.rx_errors,
                self.rx_dropped,
                self.tx_bytes,
                self.tx_packets,
                self.tx_errors,
                self.tx_dropped,
            ],
        )


@dataclass(slots=True)
class FinalCounters(NetworkInterface):
    """The last counters of an interface of a container that has ended, from the container's side.

    `ContainerCounters.final` returns them.

    Attributes:
        exact: whether they are the counters at the deletion of the interface. Otherwise rx is
            exact if the peer was in the host namespace and its deletion was reported, and the rest
            is as of the last reading.
    """

    exact: bool = False


# A view makes a NetworkInterface of the eight counters, which are in the host's perspective. Both
# views and make_views fill the slots themselves: the dataclass's __init__ would cost a tenth of
# get_stats, and a quarter of dump_stats.
_new = object.__new__


def host_view(name: str, values: list[int]) -> NetworkInterface:
    """A NetworkInterface of a name and eight counters, which are in the order of its fields."""
    view = _new(NetworkInterface)
    view.name = name
    (
        view.rx_bytes,
        view.rx_packets,
        view.rx_errors,
        view.rx_dropped,
        view.tx_bytes,
        view.tx_packets,
        view.tx_errors,
        view.tx_dropped,
    ) = values
    return view


def container_view(name: str, values: list[int]) -> NetworkInterface:
    """A NetworkInterface of a name and eight counters, with rx and tx swapped.

    No other function swaps them.
    """
    view = _new(NetworkInterface)
    view.name = name
    (
        view.tx_bytes,
        view.tx_packets,
        view.tx_errors,
        view.tx_dropped,
        view.rx_bytes,
        view.rx_packets,
        view.rx_errors,
        view.rx_dropped,
    ) = values
    return view


def make_views(names: tuple[str, ...], columns: Iterable[list[int]]) -> list[NetworkInterface]:
    """NetworkInterfaces of names and of eight columns of counters, in the order of the fields."""
    views = list(map(_new, repeat(NetworkInterface, len(names))))
    # The loop assigns from left to right: a view, and then its slots. No tuple is made for a row.
    for (
        view,  # noqa: B007  # the next nine are its attributes
        view.name,
        view.rx_bytes,
        view.rx_packets,
        view.rx_errors,
        view.rx_dropped,
        view.tx_bytes,
        view.tx_packets,
        view.tx_errors,
        view.tx_dropped,
    ) in zip(views, names, *columns, strict=True):
        pass
    return views


VIEWS: dict[object, View] = {"host": host_view, "container": container_view}


def get_view(perspective: object) -> View:
    """The view for a perspective.

    Raises:
        ValueError: `perspective` is neither "container" nor "host".
    """
    try:
        return VIEWS[perspective]
    except (KeyError, TypeError):
        message = f'perspective must be "container" or "host", not {perspective!r}'
        raise ValueError(message) from None


def column_order(perspective: object) -> list[int]:
    """Returns which of the host's eight counters goes into each field of a perspective.

    Raises:
        ValueError: `perspective` is neither "container" nor "host".
    """
    view = get_view(perspective)("", list(range(8)))
    return [
        view.rx_bytes,
        view.rx_packets,
        view.rx_errors,
        view.rx_dropped,
        view.tx_bytes,
        view.tx_packets,
        view.tx_errors,
        view.tx_dropped,
    ]


class CounterTable:
    """The counters of all interfaces of a namespace, in the host's perspective, as columns.

    `RtnetlinkSocket.dump_counters` returns one. Row i of each column belongs to one interface.

    Attributes:
        names: the interfaces' names. It is the same tuple as in the last table if no interface was
            added, deleted or renamed.
        ifindexes: the interfaces' indexes, a `memoryview` of format `i`.
        counters: a two-dimensional `memoryview` of format `Q`. Each row has the eight counters in
            the order of the fields of `NetworkInterface`, in bytes and packets. The memory belongs
            to this table: later calls do not change it.

    Example:
        >>> with RtnetlinkSocket() as sock:
        ...     table = sock.dump_counters()
        >>> dict(zip(table.names, table.counters.tolist()))
        {'lo': [0, 0, 0, 0, 0, 0, 0, 0]}
    """

    __slots__ = ("counters", "ifindexes", "names")

    def __init__(
        self, names: tuple[str, ...], ifindexes: memoryview, counters: CounterView
    ) -> None:
        self.names = names
        self.ifindexes = ifindexes
        self.counters = counters

    def __repr__(self) -> str:
        return f"<CounterTable of {len(self.names)} interfaces>"


class ContainerTable:
    """The counters of many containers' interfaces, in the container's perspective, as columns.

    `ContainerCounters.read_columns` and `HostCounters.read_columns` return one. Row i of each
    column belongs to one interface. `keys`, `names` and `identities` are the same tuples as in the
    last table if no interface was added, deleted or renamed.

    Attributes:
        keys: the container of each row, as it was given to `ContainerCounters.add`.
        names: the interfaces' names in their containers.
        identities: a value for each interface that differs from those of all others, former ones of
            the same name included. It consists of the namespace, the index in it, and the index of
            the host end. The kernel does not use an index again unless a caller requests it.
        counters: a two-dimensional `memoryview` of format `Q`. Each row has the eight counters in
            the order of the fields of `NetworkInterface`, in bytes and packets. The memory belongs
            to this table: later calls do not change it.
    """

    __slots__ = ("counters", "identities", "keys", "names")

    def __init__(
        self,
        keys: tuple[Hashable, ...],
        names: tuple[str, ...],
        identities: tuple[Hashable, ...],
        counters: CounterView,
    ) -> None:
        self.keys = keys
        self.names = names
        self.identities = identities
        self.counters = counters

    def __repr__(self) -> str:
        return f"<ContainerTable of {len(self.names)} interfaces>"
