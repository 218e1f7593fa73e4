"""Different ways to wire containers, and to make and delete veth pairs: cases of work.py.

Each case has its own host namespace with a bridge, and the namespaces of its containers. They are
made once and reused: the links that were made for a value are deleted after it, which is not
measured.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter, sleep

from harness import Timer, command

from pynetstrat import (
    Batch,
    Network,
    NetworkNamespace,
    RtnetlinkSocket,
    set_up_networks,
    tear_down_networks,
)
from pynetstrat.cli import _fresh_namespaces

BRIDGE, BRIDGE_MAC, MTU, GATEWAY, LENGTH = "br0", "02:00:5e:00:00:01", 1400, "10.9.0.1", 16
SMALL = "PYNETSTRAT_BENCH_SMALL" in os.environ  # smaller numbers, for the tests
MANY = 3 if SMALL else 200  # containers on one bridge
PAIRS = 25 if SMALL else 1000
PAUSE = 0.03  # seconds that a container exists; the link watch worker takes less
ONE_BY_ONE = 20  # of PAIRS, where each pair takes 20 ms; the value is scaled to all of them

CNI = Path("/usr/lib/cni")
CNI_PLUGINS = ("loopback", "bridge", "ptp", "static")

#: Does something with the container of a number.
Work = Callable[[int], object]


def address(container: int) -> str:
    return f"10.9.0.{container + 2}"


def mac(container: int) -> str:
    return f"02:00:5e:10:00:{container:02x}"


class Host:
    """Moves the calling process into its own network namespace, and makes the containers."""

    def __init__(self, containers: int) -> None:
        _fresh_namespaces.unshare(_fresh_namespaces.CLONE_NEWNET | _fresh_namespaces.CLONE_NEWNS)
        # Only this process and its children see the names of the namespaces.
        subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
        self.socket = RtnetlinkSocket(timeout=60)  # seconds, for a busy machine
        self.socket.execute(Batch().add_bridge(BRIDGE, mac=BRIDGE_MAC, up=True))
        self.namespaces = [NetworkNamespace.create(f"bench{i}") for i in range(containers)]
        self._inside = [RtnetlinkSocket(namespace) for namespace in self.namespaces]

    def clean(self) -> None:
        """Deletes all pairs, and takes `lo` down."""
        links = self.socket.dump_links().values()
        # Both ends of a pair may be in the list, and are deleted together.
        self.socket.delete_links([link.name for link in links if link.kind == "veth"])
        for inside in self._inside:
            inside.link_set_down("lo")

    def wired(self, wire: Work) -> Timer:
        """Returns the timer of wiring containers one by one. Deleting is not measured."""

        def run(loops: int) -> float:
            took = 0.0
            while loops > 0:
                count = min(loops, len(self.namespaces))
                start = perf_counter()
                for container in range(count):
                    wire(container)
                took += perf_counter() - start
                self.clean()
                loops -= count
            return took

        return run

    def wired_many(self, wire: Work) -> Timer:
        """Returns the timer of wiring all containers."""
        wired = self.wired(wire)
        return lambda loops: wired(loops * len(self.namespaces))

    def cycled(self, wire: Work, unwire: Work) -> Timer:
        """Returns the timer of wiring a container and tearing it down.

        Between the two is a pause that is not measured. In it the kernel's worker processes the
        carriers of the pair, if wiring has not had it done: after that a deletion takes longer.
        """

        def run(loops: int) -> float:
            took = 0.0
            for turn in range(loops):
                container = turn % len(self.namespaces)
                start = perf_counter()
                wire(container)
                took += perf_counter() - start
                sleep(PAUSE)
                start = perf_counter()
                unwire(container)
                took += perf_counter() - start
            return took

        return run


# ---- ways to wire and unwire a container ----


def of_pynetstrat(host: Host) -> tuple[Work, Work]:
    networks = [
        [
            Network(type="loopback"),
            Network(
                type="veth",
                name="eth0",
                bridge=BRIDGE,
                mac_address=mac(container),
                address=f"{address(container)}/{LENGTH}",
                gateway=GATEWAY,
                mtu=MTU,
                owner=f"bench{container}",
            ),
        ]
        for container in range(len(host.namespaces))
    ]

    def wire(container: int) -> None:
        set_up_networks(networks[container], netns=host.namespaces[container])

    def unwire(container: int) -> None:
        tear_down_networks(networks[container], netns=host.namespaces[container])

    return wire, unwire


def of_pyroute2(host: Host) -> tuple[Work, Work]:
    """Follows the documentation of pyroute2, with as few calls as possible."""
    import pyroute2

    def wire(container: int) -> None:
        name = f"bench{container}"
        with pyroute2.IPRoute() as outside, pyroute2.NetNS(name) as inside:
            (bridge,) = outside.link_lookup(ifname=BRIDGE)
            peer = {
                "ifname": "eth0",
                "net_ns_fd": name,
                "mtu": MTU,
                "address": mac(container),
            }
            outside.link(
                "add", ifname=name, kind="veth", mtu=MTU, master=bridge, state="up", peer=peer
            )
            (eth0,) = inside.link_lookup(ifname="eth0")
            inside.addr("add", index=eth0, address=address(container), prefixlen=LENGTH)
            inside.link("set", index=eth0, state="up")
            inside.route("add", dst="default", gateway=GATEWAY)
            inside.link("set", index=1, state="up")

    def unwire(container: int) -> None:
        with pyroute2.IPRoute() as outside:
            (index,) = outside.link_lookup(ifname=f"bench{container}")
            outside.link("del", index=index)

    return wire, unwire


def _on_the_host(container: int) -> list[str]:
    name = f"bench{container}"
    return [
        f"link add {name} mtu {MTU} type veth peer name eth0 netns {name} mtu {MTU} "
        f"address {mac(container)}",
        f"link set {name} master {BRIDGE} up",
    ]


def _in_the_container(container: int) -> list[str]:
    return [
        "link set lo up",
        f"addr add {address(container)}/{LENGTH} dev eth0",
        "link set eth0 up",
        f"route add default via {GATEWAY}",
    ]


def _file(text: str) -> str:
    """Writes a file next to the names of the namespaces, which disappears with them."""
    with tempfile.NamedTemporaryFile("w", dir="/run", delete=False) as file:
        file.write(text)
    return file.name


def _ip(*arguments: str) -> Callable[[], None]:
    return command([str(shutil.which("ip")), *arguments])


def _batch(lines: list[str], *arguments: str) -> Callable[[], None]:
    return _ip(*arguments, "-batch", _file("\n".join([*lines, ""])))


def _by_commands(
    host: Host,
    wire: Callable[[int], list[Callable[[], None]]],
    unwire: Callable[[int], list[Callable[[], None]]],
) -> tuple[Work, Work]:
    """Returns functions that wire and unwire a container by running processes."""
    containers = range(len(host.namespaces))
    wiring = [wire(container) for container in containers]
    unwiring = [unwire(container) for container in containers]

    def run(commands: list[Callable[[], None]]) -> None:
        for work in commands:
            work()

    return lambda container: run(wiring[container]), lambda container: run(unwiring[container])


def _unwire_by_ip(container: int) -> list[Callable[[], None]]:
    return [_ip("link", "del", f"bench{container}")]


def of_ip(host: Host) -> tuple[Work, Work]:
    """Runs six `ip` commands."""

    def wire(container: int) -> list[Callable[[], None]]:
        return [
            *(_ip(*line.split()) for line in _on_the_host(container)),
            *(
                _ip("-n", f"bench{container}", *line.split())
                for line in _in_the_container(container)
            ),
        ]

    return _by_commands(host, wire, _unwire_by_ip)


def of_ip_batch(host: Host) -> tuple[Work, Work]:
    """Runs two `ip -batch` commands, one on the host and one in the container."""

    def wire(container: int) -> list[Callable[[], None]]:
        return [
            _batch(_on_the_host(container)),
            _batch(_in_the_container(container), "-n", f"bench{container}"),
        ]

    return _by_commands(host, wire, _unwire_by_ip)


def _cni(
    plugin: str, action: str, container: int, interface: str, more: dict
) -> Callable[[], None]:
    configuration = {"cniVersion": "0.4.0", "name": "bench", "type": plugin, **more}
    environment = {
        "CNI_COMMAND": action,
        "CNI_CONTAINERID": f"bench{container}",
        "CNI_NETNS": f"/run/netns/bench{container}",
        "CNI_IFNAME": interface,
        "CNI_PATH": str(CNI),
        "PATH": os.environ["PATH"],
    }
    return command([str(CNI / plugin)], environment, _file(json.dumps(configuration)))


def of_cni(host: Host, plugin: str) -> tuple[Work, Work]:
    """Runs the CNI plugins loopback and `plugin`, which runs its IPAM plugin. Without ipMasq."""

    def configuration(container: int) -> dict:
        addresses = [{"address": f"{address(container)}/{LENGTH}", "gateway": GATEWAY}]
        ipam = {"type": "static", "addresses": addresses, "routes": [{"dst": "0.0.0.0/0"}]}
        more = {"mtu": MTU, "ipMasq": False, "ipam": ipam}
        if plugin == "bridge":
            more |= {"bridge": BRIDGE, "runtimeConfig": {"mac": mac(container)}}
        return more

    def wire(container: int) -> list[Callable[[], None]]:
        return [
            _cni("loopback", "ADD", container, "lo", {}),
            _cni(plugin, "ADD", container, "eth0", configuration(container)),
        ]

    def unwire(container: int) -> list[Callable[[], None]]:
        return [
            _cni(plugin, "DEL", container, "eth0", configuration(container)),
            _cni("loopback", "DEL", container, "lo", {}),
        ]

    return _by_commands(host, wire, unwire)


#: The functions that wire and unwire a container, by case.
WAYS: dict[str, Callable[[Host], tuple[Work, Work]]] = {
    "pynetstrat": of_pynetstrat,
    "pyroute2": of_pyroute2,
    "ip": of_ip,
    "ip -batch": of_ip_batch,
    "CNI bridge": lambda host: of_cni(host, "bridge"),
    "CNI ptp": lambda host: of_cni(host, "ptp"),
}


# ---- pairs ----


def _names() -> list[tuple[str, str]]:
    return [(f"pair{number}", f"riap{number}") for number in range(PAIRS)]


def _make(host: Host) -> None:
    batch = Batch()
    for name, peer in _names():
        batch.add_veth(name, peer)
    host.socket.execute(batch)


def _make_one_by_one(host: Host) -> None:
    for name, peer in _names():
        host.socket.execute(Batch().add_veth(name, peer))


def _made(prepare: Callable[[Host], Callable[[], object]]) -> Callable[[], Timer]:
    """Returns the timer of making all pairs.

    Parameters:
        prepare: returns the function that makes them.
    """

    def case() -> Timer:
        host = Host(0)
        make = prepare(host)

        def run(loops: int) -> float:
            took = 0.0
            for _ in range(loops):
                start = perf_counter()
                make()
                took += perf_counter() - start
                host.clean()
            return took

        return run

    return case


def _deleted(
    prepare: Callable[[Host], Callable[[], object]], part: int = PAIRS
) -> Callable[[], Timer]:
    """Returns the timer of deleting all pairs.

    Parameters:
        prepare: returns the function that deletes them, or `part` of them.
    """

    def case() -> Timer:
        host = Host(0)
        delete = prepare(host)

        def run(loops: int) -> float:
            took = 0.0
            for _ in range(loops):
                _make(host)
                start = perf_counter()
                delete()
                took += perf_counter() - start
                host.clean()
            return took * PAIRS / part

        return run

    return case


def _make_by_pyroute2(_: Host) -> Callable[[], None]:
    import pyroute2

    route = pyroute2.IPRoute()

    def make() -> None:
        for name, peer in _names():
            route.link("add", ifname=name, kind="veth", peer={"ifname": peer})

    return make


def _make_by_ip(_: Host) -> Callable[[], None]:
    return _batch([f"link add {name} type veth peer name {peer}" for name, peer in _names()])


def _delete(host: Host) -> None:
    host.socket.delete_links([name for name, _ in _names()])


def _delete_one_by_one(host: Host) -> None:
    for name, _ in _names()[:ONE_BY_ONE]:
        host.socket.execute(Batch().delete_link(name))


def _delete_by_pyroute2(_: Host) -> Callable[[], None]:
    import pyroute2

    route = pyroute2.IPRoute()

    def delete() -> None:
        for name, _ in _names()[:ONE_BY_ONE]:
            route.link("del", ifname=name)

    return delete


def _delete_by_ip(_: Host) -> Callable[[], None]:
    """Deletes all pairs by group with `ip`, a feature that few users know."""
    return _batch([*(f"link set dev {name} group 77" for name, _ in _names()), "link del group 77"])


MADE: dict[str, Callable[[], Timer]] = {
    "pynetstrat": _made(lambda host: partial(_make, host)),
    "one by one": _made(lambda host: partial(_make_one_by_one, host)),
    "pyroute2": _made(_make_by_pyroute2),
    "ip -batch": _made(_make_by_ip),
}
DELETED: dict[str, Callable[[], Timer]] = {
    "pynetstrat": _deleted(lambda host: partial(_delete, host)),
    "one by one": _deleted(lambda host: partial(_delete_one_by_one, host), ONE_BY_ONE),
    "pyroute2": _deleted(_delete_by_pyroute2, ONE_BY_ONE),
    "ip, by group": _deleted(_delete_by_ip),
}
