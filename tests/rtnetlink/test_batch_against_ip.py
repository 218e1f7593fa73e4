"""Random batches do the same as `ip -batch`."""

from __future__ import annotations

import contextlib
import json

import pytest
from helpers_network import dumps, quieten
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support import sample, wait_until

from pynetstrat import (
    Batch,
    BatchError,
    NetworkNamespace,
    Route,
    RtnetlinkSocket,
)

# Names and values from small sets, so that messages meet: things that are there twice, or not.
_LINKS = st.sampled_from(["t0", "t1", "t2"])
_V4 = st.sampled_from(["192.0.2.1/24", "192.0.2.2/24", "198.51.100.1/32"])
_V6 = st.sampled_from(["2001:db8::1/64", "2001:db8::2/64"])
_DESTINATIONS = st.sampled_from(["203.0.113.0/24", "203.0.114.0/24", "203.0.115.7/32"])
_COMMANDS = st.one_of(
    st.tuples(st.just("up"), _LINKS, st.booleans()),
    st.tuples(st.just("mtu"), _LINKS, st.sampled_from([60, 1280, 1500, 9000])),
    st.tuples(st.just("queue"), _LINKS, st.sampled_from([1, 500])),
    st.tuples(st.just("mac"), _LINKS, st.sampled_from(["02:00:00:00:00:11", "01:00:00:00:00:12"])),
    st.tuples(st.just("alias"), _LINKS, st.sampled_from(["one", "two"])),
    st.tuples(st.just("master"), _LINKS, st.booleans()),
    st.tuples(st.just("hairpin"), _LINKS, st.booleans()),
    st.tuples(st.sampled_from(["isolated", "learning"]), _LINKS, st.booleans()),
    st.tuples(st.just("delete"), _LINKS, st.none()),
    st.tuples(st.just("bridge"), st.sampled_from(["t3", "t0"]), st.none()),
    st.tuples(st.just("address"), _LINKS, _V4 | _V6),
    st.tuples(st.just("no address"), _LINKS, _V4 | _V6),
    st.tuples(st.just("route"), _LINKS, _DESTINATIONS),
    st.tuples(st.just("no route"), _LINKS, _DESTINATIONS),
)


def _as_ip(what: str, link: str, value: object) -> str:
    return {
        "up": f"link set {link} {'up' if value else 'down'}",
        "mtu": f"link set {link} mtu {value}",
        "queue": f"link set {link} txqueuelen {value}",
        "mac": f"link set {link} address {value}",
        "alias": f"link set {link} alias {value}",
        "master": f"link set {link} " + ("master br" if value else "nomaster"),
        "hairpin": f"link set {link} type bridge_slave hairpin {'on' if value else 'off'}",
        "isolated": f"link set {link} type bridge_slave isolated {'on' if value else 'off'}",
        "learning": f"link set {link} type bridge_slave learning {'on' if value else 'off'}",
        "delete": f"link delete {link}",
        "bridge": f"link add {link} address 02:00:00:00:00:13 type bridge",
        "address": f"address add {value} dev {link}" + (" nodad" if ":" in str(value) else ""),
        "no address": f"address del {value} dev {link}",
        "route": f"route add {value} dev {link} proto static",
        "no route": f"route del {value} dev {link} proto static",
    }[what]


def _append(batch: Batch, indexes: dict[str, int], what: str, link: str, value: object) -> None:
    index = indexes.get(link, 0)
    changes = {"up": "up", "mtu": "mtu", "queue": "txqueuelen", "mac": "mac", "alias": "alias"}
    if what in changes:
        batch.set_link(link, **{changes[what]: value})
    elif what == "master":
        batch.set_link(link, master=indexes["br"] if value else 0)
    elif what in ("hairpin", "isolated", "learning"):
        batch.set_link(link, **{what: bool(value)})
    elif what == "delete":
        batch.delete_link(link)
    elif what == "bridge":
        batch.add_bridge(link, mac="02:00:00:00:00:13")
    elif what == "address":
        batch.add_address(index, str(value))
    elif what == "no address":
        batch.delete_address(index, str(value))
    elif what == "route":
        batch.add_route(Route(str(value), ifindex=index))
    else:
        batch.delete_route(Route(str(value), ifindex=index))


def _prepare(namespace: NetworkNamespace) -> dict[str, int]:
    """Makes three links and a bridge, with fixed indexes and MAC addresses, that send nothing."""
    quieten(namespace)
    with RtnetlinkSocket(namespace) as sock:
        batch = Batch().add_bridge("br", mac="02:00:00:00:00:10")
        batch.add_veth("t0", "t1", index=10, peer_index=11, mac="02:00:00:00:00:01")
        batch.set_link("t1", mac="02:00:00:00:00:02").add_link("t2", "ifb", mac="02:00:00:00:00:03")
        batch.set_link("lo", up=True)
        sock.execute(batch)
        return {name: link.index for name, link in sock.dump_links().items()}


def _sorted_dumps(namespace: NetworkNamespace) -> object:
    """The kernel lists IPv6 routes of one prefix in the order in which its workers add them."""
    found = dumps(namespace)
    found["routes"].sort(key=lambda route: json.dumps(route, sort_keys=True))
    return found


@pytest.mark.slow
@settings(
    max_examples=len(sample(range(40), step=2)),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(commands=st.lists(_COMMANDS, min_size=1, max_size=25))
@example([("up", "t0", True), ("up", "t1", True), ("up", "t1", False)])  # a carrier for a moment
def test_a_random_batch_does_what_ip_batch_does(net, commands):
    with NetworkNamespace.create() as ours, NetworkNamespace.create() as theirs:
        indexes = _prepare(ours)
        assert _prepare(theirs) == indexes
        batch = Batch()
        for command in commands:
            _append(batch, indexes, *command)
        ours_failed: set[int] = set()
        with RtnetlinkSocket(ours) as sock:
            try:
                sock.execute(batch)
            except BatchError as error:
                ours_failed = {at for at, one in enumerate(error.results) if one is not None}
        text = "".join(_as_ip(*command) + "\n" for command in commands)
        done = theirs.run(
            ["ip", "-batch", "-", "-force"], input=text, capture_output=True, text=True
        )
        # Some routes come from a worker of the kernel's, later in one namespace than in the other.
        shown: list[object] = []

        def are_equal() -> bool:
            shown[:] = _sorted_dumps(ours), _sorted_dumps(theirs)
            return shown[0] == shown[1]

        with contextlib.suppress(AssertionError):
            wait_until(are_equal)
        assert shown[0] == shown[1]
        assert bool(ours_failed) == (done.returncode != 0)
