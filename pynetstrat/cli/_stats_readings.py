"""What `stats` and `top` read: the interfaces of a namespace, or those of every container."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from .. import Container, HostCounters, InterfaceNotFoundError, NetworkNamespace, RtnetlinkSocket
from . import _missing
from ._options import namespace
from ._output import warn
from ._text import json_fields, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    import re
    from collections.abc import Callable, Generator, Hashable, Sequence
    from typing import Any


@dataclass(slots=True)  # a frozen one takes three times as long to make
class Row:
    """One interface in one reading.

    Attributes:
        name: its name, or the name that the user gave for it.
        identity: differs from that of every other interface, including a former one with the same
            name.
        counters: its eight counters in the order of the fields of `NetworkInterface`, or None if
            the interface does not exist.
        container: its container if all containers are read, otherwise None.
    """

    name: str
    identity: Hashable = None
    counters: Sequence[int] | None = None
    container: Container | None = None

    @property
    def labels(self) -> list[str]:
        """The printable labels for a table."""
        name = printable(self.name)
        return [name] if self.container is None else [self.container.label, name]

    def fields(self) -> dict[str, Any]:
        """Returns the name, and the container if it is known, for JSON."""
        name = json_fields("name", self.name)
        if self.container is None:
            return name
        # The inode is 0 if only the nsid is known, which the label contains.
        return {"container": self.container.label, "netns": self.container.inode or None, **name}


def read_interfaces(options: argparse.Namespace) -> Generator[list[Row], None, None]:
    """Yields readings of the named interfaces, or of all interfaces of the namespace.

    Nothing stays open between two readings: an open namespace could not end.

    Raises:
        InterfaceNotFoundError: a named interface does not exist at the first reading.
        KernelError: the namespace does not exist, or has ended.
    """
    is_other_side = options.perspective == "container"
    is_first = True
    while True:
        with ExitStack() as stack:
            where = namespace(options)
            netns = stack.enter_context(NetworkNamespace.open(where)) if where else None
            rtnetlink = stack.enter_context(RtnetlinkSocket(netns))
            netns_identity = netns and (netns.id, netns.cookie)
            named = [(name, _index(rtnetlink, name, is_first)) for name in options.interfaces]
            table = rtnetlink.dump_counters()
        is_first = False
        counters = table.counters.tolist()
        found = {
            index: ((netns_identity, index, name), _swap(values, is_other_side))
            for name, index, values in zip(table.names, table.ifindexes, counters, strict=True)
        }
        everything = zip(table.names, table.ifindexes, strict=True)
        yield [Row(name, *found.get(index, ())) for name, index in named or everything]


def _index(rtnetlink: RtnetlinkSocket, name: str, must_exist: bool) -> int:
    """Returns an interface's index, or 0 if the interface does not exist and need not."""
    try:
        return rtnetlink.get_link(name).index
    except InterfaceNotFoundError:
        if must_exist:
            raise
        return 0


def read_containers(
    options: argparse.Namespace,
    report: Callable[[dict[str, str]], None] | None = None,
    *,
    routed: bool = True,
) -> Generator[list[Row], None, None]:
    """Yields readings of the interfaces of the containers of this host that `options` choose.

    Parameters:
        options: `perspective`, and `container`: a pattern that must match (see `matches`), or
            None.
        report: called at each reading with `_missing.reasons`, before its rows are yielded. By
            default a line on standard error warns at the first reading, and whenever a new kind
            of reason appears.
        routed: see `HostCounters`.
    """
    is_other_side = options.perspective == "host"
    pattern = options.container
    report = report or _warn_once()
    with HostCounters(routed=routed) as host:
        while True:
            discovery = host.refresh()
            table = host.read_columns()
            report(_missing.reasons(discovery, host.refused, host.omitted))
            yield [
                Row(name, (identity, name), _swap(values, is_other_side), container)
                for container, name, identity, values in zip(
                    table.keys,
                    table.names,
                    table.identities,
                    table.counters.tolist(),
                    strict=True,
                )
                if isinstance(container, Container)
                and (pattern is None or matches(container, pattern))
            ]


def matches(container: Container, pattern: re.Pattern[str]) -> bool:
    """Whether the pattern occurs in the label, in an id, in the owner or in the name."""
    texts = (container.label, container.owner, container.name, *container.ids)
    return any(map(pattern.search, texts))


def _warn_once() -> Callable[[dict[str, str]], None]:
    reported: set[str] = set()

    def report(reasons: dict[str, str]) -> None:
        if not reported.issuperset(reasons):
            reported.update(reasons)
            warn(_missing.line(reasons.values()))

    return report


def _swap(counters: list[int], is_other_side: bool) -> list[int]:
    """Exchanges rx and tx if `is_other_side`, as the other end of a veth pair counts them."""
    return counters[4:] + counters[:4] if is_other_side else counters
