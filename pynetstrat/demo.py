"""The main job, shown: `lo` brought up in a fresh namespace, its counters around some traffic."""

from __future__ import annotations

import dataclasses
import json
import socket

from . import sandbox, table
from .rtnetlink import RtnetlinkSocket
from .stats import get_network_interface_stats
from .strategies import get_strategy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .network import NetworkInterface

_DATAGRAMS, _SIZE = 100, 1000


def _send_traffic() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        for _ in range(_DATAGRAMS):
            sender.sendto(bytes(_SIZE), receiver.getsockname())
            receiver.recv(_SIZE)


def _read() -> dict[str, NetworkInterface]:
    return {
        "container": get_network_interface_stats("lo"),
        "host": get_network_interface_stats("lo", perspective="host"),
    }


def run(*, as_json: bool = False) -> None:
    """Moves the process into fresh namespaces, brings `lo` up there and prints what happens.

    Raises:
        KernelError: namespaces are refused here; the text says what to allow.
    """
    sandbox.enter()
    with RtnetlinkSocket() as rtnetlink:
        up_before = rtnetlink.link_is_up("lo")
        get_strategy("loopback").initialize()
        up_after = rtnetlink.link_is_up("lo")
    before = _read()
    _send_traffic()
    after = _read()

    if as_json:
        report = {
            "up": {"before": up_before, "after": up_after},
            "before": {side: dataclasses.asdict(view) for side, view in before.items()},
            "after": {side: dataclasses.asdict(view) for side, view in after.items()},
        }
        print(json.dumps(report))
        return
    state = {False: "down", True: "UP"}
    print("A fresh user, network and mount namespace, with a sysfs of its own.")
    print(f"lo is {state[up_before]}.")
    print('get_strategy("loopback").initialize()')
    print(f"lo is {state[up_after]}.\n")
    print(f"{_DATAGRAMS} UDP datagrams of {_SIZE} bytes over 127.0.0.1; the counters from sysfs:\n")
    rows = [
        (f"lo, {moment}, {side}'s side", views[side])
        for moment, views in (("before", before), ("after", after))
        for side in ("container", "host")
    ]
    print(table.render(rows))
