"""What the tests of namespaces, batches and wiring share: hosts, containers, and dumps by `ip`."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import support

from pynetstrat import (
    Batch,
    ContainerCounters,
    HostCounters,
    InterfaceNotFoundError,
    Link,
    Network,
    NetworkNamespace,
    Route,
    RtnetlinkSocket,
    check_networks,
    set_up_networks,
    tear_down_networks,
)
from pynetstrat._scrape import Scrape
from pynetstrat.rtnetlink import _bridge
from pynetstrat.wiring import _session, _workers, host_device, setup

LO = Network("loopback", name="lo")

# What changes without a request: queueing disciplines, operational state, carrier.
_VOLATILE = {"qdisc", "operstate"}
_VOLATILE_FLAGS = {"NO-CARRIER", "LOWER_UP", "linkdown", "dead"}


def be_patient() -> None:
    """Gives calls of this process a minute, in place of 5 s, unless they say otherwise.

    Each change of the kernel's waits for its RTNL lock, which other tests hold at the same time.
    """
    wiring = (set_up_networks, tear_down_networks, check_networks, setup.set_up)
    counting = (ContainerCounters.__init__, HostCounters.__init__, Scrape.__init__)
    for function in (RtnetlinkSocket.__init__, *counting, *wiring):
        assert function.__kwdefaults__["timeout"] == 5.0
        function.__kwdefaults__["timeout"] = 60.0
    for function, unit in ((_session.Session.__init__, 1000), (_session.open_session_if_alive, 1)):
        assert function.__defaults__[-1] == 5 * unit
        function.__defaults__ = (*function.__defaults__[:-1], 60 * unit)
    # Of a namespace that has ended: the kernel ends one after the other.
    assert host_device._ENDING == 1.0
    host_device._ENDING = 60.0
    # Of a worker that adds the local routes of IPv6 addresses.
    for module in (_bridge, _workers):
        assert module._LONGEST == 1.0
        module._LONGEST = 10.0


def ip(*arguments: str, netns: NetworkNamespace | None = None) -> list[dict[str, Any]]:
    """Returns what `ip -json` shows, in this namespace or in `netns`."""
    run = netns.run if netns is not None else subprocess.run
    done = run(["ip", "-json", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [entry for entry in json.loads(done.stdout or "[]") if entry]


def _ip_batch(
    lines: list[str], *options: str, netns: NetworkNamespace | None = None
) -> list[list[dict[str, Any]]]:
    """Returns what one run of `ip -json -batch` shows for each line."""
    run = netns.run if netns is not None else subprocess.run
    command = ["ip", "-json", *options, "-batch", "-"]
    done = run(command, input="\n".join(lines), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shown = [json.loads(line) for line in done.stdout.splitlines() if line]
    return [[entry for entry in entries if entry] for entries in shown]


def process_carriers(*namespaces: NetworkNamespace | int | None) -> None:
    """Has the kernel process the carriers of all links, if it is Linux 6.9 or later.

    A query of one link does that. The link watch worker does so only once a second, and until then
    the kernel may drop what is sent.
    """
    for namespace in namespaces:
        with RtnetlinkSocket(namespace) as sock:
            for name in sock.dump_links():
                with contextlib.suppress(InterfaceNotFoundError):
                    sock.get_link(name)


def _settled(entry: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in entry.items() if key not in _VOLATILE}
    flags = kept.get("flags", [])
    kept["flags"] = sorted(flag for flag in flags if flag not in _VOLATILE_FLAGS)
    return kept


def _has_state(link: dict[str, Any]) -> bool:
    """Whether the operational state is the one that follows from the carrier."""
    state, has_carrier = link["operstate"], "LOWER_UP" in link["flags"]
    kind = link.get("linkinfo", {}).get("info_kind")
    if kind not in ("veth", "bridge", "macvlan"):
        return True
    if not has_carrier:
        return state not in ("UP", "UNKNOWN")
    # A bridge that was made without a MAC address has a carrier until it gets its first port; its
    # state is then UNKNOWN.
    return state == "UP" or (state == "UNKNOWN" and kind != "veth")


def _is_complete(link: dict[str, Any], address: dict[str, Any], local: set[str]) -> bool:
    """Whether a worker has finished an address: `local` are the local routes of its link."""
    if address["family"] != "inet6" or address.get("dadfailed"):
        return True
    # Without a carrier it stays tentative, except on lo.
    if not ({"LOWER_UP", "LOOPBACK"} & set(link["flags"]) or address.get("nodad")):
        return True
    return not address.get("tentative") and address["local"] in local


def wait_for_workers(netns: NetworkNamespace | None = None) -> None:
    """Waits for the kernel's workers to process the changes made so far.

    The link watch worker processes a carrier some time after a link was made or has gone up: it
    sets the operational state, notifies, and adds or deletes routes. Another worker completes the
    duplicate address detection of IPv6, and adds the local route of the address. Until then two
    dumps may differ although nothing was changed between them.
    """

    def is_done() -> bool:
        links, routes = _ip_batch(["address", "route show table all"], "-details", netns=netns)
        if not all(map(_has_state, links)):
            process_carriers(netns)
            return False
        local: dict[str, set[str]] = {}
        for route in routes:
            if route["type"] == "local":
                local.setdefault(route["dev"], set()).add(route["dst"])
        return all(
            _is_complete(link, address, local.get(link["ifname"], set()))
            for link in links
            for address in link["addr_info"]
        )

    support.wait_until(is_done)


def dumps(netns: NetworkNamespace | None = None) -> dict[str, list[dict[str, Any]]]:
    """Dumps the links, addresses and routes of a namespace, without volatile state.

    It waits for the kernel's workers first, so that two dumps can be compared.
    """
    wait_for_workers(netns)
    asked = {"links": "link", "addresses": "address", "routes": "route show table all"}
    shown = _ip_batch(list(asked.values()), netns=netns)
    return {
        what: [_settled(entry) for entry in entries if not _is_of_carrier(entry)]
        for what, entries in zip(asked, shown, strict=True)
    }


def _is_of_carrier(entry: dict[str, Any]) -> bool:
    """Whether it is the route ff00::/8 of a link, which has it from its first carrier on."""
    return entry.get("dst") == "ff00::/8" and entry.get("protocol") == "kernel"


def names(netns: NetworkNamespace | None = None) -> set[str]:
    """Returns the names of the links in a namespace."""
    with RtnetlinkSocket(netns) as sock:
        return set(sock.dump_links())


@contextlib.contextmanager
def own_run() -> Iterator[None]:
    """Mounts an empty /run for this process. The names of namespaces are files there."""
    support.mount("tmpfs", Path("/run"), "tmpfs")
    try:
        yield
    finally:
        for name in NetworkNamespace.names():
            NetworkNamespace.delete(name)
        support.unmount("/run")


def quieten(netns: NetworkNamespace | None = None) -> None:
    """Stops the kernel from adding link-local addresses to links that are made from now on."""

    def write() -> None:
        Path("/proc/sys/net/ipv6/conf/default/addr_gen_mode").write_text("1")

    write() if netns is None else netns.call(write)


def disable_duplicate_address_detection(netns: NetworkNamespace | None = None) -> None:
    """Makes IPv6 addresses usable at once, on links that are made from now on."""

    def write() -> None:
        Path("/proc/sys/net/ipv6/conf/default/accept_dad").write_text("0")

    write() if netns is None else netns.call(write)


def add_bridge(name: str = "br0", address: str = "10.0.0.1/24", mac: str | None = None) -> int:
    """Makes a bridge that is up and has an address, and returns its index.

    No link made after it gets a link-local address.
    """
    with RtnetlinkSocket() as host:
        quieten()
        host.execute(Batch().add_bridge(name, mac=mac, up=True))
        index = host.get_link(name).index
        host.execute(Batch().add_address(index, address))
        return index


@contextlib.contextmanager
def containers(count: int) -> Iterator[list[NetworkNamespace]]:
    """Creates network namespaces."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(NetworkNamespace.create()) for _ in range(count)]


