"""What `stats` and `top` read: the interfaces of a namespace, or those of every container."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from errno import EAGAIN, ETIMEDOUT
from operator import is_not

from .. import (
    Container,
    HostCounters,
    InterfaceNotFoundError,
    KernelError,
    NetworkNamespace,
    RtnetlinkSocket,
)
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


@dataclass(frozen=True, slots=True)
class Row:
    """One interface.

    Attributes:
        name: its name, or the name that the user gave for it.
        identity: differs from that of every other interface, including a former one with the same
            name. None if the interface does not exist.
        container: its container if all containers are read, otherwise None.
    """

    name: str
    identity: Hashable = None
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


@dataclass(frozen=True, slots=True)
class Reading:
    """The counters of interfaces at one moment.

    Attributes:
        rows: the interfaces. It is the same list as in the last reading only if no interface was
            added, deleted or renamed.
        counters: the eight counters of each, in the order of the fields of `NetworkInterface`; None
            if the interface does not exist.
    """

    rows: list[Row]
    counters: Sequence[Sequence[int] | None]


def read_interfaces(options: argparse.Namespace) -> Generator[Reading, None, None]:
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
        found = dict(zip(table.ifindexes, table.counters.tolist(), strict=True))
        rows: list[Row] = []
        counters: list[list[int] | None] = []
        for name, index in named or zip(table.names, table.ifindexes, strict=True):
            values = found.get(index)
            rows.append(Row(name, None if values is None else (netns_identity, index, name)))
            counters.append(None if values is None else _swap(values, is_other_side))
        yield Reading(rows, counters)


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
) -> Generator[Reading | None, None, None]:
    """Yields readings of the interfaces of the containers of this host that `options` choose.

    With `report`, None takes the place of a reading that failed because the kernel was too busy or
    the interfaces changed during every attempt. Without it such a failure is raised.

    Parameters:
        options: `perspective`, and `container`: a pattern that must match (see `matches`), or
            None.
        report: called at each reading with what is not counted, as `_missing.reasons` returns it,
            before the reading is yielded. By default a line on standard error warns at the first
            reading, and whenever a new kind of reason appears.
        routed: see `HostCounters`.
    """
    is_other_side = options.perspective == "host"
    pattern = options.container
    is_tolerant = report is not None
    report = report or _warn_once()
    last: tuple[object, ...] = ()
    chosen: list[tuple[int, Row]] = []
    rows: list[Row] = []
    with HostCounters(routed=routed) as host:
        while True:
            try:
                discovery = host.refresh()
                table = host.read_columns()
            except KernelError as error:
                if not is_tolerant or error.errno not in (EAGAIN, ETIMEDOUT):
                    raise
                report({"failed": f"this sample ({error})"})
                yield None
                continue
            report(_missing.reasons(discovery, host.refused, host.omitted))
            columns = (table.keys, table.names, table.identities)
            if not last or any(map(is_not, columns, last)):
                last = columns
                chosen = [
                    (at, Row(name, (identity, name), container))
                    for at, (container, name, identity) in enumerate(zip(*columns, strict=True))
                    if isinstance(container, Container)
                    and (pattern is None or matches(container, pattern))
                ]
                rows = [row for _, row in chosen]
            counters = table.counters.tolist()
            if len(chosen) < len(counters):
                counters = [counters[at] for at, _ in chosen]
            if is_other_side:
                counters = [_swap(values, is_other_side) for values in counters]
            yield Reading(rows, counters)


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
