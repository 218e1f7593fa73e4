"""Counters as Python has them: of one interface, and of all interfaces as columns."""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    View = Callable[[str, list[int]], "NetworkInterface"]

    class CounterView(memoryview):  # type: ignore[misc]  # it is final, and knows no rows
        """A two-dimensional memoryview of format `Q`, as typing tools are to see it."""

        def tolist(self) -> list[list[int]]:  # type: ignore[override]
            """The rows."""


@dataclass(slots=True)
class NetworkInterface:
    """An interface's counters, as one side of it sees them.

    Each counter is an unsigned 64-bit number since the interface was made; `*_bytes` are in bytes,
    the others in packets (`struct rtnl_link_stats64`, linux/if_link.h).

    Attributes:
        name: the interface's name.
        rx_bytes: received, good.
        rx_packets: received, good.
        rx_errors: received, bad.
        rx_dropped: received, but not processed.
        tx_bytes: transmitted.
        tx_packets: transmitted.
        tx_errors: not transmitted because of an error.
        tx_dropped: not transmitted for lack of room.
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
        """The same counters as the other side of the veth pair sees them: rx is tx, tx is rx."""
        return NetworkInterface(
            self.name,
            self.tx_bytes,
            self.tx_packets,
            self.tx_errors,
            self.tx_dropped,
            self.rx_bytes,
            self.rx_packets,
            self.rx_errors,
            self.rx_dropped,
        )


# The two views of eight counters, which come as the host sees them. They fill the slots themselves:
# the dataclass's __init__ would cost a tenth of get_stats.
_new = object.__new__


def host_view(name: str, values: list[int]) -> NetworkInterface:
    """The dataclass of a name and the host's eight counters, in its fields' order."""
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
    """The same as the other end of the pair sees it."""
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


VIEWS: dict[object, View] = {"host": host_view, "container": container_view}


def get_view(perspective: object) -> View:
    """The view of a perspective.

    Raises:
        ValueError: `perspective` is neither "container" nor "host".
    """
    try:
        return VIEWS[perspective]
    except (KeyError, TypeError):
        raise ValueError(f'perspective is "container" or "host", not {perspective!r}') from None


class CounterTable:
    """The counters of a namespace as columns: one row an interface, as the host sees them.

    Attributes:
        names: the interfaces' names; the same tuple again while no interface comes, goes or is
            renamed.
        ifindexes: their indexes: a `memoryview` of format `i`.
        counters: a two-dimensional `memoryview` of format `Q`: a row for each interface, and in it
            the eight counters in the order of `NetworkInterface`'s fields. It is this table's own
            memory: later calls leave it alone.
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
    """The counters of many containers as columns: a row an interface, as the container sees it.

    Attributes:
        keys: whose row it is; the same tuple again while nothing changes.
        names: the interface's name in the container; likewise.
        identities: what tells the interface from any other, a former one of its name included;
            likewise. It is made of the namespace, the index there, and the index of the host's end:
            the kernel gives none of them anew, unless somebody asks for that very index.
        counters: a two-dimensional `memoryview` of format `Q`: a row for each interface, and in it
            the eight counters in the order of `NetworkInterface`'s fields. It is this table's own
            memory: later calls leave it alone.
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
