"""`HostCounters(routed=False)` with containers that route for containers of their own."""

from __future__ import annotations

import contextlib

import pytest
import support
from support import Links, add_container_veth, inside

from pynetstrat import (
    HostCounters,
    NetworkNamespace,
)


class Router:
    """A container with nested containers; `uplink` is how it reaches the host."""

    def __init__(self, net: Links, stack: contextlib.ExitStack, uplink: str) -> None:
        self.namespace = stack.enter_context(NetworkNamespace.create("router"))
        self.inner = [stack.enter_context(NetworkNamespace.create(f"c{n}")) for n in range(2)]
        if uplink == "pair":  # kind, Docker in Docker
            add_container_veth(net, self.namespace.fileno(), "v0", 3)
        elif uplink == "tap":  # rootless Podman with slirp4netns or pasta
            command = ["ip", "tuntap", "add", "tap0", "mode", "tap"]
            assert self.namespace.run(command).returncode == 0

    def connect(self, bridge: bool) -> None:
        with inside(self.namespace.fileno()), Links() as links:
            if bridge:
                links.add_bridge("br0")
                # Without IPv6 and multicast queries all frames are the test's.
                quiet = ["ip", "link", "set", "br0", "mtu", "1000", "type", "bridge"]
                assert self.namespace.run([*quiet, "mcast_snooping", "0"]).returncode == 0
                links.set_up("br0")
            for number, namespace in enumerate(self.inner):
                links.add_veth(f"h{number}", "eth0", peer_netns=namespace.fileno(), up=False)
                with inside(namespace.fileno()), Links() as container_links:
                    container_links.set_up("eth0")
                links.set_up(f"h{number}")
                if bridge:
                    links.set_master(f"h{number}", "br0")

    def send(self, number: int, name: str, count: int) -> None:
        namespace = self.namespace if number < 0 else self.inner[number]
        namespace.call(support.send_frames, name, count, 100)


def interfaces_by_label(counters: HostCounters) -> dict[str, set[str]]:
    counters.refresh()
    return {container.label: set(rows) for container, rows in counters.read().items()}


def total(counters: HostCounters, field: str) -> int:
    counters.refresh()
    rows = (row for rows in counters.read().values() for row in rows.values())
    return sum(getattr(row, field) for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("uplink", ["pair", "tap", ""])
@pytest.mark.parametrize("bridge", [True, False])
def test_a_frame_between_nested_containers_is_counted_once(net, run, only, uplink, bridge):
    only()
    with (
        contextlib.ExitStack() as stack,
        HostCounters(routed=False) as once,
        HostCounters() as everything,
    ):
        router = Router(net, stack, uplink)
        router.connect(bridge)
        sent, received = total(once, "tx_packets"), total(once, "rx_packets")
        router.send(0, "eth0", 5)
        router.send(-1, "h1", 7)
        assert total(once, "tx_packets") == sent + 5  # what the router sends is received once
        assert total(once, "rx_packets") == received + 7 + (5 if bridge else 0)
        assert total(everything, "tx_packets") > sent + 5
        own = {"pair": {"eth0"}, "tap": {"tap0"}, "": set()}[uplink]
        assert interfaces_by_label(once) == {"router": own, "c0": {"eth0"}, "c1": {"eth0"}}
        between = {"h0", "h1", *(["br0"] if bridge else [])}
        assert interfaces_by_label(everything)["router"] == own | between


def test_a_single_nested_container_is_counted_at_its_own_end(net, run, only):
    """Neither has a bridge or more pairs than the other, but only one of them leads outside."""
    only()
    with contextlib.ExitStack() as stack, HostCounters(routed=False) as counters:
        inner = stack.enter_context(NetworkNamespace.create("a"))  # has the lower nsid
        outer = stack.enter_context(NetworkNamespace.create("b"))
        counters.refresh()
        with inside(outer.fileno()), Links() as links:
            links.add_veth("h0", "eth0", peer_netns=inner.fileno(), up=False)
        add_container_veth(net, outer.fileno(), "v0", 3)
        assert interfaces_by_label(counters) == {"a": {"eth0"}, "b": {"eth0"}}


def test_a_host_end_is_counted_if_its_container_is_not(net, run, only):
    """Here because of the limit. Otherwise its traffic would not be counted anywhere."""
    only()
    with contextlib.ExitStack() as stack, HostCounters(routed=False, limit=2) as counters:
        router = Router(net, stack, "pair")
        router.connect(bridge=True)
        found_ = counters.refresh()
        assert found_.omitted == 1
        labels = {container.label for container in found_.containers}
        rows = interfaces_by_label(counters)
        left = {f"h{n}" for n in range(2) if f"c{n}" not in labels}
        if "router" in labels:
            assert rows["router"] == {"eth0"} | left and len(left) == 1
        else:
            assert rows == {"c0": {"eth0"}, "c1": {"eth0"}}


def test_an_end_that_moves_to_another_container_is_followed(net, run, only):
    only()
    with contextlib.ExitStack() as stack, HostCounters(routed=False) as counters:
        router = Router(net, stack, "pair")
        router.connect(bridge=True)
        assert interfaces_by_label(counters)["c0"] == {"eth0"}
        with inside(router.inner[0].fileno()), Links() as container_links:
            container_links.move("eth0", stack.enter_context(NetworkNamespace.create()).fileno())
        rows = interfaces_by_label(counters)
        assert rows["c0"] == set()
        assert rows["router"] == {"eth0", "h0"}  # nothing shows where the peer is
