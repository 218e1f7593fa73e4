"""The groups of cases. The cases of a group do the same in different ways.

A case is a function that prepares the work and returns its timer. Each case runs in its own
process, so that modules or threads of one library do not slow down another.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import struct
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import containers
import egress
import monitor
import wiring
from harness import Timer, process, python

import pynetstrat
from pynetstrat import NetworkInterface

sys.path.append(str(Path(__file__).parent.parent / "tests"))
import reference  # pure Python, which the tests compare the core with

INTERFACE = "bench0"
CNI_PLUGIN = str(wiring.CNI / "loopback")
FILES = (
    *("rx_bytes", "rx_packets", "rx_errors", "rx_dropped"),
    *("tx_bytes", "tx_packets", "tx_errors", "tx_dropped"),
)

Case = Callable[[], Timer]


def naive_stats(name: str) -> NetworkInterface:
    """Reads the counters of one interface, as a program without a library does."""
    values = []
    for file in FILES:
        with open(f"/sys/class/net/{name}/statistics/{file}") as stream:  # noqa: PTH123
            values.append(int(stream.read()))
    return NetworkInterface(name, *values)


def naive_dump() -> dict[str, NetworkInterface]:
    """Reads the counters of every interface, as a program without a library does."""
    return {name: naive_stats(name) for name in os.listdir("/sys/class/net")}  # noqa: PTH208


def naive_up() -> None:
    """Brings `lo` up with the ioctls of ifconfig, as a program without a library does."""
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stream:
        request = struct.pack("16sH22x", b"lo", 0)
        (flags,) = struct.unpack_from("16xH", fcntl.ioctl(stream, 0x8913, request))  # SIOCGIFFLAGS
        fcntl.ioctl(stream, 0x8914, struct.pack("16sH22x", b"lo", flags | 1))  # SIOCSIFFLAGS


def _unchecked(request: bytes, use: Callable[[bytearray], object]) -> Timer:
    """Returns the timer of the two system calls from Python on a kept socket, without checks.

    Parameters:
        request: the message to send.
        use: called with the reply.
    """
    stream = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    stream.bind((0, 0))
    send, receive = stream.send, stream.recv_into
    buffer = bytearray(32768)

    def work() -> object:
        send(request)
        receive(buffer)
        return use(buffer)

    return python(work)


def unchecked_get_stats() -> Timer:
    index = socket.if_nametoindex(INTERFACE)
    counters = struct.Struct("=8Q").unpack_from  # at a fixed offset in the reply of this kernel
    request = struct.pack("=IHHIIBxHII", 28, 94, 1, 0, 0, 0, 0, index, 1)

    def use(reply: bytearray) -> pynetstrat.NetworkInterface:
        rx_packets, tx_packets, rx_bytes, tx_bytes, *rest = counters(reply, 32)
        rx_errors, tx_errors, rx_dropped, tx_dropped = rest
        return pynetstrat.NetworkInterface(
            INTERFACE,
            rx_bytes,
            rx_packets,
            rx_errors,
            rx_dropped,
            tx_bytes,
            tx_packets,
            tx_errors,
            tx_dropped,
        )

    return _unchecked(request, use)


def unchecked_up() -> Timer:
    header = struct.pack("=IHHII", 40, 16, 5, 0, 0)
    request = header + struct.pack("=BxHiIIHH4s", 0, 0, 0, 1, 1, 7, 3, b"lo")
    return _unchecked(request, lambda reply: None)


def of_psutil() -> Timer:
    """Reads the table of all interfaces, because psutil cannot read a single one."""
    import psutil

    return python(partial(psutil.net_io_counters, pernic=True))


def of_pyroute2(method: str, *arguments: object, **options: object) -> Timer:
    """Returns the timer of a method of a kept IPRoute, including iterating over its result."""
    import pyroute2

    call = partial(getattr(pyroute2.IPRoute(), method), *arguments, **options)
    return python(lambda: list(call()))


def of_fresh_pyroute2() -> Timer:
    import pyroute2

    def work() -> None:
        with pyroute2.IPRoute() as route:
            route.link("set", index=1, state="up")

    return python(work)


def of_ip() -> Timer:
    return process([str(shutil.which("ip")), "link", "set", "lo", "up"])


def of_cni() -> Timer:
    configuration = Path(tempfile.gettempdir()) / f"pynetstrat-bench-{os.getpid()}.json"
    configuration.write_text(json.dumps({"cniVersion": "0.4.0", "name": "lo", "type": "loopback"}))
    environment = {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": "bench",
        "CNI_NETNS": f"/proc/{os.getpid()}/ns/net",
        "CNI_IFNAME": "lo",
        "CNI_PATH": str(Path(CNI_PLUGIN).parent),
    }
    return process([CNI_PLUGIN], environment, str(configuration))


def call(function: Callable[..., object], *arguments: object) -> Case:
    """Returns the case of a function with these arguments."""
    return lambda: python(partial(function, *arguments))


def kept(method: str, *arguments: object) -> Case:
    """Returns the case of a method of a kept RtnetlinkSocket."""
    return lambda: python(partial(getattr(pynetstrat.RtnetlinkSocket(), method), *arguments))


def reader() -> Timer:
    return python(pynetstrat.SysfsReader(INTERFACE).read)


#: For each group a title, the operation of bare.c, and the cases.
GROUPS: dict[str, tuple[str, str, dict[str, Case]]] = {
    "sysfs_once": (
        "Eight counters of one interface, nothing kept between calls",
        "sysfs_once",
        {
            "pynetstrat": call(pynetstrat.get_network_interface_stats, INTERFACE),
            "reference.py": call(reference.get_network_interface_stats, INTERFACE),
            "open + int": call(naive_stats, INTERFACE),
            "psutil": of_psutil,
        },
    ),
    "sysfs_held": (
        "Eight counters of one interface, from files held open",
        "sysfs_held",
        {"pynetstrat": reader, "open + int": call(naive_stats, INTERFACE), "psutil": of_psutil},
    ),
    "get_stats": (
        "Eight counters of one interface, by rtnetlink on a kept socket",
        "get_stats",
        {
            "pynetstrat": kept("get_stats", INTERFACE),
            "send + recv": unchecked_get_stats,
            "reference.py": call(reference.get_stats, INTERFACE),
            "open + int": call(naive_stats, INTERFACE),
            "psutil": of_psutil,
            "pyroute2": lambda: of_pyroute2("link", "get", ifname=INTERFACE),
        },
    ),
    "up_kept": (
        "`lo` up, on a kept socket",
        "up_kept",
        {
            "pynetstrat": kept("link_set_up", "lo"),
            "send + recv": unchecked_up,
            "pyroute2": lambda: of_pyroute2("link", "set", index=1, state="up"),
        },
    ),
    "up_fresh": (
        "`lo` up, nothing kept between calls",
        "up_fresh",
        {
            "pynetstrat": lambda: python(pynetstrat.get_strategy("loopback").initialize),
            "reference.py": call(reference.link_set_up, "lo"),
            "ioctl": call(naive_up),
            "pyroute2": of_fresh_pyroute2,
            "ip": of_ip,
            "CNI plugin": of_cni,
        },
    ),
    "dump": (
        "The counters of every interface",
        "dump",
        {
            "dump_counters": kept("dump_counters"),
            "dump_stats": kept("dump_stats"),
            "reference.py": call(reference.dump_stats),
            "open + int": call(naive_dump),
            "psutil": of_psutil,
            "pyroute2": lambda: of_pyroute2("get_links"),
        },
    ),
}


def _wired(way: Callable[[wiring.Host], tuple[wiring.Work, wiring.Work]]) -> Case:
    def case() -> Timer:
        host = wiring.Host(CONTAINERS["wire"])
        return host.wired(way(host)[0])

    return case


def _wired_many(way: Callable[[wiring.Host], tuple[wiring.Work, wiring.Work]]) -> Case:
    def case() -> Timer:
        host = wiring.Host(CONTAINERS["wire_many"])
        return host.wired_many(way(host)[0])

    return case


def _cycled(way: Callable[[wiring.Host], tuple[wiring.Work, wiring.Work]]) -> Case:
    def case() -> Timer:
        host = wiring.Host(CONTAINERS["cycle"])
        return host.cycled(*way(host))

    return case


GROUPS |= {
    "wire": (
        "A container wired by veth: bridge, MAC, MTU, address, gateway, `lo`",
        "wire",
        {name: _wired(way) for name, way in wiring.WAYS.items()},
    ),
    "cycle": (
        "A container wired and torn down",
        "cycle",
        {name: _cycled(way) for name, way in wiring.WAYS.items()},
    ),
    "wire_many": (
        "200 containers wired on one bridge",
        "wire_many",
        # A value of the other ways takes a minute.
        {
            name: _wired_many(wiring.WAYS[name])
            for name in ("pynetstrat", "pyroute2", "ip -batch", "CNI bridge")
        },
    ),
    "pairs_made": ("1,000 veth pairs made", "pairs_made", wiring.MADE),
    "pairs_deleted": ("1,000 veth pairs deleted", "pairs_deleted", wiring.DELETED),
}

GROUPS["containers"] = ("The counters of every container", "dump", containers.CASES)
GROUPS["scrape"] = ("A scrape of 1,000 containers, and its parts", "dump", containers.SCRAPE)
GROUPS["events"] = (f"{monitor.CHANGES} changes of a link read", "events", monitor.EVENTS)

GROUPS["port"] = ("A port of the host published and withdrawn", "port", egress.PORT)
GROUPS["egress"] = ("Egress enabled for a subnet", "egress", egress.EGRESS)

#: The groups that are compared with bare_nft.c.
NFT = ("port", "egress")
#: The number of containers in the groups that are compared with bare_wiring.c.
CONTAINERS = {"wire": 16, "cycle": 4, "wire_many": wiring.MANY, "pairs_made": 1, "pairs_deleted": 1}

# For each peer whether it is installed, and the cases that need it.
_PEERS = {
    "psutil": (importlib.util.find_spec("psutil"), ("psutil",)),
    "pyroute2": (importlib.util.find_spec("pyroute2"), ("pyroute2",)),
    "uvloop": (importlib.util.find_spec("uvloop"), ("async for, uvloop",)),
    "prometheus_client": (
        importlib.util.find_spec("prometheus_client"),
        ("collect", "encode"),
    ),
    "ip": (shutil.which("ip"), ("ip", "ip -batch", "ip, by group")),
    "nft": (shutil.which("nft"), ("nft -f -",)),
    "CNI": (
        all((wiring.CNI / plugin).exists() for plugin in wiring.CNI_PLUGINS),
        ("CNI plugin", "CNI bridge", "CNI ptp"),
    ),
}


def missing() -> set[str]:
    """Returns the cases whose peers are not installed."""
    return {case for found, cases in _PEERS.values() if not found for case in cases}
