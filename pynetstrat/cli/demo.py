"""`pynetstrat demo`: brings `lo` up in a fresh namespace, wires a container and counts traffic."""

from __future__ import annotations

import dataclasses
import json
import socket
from errno import EOPNOTSUPP
from time import perf_counter

from .. import (
    Batch,
    KernelError,
    Network,
    NetworkNamespace,
    RtnetlinkSocket,
    get_network_interface_stats,
    get_strategy,
    set_up_networks,
    tear_down_networks,
)
from . import _fresh_namespaces, _table
from ._exit import EXIT_STATUS
from ._options import add_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from .. import NetworkInterface

_DATAGRAMS, _SIZE = 100, 1000
_TIMEOUT, _ATTEMPTS = 1, 20  # seconds to wait for a datagram, and how often it is sent
_BRIDGE, _HOST, _CONTAINER = "br0", "10.0.0.1", "10.0.0.2"

_HELP = f"""\
Brings lo up in a fresh network namespace and counts its traffic. Then connects
a container to a bridge by a veth pair, counts the traffic of both ends, and
tears all of it down. This changes nothing on this host. Root is not required
where user namespaces are allowed; "pynetstrat diagnose" shows whether they
are.

{EXIT_STATUS}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.epilog = _HELP
    add_json(parser)


def run(options: argparse.Namespace) -> str:
    """Moves the process into fresh namespaces, and brings `lo` and a container's interface up.

    Raises:
        KernelError: namespaces are refused; the text says which setting to change.
    """
    _fresh_namespaces.enter()
    loopback, container = _bring_lo_up(), _wire_container()
    if options.json:
        return json.dumps({**loopback, "container": container}, default=dataclasses.asdict) + "\n"
    return _show_loopback(loopback) + "\n" + _show_container(container)


# ---- lo ----


def _bring_lo_up() -> dict[str, Any]:
    with RtnetlinkSocket() as rtnetlink:
        up_before = rtnetlink.link_is_up("lo")
        get_strategy("loopback").initialize()
        up_after = rtnetlink.link_is_up("lo")
    before = _read_lo()
    _exchange("127.0.0.1", None)
    return {
        "up": {"before": up_before, "after": up_after},
        "before": before,
        "after": _read_lo(),
    }


def _read_lo() -> dict[str, NetworkInterface]:
    return {
        "container": get_network_interface_stats("lo"),
        "host": get_network_interface_stats("lo", perspective="host"),
    }


def _show_loopback(report: dict[str, Any]) -> str:
    rows = [
        (f"lo, {moment}, {side} perspective", report[moment][side])
        for moment in ("before", "after")
        for side in ("container", "host")
    ]
    state = {False: "down", True: "UP"}
    return f"""\
This process is in fresh user, network and mount namespaces, with its own /sys.
lo is {state[report["up"]["before"]]}.
get_strategy("loopback").initialize()
lo is {state[report["up"]["after"]]}.

After {_DATAGRAMS} UDP datagrams of {_SIZE} bytes over 127.0.0.1, sysfs shows these counters:

{_table.render(rows)}"""


# ---- a container ----


def _wire_container() -> dict[str, Any]:
    networks = [
        Network("loopback"),
        Network(
            "veth",
            name="eth0",
            bridge=_BRIDGE,
            address=f"{_CONTAINER}/24",
            gateway=_HOST,
            owner="demo",
        ),
    ]
    with NetworkNamespace.create() as container, RtnetlinkSocket() as host:
        try:
            host.execute(Batch().add_bridge(_BRIDGE, up=True))
            bridge = host.get_link(_BRIDGE).index
            host.execute(Batch().add_address(bridge, f"{_HOST}/24"))
            start = perf_counter()
            made = set_up_networks(networks, netns=container)
            seconds = perf_counter() - start
        except KernelError as error:
            if error.errno != EOPNOTSUPP:
                raise
            return {"refused": str(error)}  # this kernel supports no bridges or no veth pairs
        _exchange(_CONTAINER, container)
        # Read inside the container, rx is what the container receives; at the host end it is what
        # the container sends, so the default perspective, "container", swaps the two.
        inside = get_network_interface_stats("eth0", netns=container, perspective="host")
        outside = get_network_interface_stats(made[1].host_interface_name)
        tear_down_networks(made, netns=container)
        left = set(host.dump_links()) - {"lo", _BRIDGE}
    return {
        "milliseconds": round(seconds * 1000, 2),
        "inside": inside,
        "outside": outside,
        "left": sorted(left),
    }


def _show_container(report: dict[str, Any]) -> str:
    if "refused" in report:
        return f"This kernel cannot wire a container: {report['refused']}\n"
    host_end = report["outside"].name
    rows = [
        ("eth0, in the container", report["inside"]),
        (f"{host_end}, container side", report["outside"]),
    ]
    return f"""\
set_up_networks([Network("loopback"), Network("veth", name="eth0", bridge="{_BRIDGE}",
    address="{_CONTAINER}/24", gateway="{_HOST}", owner="demo")], netns=container)
took {report["milliseconds"]} ms: lo is up, and eth0 is connected to {_BRIDGE} by {host_end}.

After {_DATAGRAMS} UDP datagrams of {_SIZE} bytes to the container, each of which it returned:

{_table.render(rows)}
tear_down_networks(...): {"nothing is left." if not report["left"] else report["left"]}
"""


# ---- traffic ----


def _exchange(address: str, container: NetworkNamespace | None) -> None:
    """Sends datagrams to an address of this namespace, or of the container, which returns them."""

    def listen() -> socket.socket:
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.bind((address, 0))
        return receiver

    with (
        listen() if container is None else container.call(listen) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.settimeout(_TIMEOUT)
        sender.settimeout(_TIMEOUT)
        for _ in range(_DATAGRAMS):
            data, source = _send_until_received(sender, receiver)
            if container is not None:
                receiver.sendto(data, source)
                sender.recv(_SIZE)


def _send_until_received(sender: socket.socket, receiver: socket.socket) -> tuple[bytes, Any]:
    """Returns a datagram that arrived. Those sent before the link has a carrier are lost."""
    for _ in range(_ATTEMPTS):
        sender.sendto(bytes(_SIZE), receiver.getsockname())
        try:
            received: tuple[bytes, Any] = receiver.recvfrom(_SIZE)
        except TimeoutError:
            continue
        return received
    raise TimeoutError(f"{_ATTEMPTS} datagrams in a row were lost")
