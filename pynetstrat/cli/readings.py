"""What `pynetstrat stats` reads: interfaces of one namespace, or those of every container."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from .. import Container, HostCounters, InterfaceNotFoundError, NetworkNamespace, RtnetlinkSocket
from . import missing
from .exit import warn
from .options import namespace
from .text import json_fields, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator, Hashable, Sequence
    from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """An interface and its counters, in one reading.

    Attributes:
        name: its name, or the one by which it was asked for.
        identity: what tells it from any other interface, a former one of the same name included.
        counters: the eight, in the order of `NetworkInterface`'s fields; None: it is not there.
        container: whose it is, where that is part of the answer.
    """

    name: str
    identity: Hashable = None
    counters: Sequence[int] | None = None
    container: Container | None = None

    @property
    def labels(self) -> list[str]:
        """For a table: printable."""
        name = printable(self.name)
        return [name] if self.container is None else [self.container.label, name]

    def fields(self) -> dict[str, Any]:
        """For JSON."""
        name = json_fields("name", self.name)
        if self.container is None:
            return name
        # Where only the nsid is known, the label has it.
        return {"container": self.container.label, "netns": self.container.inode or None, **name}


def read_interfaces(options: argparse.Namespace) -> Generator[list[Row], None, None]:
    """The interfaces that are named, or all of the namespace, once for each step.

    Nothing is kept open between two steps, or a container that is watched could not end.

    Raises:
        InterfaceNotFoundError: one that is named is not there at the first step.
        KernelError: the namespace is not there, or not there any more.
    """
    is_other_side = options.perspective == "container"
    is_first = True
    while True:
        with ExitStack() as stack:
            where = namespace(options)
            netns = stack.enter_context(NetworkNamespace.open(where)) if where else None
            rtnetlink = stack.enter_context(RtnetlinkSocket(netns))
            space = netns and (netns.id, netns.cookie)
            named = [(name, _index(rtnetlink, name, is_first)) for name in options.interfaces]
            table = rtnetlink.dump_counters()
        is_first = False
        counters = table.counters.tolist()
        found = {
            index: ((space, index, name), _swap(values, is_other_side))
            for name, index, values in zip(table.names, table.ifindexes, counters, strict=True)
        }
        everything = zip(table.names, table.ifindexes, strict=True)
        yield [Row(name, *found.get(index, ())) for name, index in named or everything]


def _index(rtnetlink: RtnetlinkSocket, name: str, is_wanted: bool) -> int:
    """An interface's index; 0: it is not there, and need not be."""
    try:
        return rtnetlink.get_link(name).index
    except InterfaceNotFoundError:
        if is_wanted:
            raise
        return 0


def read_containers(options: argparse.Namespace) -> Generator[list[Row], None, None]:
    """The interfaces of every container of this host, once for each step.

    Reports on standard error what cannot be counted, at the first step and when a new kind of
    reason is added.
    """
    is_other_side = options.perspective == "host"
    reported: set[str] = set()
    with HostCounters() as host:
        while True:
            discovery = host.refresh()
            table = host.read_columns()
            reasons = missing.reasons(discovery, host.refused, host.omitted)
            if not reported.issuperset(reasons):
                reported.update(reasons)
                warn(missing.line(reasons.values()))
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
            ]


def _swap(counters: list[int], is_other_side: bool) -> list[int]:
    """The counters, or the same as the other end of the pair sees them."""
    return counters[4:] + counters[:4] if is_other_side else counters
