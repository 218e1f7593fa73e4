"""Different ways to publish a port, and to let a subnet reach beyond the host: cases of work.py."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from harness import Timer, command, python

from pynetstrat import enable_egress
from pynetstrat._native.nft import NEIGHBOURS, PORTS, SUBNETS, Element, NftSocket, Transaction
from pynetstrat.cli import _fresh_namespaces
from pynetstrat.wiring._nft_table import NftTable

SUBNETS_OF_A_TURN = 200
_TABLE = "inet pynetstrat"


def _table() -> NftTable:
    """Moves the process into a network namespace that forwards, and makes the table."""
    _fresh_namespaces.unshare(_fresh_namespaces.CLONE_NEWNET)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    table = NftTable(NftSocket(None, 60_000))
    table.restore()
    return table


def _nft(script: str) -> Callable[[], None]:
    """Returns a function that runs `nft -f -`."""
    with tempfile.NamedTemporaryFile("w", delete=False) as file:
        file.write(script)
    return command([str(shutil.which("nft")), "-f", "-"], stdin=file.name)


# ---- a port ----

_ELEMENTS = {
    PORTS: [Element("", "10.0.0.2/32", 6, 8080, 80, "bench")],
    NEIGHBOURS: [Element("10.0.0.0/24", "10.0.0.2/32", owner="bench")],
}


def _port() -> Timer:
    """Publishes and withdraws a port as set_up_networks and tear_down_networks do."""
    table = _table()
    matches = {one for part in _ELEMENTS.values() for one in part}.__contains__

    def work() -> None:
        table.claim("bench", _ELEMENTS)
        table.withdraw(_ELEMENTS, matches)

    return python(work)


def _port_by_nft() -> Timer:
    _table()
    port, neighbours = "tcp . 8080", "10.0.0.0/24 . 10.0.0.2"
    add = _nft(
        f'add element {_TABLE} ports4 {{ {port} comment "bench" : 10.0.0.2 . 80 }}\n'
        f'add element {_TABLE} neighbours4 {{ {neighbours} comment "bench" }}\n'
    )
    delete = _nft(
        f"delete element {_TABLE} ports4 {{ {port} }}\n"
        f"delete element {_TABLE} neighbours4 {{ {neighbours} }}\n"
    )

    def work() -> None:
        add()
        delete()

    return python(work)


# ---- a subnet ----


def _enabled(enable: Callable[[int], object], table: NftTable, socket: NftSocket) -> Timer:
    """Returns the timer of enabling subnets. Disabling them is not measured."""

    def run(loops: int) -> float:
        took = 0.0
        while loops > 0:
            count = min(loops, SUBNETS_OF_A_TURN)
            start = perf_counter()
            for number in range(count):
                enable(number)
            took += perf_counter() - start
            socket.transact(Transaction().delete(SUBNETS, table.elements(SUBNETS)))
            # Waits until the kernel has freed the deleted elements. The next close() of a socket
            # that has sent anything would wait for it.
            waiting = NftSocket(None, 60_000)
            waiting.generation()
            waiting.close()
            loops -= count
        return took

    return run


def _egress() -> Timer:
    return _enabled(
        lambda number: enable_egress(f"10.0.{number}.0/24"), _table(), NftSocket(None, 60_000)
    )


def _egress_by_nft() -> Timer:
    table = _table()
    runs = [
        _nft(f"add element {_TABLE} subnets4 {{ 10.0.{number}.0/24 }}\n")
        for number in range(SUBNETS_OF_A_TURN)
    ]
    return _enabled(lambda number: runs[number](), table, NftSocket(None, 60_000))


PORT: dict[str, Callable[[], Timer]] = {"pynetstrat": _port, "nft -f -": _port_by_nft}
EGRESS: dict[str, Callable[[], Timer]] = {"pynetstrat": _egress, "nft -f -": _egress_by_nft}