def veth(**fields: Any) -> Network:
    """Returns a veth network on the bridge br0, with the given fields changed."""
    given = {
        "name": "eth0",
        "bridge": "br0",
        "host_interface_name": "h0",
        "address": "10.0.0.2/24",
        "gateway": "10.0.0.1",
        "owner": "c1",
    }
    return Network("veth", **{**given, **fields})


def link_in(netns: NetworkNamespace, name: str = "eth0") -> Link:
    """A link of a namespace."""
    with RtnetlinkSocket(netns) as sock:
        return sock.get_link(name)


def link_settings(netns: NetworkNamespace) -> object:
    """The settings of the links on the host and in a container that only a caller changes.

    (The kernel changes carriers and link-local addresses.)
    """
    with RtnetlinkSocket() as host, RtnetlinkSocket(netns) as container:
        links = [*host.dump_links().values(), *container.dump_links().values()]
        return [(link.index, link.name, link.up, link.mac, link.alias) for link in links]


def assert_connects(
    server: NetworkNamespace | None, client: NetworkNamespace | None, address: str
) -> None:
    """Asserts that a TCP connection succeeds. None is the host."""
    process_carriers(server, client)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET

    def listen() -> socket.socket:
        return socket.create_server((address, 0), family=family)

    with listen() if server is None else server.call(listen) as listening:
        port = listening.getsockname()[1]

        def connect() -> socket.socket:
            return socket.create_connection((address, port), timeout=60)

        with connect() if client is None else client.call(connect) as connection:
            accepted, _ = listening.accept()
            with accepted:
                connection.sendall(b"hello")
                assert accepted.recv(5) == b"hello"


def three_networks() -> list[Network]:
    """Loopback, a veth on the bridge br0 with both families, and a point-to-point veth."""
    return [
        Network("loopback", name="lo"),
        veth(hairpin_mode=True, ipv6_address="fd00::2/64", ipv6_gateway="fd00::1"),
        veth(
            name="eth1",
            host_interface_name="",
            bridge="",
            address="10.9.0.2/24",
            gateway="",
            routes=[Route("192.0.2.0/24", gateway="10.9.0.7")],
        ),
    ]


# Every message of a call on networks goes through one of these methods of the binding's Socket.
EXCHANGES = [
    *("execute", "get_link", "get_bridge", "dump_links", "find_link", "copy_addresses"),
    *("set_up", "is_up", "get_nsid", "read_counters"),
]


def quick_dumps(host: RtnetlinkSocket, netns: NetworkNamespace) -> object:
    """The link names, addresses and routes of the host and a container, without waiting."""
    with RtnetlinkSocket(netns) as container:
        return [
            (sock.dump_links().keys(), sock.dump_addresses(), sock.dump_routes())
            for sock in (host, container)
        ]
