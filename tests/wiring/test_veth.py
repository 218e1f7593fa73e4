"""strategy/veth.py: the section "veth" of the acceptance cases, and what marks are for."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import pickle
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
import support
from helpers_network import (
    add_bridge,
    containers,
    dumps,
    ip,
    names,
    quieten,
    veth,
    wait_for_workers,
)
from support import python, wait_until

from pynetstrat import (
    Batch,
    InvalidNetworkError,
    KernelError,
    Network,
    NetworkNamespace,
    Route,
    RtnetlinkSocket,
    TeardownError,
    Veth,
    _syscalls,
    check_networks,
    get_strategy,
    set_up_networks,
    tear_down_networks,
)
from pynetstrat.wiring import _veth_pair
from pynetstrat.wiring._session import Session

LO = Network("loopback", name="lo")


@pytest.fixture
def blue(net):
    with NetworkNamespace.create() as namespace:
        yield namespace


def _inside(namespace: NetworkNamespace, name: str = "eth0"):
    with RtnetlinkSocket(namespace) as sock:
        return sock.get_link(name)


def _lasting(namespace: NetworkNamespace) -> object:
    """What does not change by itself: carriers and link-local addresses come when they come."""
    with RtnetlinkSocket() as host, RtnetlinkSocket(namespace) as container:
        links = [*host.dump_links().values(), *container.dump_links().values()]
        return [(link.index, link.name, link.up, link.mac, link.alias) for link in links]


Place = NetworkNamespace | None  # None: the host


def _connects(server: Place, client: Place, address: str) -> None:
    """A TCP connection, at once: nothing is tried twice."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET

    def listen() -> socket.socket:
        return socket.create_server((address, 0), family=family)

    with listen() if server is None else server.call(listen) as listening:
        port = listening.getsockname()[1]

        def connect() -> socket.socket:
            return socket.create_connection((address, port), timeout=5)

        with connect() if client is None else client.call(connect) as connection:
            accepted, _ = listening.accept()
            with accepted:
                connection.sendall(b"hello")
                assert accepted.recv(5) == b"hello"


# ---- the two ends ----


def test_it_is_built_in():
    assert type(get_strategy("veth")) is Veth


def test_each_end_is_in_its_own_namespace_with_the_others_index(host, bridge, blue):
    set_up_networks([veth()], netns=blue)
    own, peer = host.get_link("h0"), _inside(blue)
    assert (own.link_index, own.link_nsid) == (peer.index, host.get_nsid(blue))
    assert peer.link_index == own.index
    (seen,) = ip("link", "show", "h0")
    assert seen["ifindex"] == own.index
    (seen,) = ip("link", "show", "eth0", netns=blue)
    assert (seen["ifindex"], seen["link_index"]) == (peer.index, own.index)


def test_a_name_taken_in_the_container_is_named_with_the_namespace(host, bridge, blue):
    with RtnetlinkSocket(blue) as sock:
        sock.execute(Batch().add_link("eth0", "ifb"))
    before = dumps(), dumps(blue)
    with pytest.raises(KernelError) as raised:
        set_up_networks([veth()], netns=blue)
    assert f'the name "eth0" is taken in {blue!r}' in str(raised.value)
    assert 'network "eth0"' in str(raised.value)
    assert (dumps(), dumps(blue)) == before


def test_a_name_taken_on_the_host_is_named_with_the_namespace(host, bridge, blue):
    host.execute(Batch().add_link("h0", "ifb"))
    before = dumps(), dumps(blue)
    with pytest.raises(KernelError) as raised:
        set_up_networks([veth()], netns=blue)
    assert 'the name "h0" is taken in this namespace' in str(raised.value)
    assert (dumps(), dumps(blue)) == before


def test_mac_mtu_queue_length_and_hairpin_are_as_given(host, bridge, blue):
    network = veth(mac_address="02:00:00:00:00:09", mtu=1400, txqueuelen=77, hairpin_mode=True)
    set_up_networks([network], netns=blue)
    own, peer = host.get_link("h0"), _inside(blue)
    assert (own.mtu, own.txqueuelen, own.hairpin, own.up) == (1400, 77, True, True)
    assert (peer.mtu, peer.txqueuelen, peer.mac, peer.up) == (1400, 77, "02:00:00:00:00:09", True)
    assert own.mac != peer.mac
    (seen,) = ip("-details", "link", "show", "h0")
    assert (seen["mtu"], seen["txqlen"], seen["master"]) == (1400, 77, "br0")
    assert seen["linkinfo"]["info_slave_data"]["hairpin"] is True
    (seen,) = ip("link", "show", "eth0", netns=blue)
    assert (seen["mtu"], seen["txqlen"], seen["address"]) == (1400, 77, "02:00:00:00:00:09")


def test_each_end_has_one_queue_and_none_out_of_use(host, bridge, blue):
    set_up_networks([veth()], netns=blue)
    for name, netns in (("h0", None), ("eth0", blue)):
        (seen,) = ip("-details", "link", "show", name, netns=netns)
        assert (seen["num_tx_queues"], seen["num_rx_queues"]) == (1, 1)


@pytest.mark.parametrize("address", ["10.0.0.5", "fd00::5"])
def test_an_address_that_is_used_again_is_reached_at_once(host, bridge, blue, address):
    """From the host and from another container, which both knew the one that had it before."""
    host.execute(Batch().add_address(bridge, "fd00::1/64"))
    set_up_networks([on_both(9)], netns=blue)
    for number in (1, 2):
        with NetworkNamespace.create() as container:
            made = set_up_networks([on_both(5, owner=f"c{number}")], netns=container)
            assert answers(address)
            assert blue.call(answers, address)
            tear_down_networks(made, netns=container)


def on_both(number, **fields):
    """A network with an address of either family, that ends in a number."""
    ends = {"address": f"10.0.0.{number}/24", "ipv6_address": f"fd00::{number}/64"}
    return veth(host_interface_name=f"h{number}", **ends, **fields)


def answers(address):
    """Whether a host refuses a datagram, sent five times: what comes before the carrier is lost.

    A neighbour that is not there any more is believed to be for at least 15 s.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.settimeout(1)
        sender.connect((address, 9))
        for _ in range(5):
            try:
                sender.send(b"x")
                sender.recv(1)
            except ConnectionRefusedError:
                return True
            except TimeoutError:
                continue
    return False


@pytest.mark.parametrize(
    ("fields", "mac"),
    [
        ({"address": "10.1.2.255/16"}, "02:00:0a:01:02:ff"),
        ({"address": "10.1.2.255/16", "ipv6_address": "fd00::2/64"}, "02:00:0a:01:02:ff"),
        ({"address": "10.1.2.255/16", "mac_address": "02:aa:00:00:00:01"}, "02:aa:00:00:00:01"),
    ],
)
def test_the_mac_is_made_of_the_ipv4_address_unless_it_is_given(host, bridge, blue, fields, mac):
    with RtnetlinkSocket(blue) as container:
        set_up_networks([veth(gateway="", **fields)], netns=blue)
        assert container.get_link("eth0").mac == mac


def test_the_mac_is_made_of_the_ipv6_address_where_that_is_all(host, bridge):
    macs = []
    for text in ("fd00::2/64", "fd00:0:0::0002/80", "fd00::3/64"):
        with NetworkNamespace.create() as container:
            network = veth(address="", gateway="", ipv6_address=text)
            made = set_up_networks([network], netns=container)
            with RtnetlinkSocket(container) as sock:
                macs.append(sock.get_link("eth0").mac)
            tear_down_networks(made, netns=container)
    assert macs[0] == macs[1] != macs[2]
    assert all(mac.startswith("06:") for mac in macs)


def test_without_hairpin_mode_it_is_off(host, bridge, blue):
    set_up_networks([veth()], netns=blue)
    assert host.get_link("h0").hairpin is False


@pytest.mark.parametrize("end", ["host", "container"])
def test_deleting_either_end_removes_both(host, bridge, blue, end):
    set_up_networks([veth()], netns=blue)
    if end == "host":
        host.execute(Batch().delete_link("h0"))
    else:
        with RtnetlinkSocket(blue) as sock:
            sock.execute(Batch().delete_link("eth0"))
    assert names() == {"lo", "br0"}
    assert names(blue) == {"lo"}


def test_a_name_that_is_taken_leaves_its_link_alias_group_and_flags(host, bridge, blue):
    host.execute(Batch().add_veth("h0", "other", up=True).set_link("h0", alias="pynetstrat:c1"))
    host.execute(Batch().set_group(host.get_link("h0").index, 7))
    wait_for_workers()
    before = host.get_link("h0")
    with pytest.raises(KernelError, match='the name "h0" is taken'):
        Veth().create(veth(), netns=blue)
    assert host.get_link("h0") == before
    with pytest.raises(KernelError, match='the name "h0" is taken'):
        set_up_networks([LO, veth(hairpin_mode=True)], netns=blue)
    assert host.get_link("h0") == before


# ---- whose it is ----


def test_the_hosts_end_is_marked_with_its_owner(host, bridge, blue):
    set_up_networks([veth(owner="container 7")], netns=blue)
    assert host.get_link("h0").alias == "pynetstrat:container 7"
    assert ip("link", "show", "h0")[0]["ifalias"] == "pynetstrat:container 7"


def test_destroy_with_another_owner_leaves_it(host, bridge, blue):
    (made,) = set_up_networks([veth(owner="c1")], netns=blue)
    before = _lasting(blue)
    for other in (veth(owner="c2"), veth(owner="")):
        tear_down_networks([other], netns=blue)
        tear_down_networks([other])
        Veth().destroy(other, netns=blue)
    assert _lasting(blue) == before
    tear_down_networks([made], netns=blue)
    assert names() == {"lo", "br0"}


def test_two_owners_on_one_bridge_do_not_touch_each_other(host, bridge):
    with containers(2) as (blue, red):
        first = set_up_networks([veth(host_interface_name="", owner="c1")], netns=blue)
        second = set_up_networks(
            [veth(host_interface_name="", owner="c2", address="10.0.0.3/24")], netns=red
        )
        assert first[0].host_interface_name != second[0].host_interface_name
        _connects(red, blue, "10.0.0.3")
        tear_down_networks(first, netns=blue)
        assert names() == {"lo", "br0", second[0].host_interface_name}
        assert check_networks(second, netns=red) == []
        assert host.get_link("br0").up
        _connects(red, None, "10.0.0.3")


def test_with_an_owner_destroy_deletes_the_pair_whatever_namespace_is_given(host, bridge):
    """The name of a namespace is used again while the old namespace lives, say."""
    with containers(2) as (blue, red):
        made = set_up_networks([veth()], netns=blue)
        tear_down_networks(made, netns=red)
        assert "h0" not in names()
        assert names(blue) == {"lo"}
        set_up_networks(made, netns=red)
        assert check_networks(made, netns=red) == []


@pytest.mark.parametrize("netns", ["another", None])
def test_without_an_owner_destroy_needs_the_namespace_of_the_peer(host, bridge, netns):
    with containers(2) as (blue, red):
        made = set_up_networks([veth(owner="")], netns=blue)
        before = _lasting(blue)
        with pytest.raises(TeardownError) as raised:
            tear_down_networks(made, netns=red if netns else None)
        assert 'interface "h0": look: Operation not permitted' in str(raised.value)
        assert "give the namespace that it is in, or delete the link" in str(raised.value)
        assert _lasting(blue) == before
        tear_down_networks(made, netns=blue)
        assert names() == {"lo", "br0"}


def test_without_an_owner_a_generated_name_is_enough(host, bridge):
    with NetworkNamespace.create() as blue:
        made = set_up_networks([veth(owner="", host_interface_name="")], netns=blue)
        tear_down_networks(made)
        assert names() == {"lo", "br0"}
        assert names(blue) == {"lo"}


def test_without_an_owner_a_pair_goes_with_its_namespace(host, bridge):
    with NetworkNamespace.create() as blue:
        made = set_up_networks([veth(owner="")], netns=blue)
        process = blue.popen(["sleep", "60"])
    path = f"/proc/{process.pid}/ns/net"
    process.kill()
    process.wait()

    def is_torn_down() -> bool:
        """The kernel lets go of the call's closed sockets, and so of the namespace, a bit later."""
        try:
            tear_down_networks(made, netns=path)
        except TeardownError:
            return False
        return True

    wait_until(is_torn_down)
    wait_until(lambda: names() == {"lo", "br0"})


@pytest.mark.parametrize("given", [True, False], ids=["with the namespace", "without it"])
def test_destroy_finds_a_peer_that_the_container_moved_on(host, bridge, given):
    with containers(2) as (blue, inner):
        made = set_up_networks([veth()], netns=blue)
        with RtnetlinkSocket(blue) as sock:
            sock.execute(Batch().set_link("eth0", netns=inner, new_name="hidden0"))
        tear_down_networks(made, netns=blue if given else None)
        assert names() == {"lo", "br0"}
        assert names(inner) == {"lo"}


def test_without_an_owner_a_peer_that_was_moved_on_is_an_error(host, bridge):
    with containers(2) as (blue, inner):
        made = set_up_networks([veth(owner="")], netns=blue)
        with RtnetlinkSocket(blue) as sock:
            sock.execute(Batch().set_link("eth0", netns=inner))
        with pytest.raises(TeardownError, match="the peer is in another one"):
            tear_down_networks(made, netns=blue)
        assert "h0" in names()


@pytest.mark.parametrize("owner", ["c1", ""])
def test_destroy_finds_a_host_end_that_was_renamed(host, bridge, blue, owner):
    made = set_up_networks([veth(owner=owner)], netns=blue)
    host.execute(Batch().set_link(host.get_link("h0").index, new_name="renamed0"))
    tear_down_networks(made, netns=blue)
    assert names() == {"lo", "br0"}
    tear_down_networks(made, netns=blue)


def test_destroy_tells_the_host_ends_of_one_owner_apart_whatever_their_names(host, bridge, blue):
    networks = [
        veth(name="eth0", host_interface_name="h0"),
        veth(name="eth1", host_interface_name="h1", address="10.0.1.2/24", gateway=""),
    ]
    made = set_up_networks(networks, netns=blue)
    first, second = host.get_link("h0").index, host.get_link("h1").index
    for index, name in ((first, "aside"), (second, "h0"), (first, "h1")):  # they exchange names
        host.execute(Batch().set_link(index, new_name=name))
    tear_down_networks(made[:1], netns=blue)
    assert names(blue) == {"lo", "eth1"}
    assert host.get_link("h0").index == second
    tear_down_networks(made[1:], netns=blue)
    assert names() == {"lo", "br0"}


def test_a_tag_that_was_changed_is_an_error_of_destroy(host, bridge, blue):
    made = set_up_networks([veth()], netns=blue)
    host.execute(Batch().set_link("h0", alias="mine"))
    with pytest.raises(TeardownError) as raised:
        tear_down_networks(made, netns=blue)
    assert "its alias is 'mine': set that to 'pynetstrat:c1' again" in str(raised.value)
    host.execute(Batch().set_link("h0", alias="pynetstrat:c1"))
    tear_down_networks(made, netns=blue)
    assert names() == {"lo", "br0"}


def test_a_pair_of_an_older_version_is_found_by_its_name_and_tag(host, bridge, blue):
    """0.2 gave the host end a random MAC address."""
    made = set_up_networks([veth()], netns=blue)
    host.execute(Batch().set_link("h0", mac="fe:12:34:56:78:9a"))
    tear_down_networks(made)
    assert names() == {"lo", "br0"}


# ---- left untagged by a killed create ----


@pytest.fixture
def untagged(host, bridge, blue, monkeypatch):
    """A pair as a process leaves it that is killed between its first two messages."""
    made = {}

    def leave(network):
        class Killed(BaseException):
            pass

        def kill(*_: object) -> None:
            raise Killed

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_veth_pair, "_finish_port", kill)
            patch.setattr(_veth_pair, "_finish_point_to_point", kill)
            patch.setattr(Session, "roll_back", lambda *_: None)
            with pytest.raises(Killed):
                set_up_networks([network], netns=blue)
        made.update(host.dump_links())
        assert [link.alias for link in made.values() if link.kind == "veth"] == [""]

    return leave


LEFT = [{}, {"owner": ""}, {"bridge": "", "gateway": ""}, {"host_interface_name": ""}]


@pytest.mark.parametrize("fields", LEFT)
def test_an_untagged_pair_is_cleared_by_tear_down(host, blue, untagged, fields):
    untagged(veth(**fields))
    tear_down_networks([veth(**fields)], netns=blue)
    assert names() == {"lo", "br0"}
    assert names(blue) == {"lo"}


@pytest.mark.parametrize("fields", LEFT)
def test_an_untagged_pair_is_cleared_by_the_next_set_up(host, blue, untagged, fields):
    untagged(veth(**fields))
    made = set_up_networks([veth(**fields)], netns=blue)
    assert check_networks(made, netns=blue) == []
    tear_down_networks(made, netns=blue)
    assert names() == {"lo", "br0"}


def test_an_untagged_pair_of_another_owner_or_name_is_left_alone(host, blue, untagged):
    untagged(veth())
    wait_for_workers()
    before = host.get_link("h0")
    others = [veth(owner="c2"), veth(owner=""), veth(name="eth1")]
    for other in others:
        with contextlib.suppress(TeardownError):
            tear_down_networks([other], netns=blue)
        with pytest.raises(KernelError, match='the name "h0" is taken'):
            set_up_networks([other], netns=blue)
        assert host.get_link("h0") == before


def test_of_processes_that_set_up_one_network_at_once_only_one_succeeds(host, bridge, blue):
    program = """if True:
        import sys
        from pynetstrat import KernelError, Network, get_strategy, set_up_networks
        network = Network.from_dict(eval(sys.argv[1]))
        get_strategy("veth")
        print(flush=True)
        sys.stdin.read()
        try:
            set_up_networks([network], netns=int(sys.argv[2]), timeout=60)
        except KernelError as error:
            sys.exit(str(error))"""
    arguments = [program, repr(veth().to_dict()), str(blue.fileno())]
    for _ in range(8):
        waiting, ready = os.pipe()  # its end wakes all of them at once
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", *arguments],
                pass_fds=[blue.fileno()],
                stdin=waiting,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            for _ in range(3)
        ]
        for process in processes:
            process.stdout.readline()
        os.close(waiting)
        os.close(ready)
        errors = [process.stderr.read() for process in processes]
        assert sorted(process.wait() for process in processes) == [0, 1, 1], errors
        for process in processes:
            process.stdout.close()
            process.stderr.close()
        assert check_networks([veth()], netns=blue) == []
        tear_down_networks([veth()], netns=blue)


def test_a_point_to_point_pair_that_another_process_has_replaced_is_not_tagged(
    host, blue, monkeypatch
):
    network = veth(bridge="", gateway="")
    finish = _veth_pair._finish_point_to_point

    def after_another(*arguments: object) -> None:
        host.delete_links(["h0"])
        host.execute(Batch().add_veth("h0", "eth0", netns=blue))
        finish(*arguments)

    monkeypatch.setattr(_veth_pair, "_finish_point_to_point", after_another)
    with pytest.raises(KernelError, match="another process has set this network up"):
        Veth().create(network, netns=blue)
    assert host.get_link("h0").alias == ""


def test_a_pair_that_another_process_is_about_to_tag_is_left_alone(
    host, bridge, blue, untagged, monkeypatch
):
    untagged(veth())
    before = host.get_link("h0")

    def tag(_: float) -> None:
        host.execute(Batch().set_link("h0", alias="pynetstrat:c1"))

    monkeypatch.setattr(_veth_pair, "sleep", tag)
    with pytest.raises(KernelError, match="this network's already: tear it down first"):
        set_up_networks([veth()], netns=blue)
    assert host.get_link("h0").index == before.index


def test_tear_down_leaves_a_pair_of_the_same_owner_in_another_container(host, bridge, blue):
    with NetworkNamespace.create() as green:
        first = set_up_networks([veth()], netns=blue)
        second = set_up_networks([veth(host_interface_name="h1")], netns=green)
        for _ in range(2):
            tear_down_networks(first, netns=blue)
            tear_down_networks(first)
        assert names() == {"lo", "br0", "h1"}
        tear_down_networks(second, netns=green)
        assert names() == {"lo", "br0"}


def test_tear_down_leaves_a_pair_with_the_tag_of_another_owner_and_an_equal_mac(host, bridge, blue):
    made = set_up_networks([veth(host_interface_name="")], netns=blue)
    mac = host.get_link(made[0].host_interface_name).mac
    tear_down_networks(made, netns=blue)
    host.execute(Batch().add_veth("h7", "h8", mac=mac).set_link("h7", alias="pynetstrat:c2"))
    tear_down_networks(made, netns=blue)
    assert "h7" in names()


def test_a_strangers_pair_without_a_tag_is_left_alone(host, bridge, blue):
    host.execute(Batch().add_veth("h0", "eth0", netns=blue))
    wait_for_workers()
    before = host.get_link("h0")
    with pytest.raises(KernelError, match='the name "h0" is taken'):
        set_up_networks([veth()], netns=blue)
    tear_down_networks([veth()], netns=blue)
    assert host.get_link("h0") == before


def test_a_pair_that_is_set_up_already_is_an_error_with_the_remedy(host, bridge, blue):
    set_up_networks([veth()], netns=blue)
    with pytest.raises(KernelError, match="this network's already: tear it down first"):
        set_up_networks([veth()], netns=blue)


def test_destroy_leaves_a_link_of_another_kind_that_carries_the_mark(host, blue):
    host.execute(Batch().add_link("h0", "ifb").set_link("h0", alias="pynetstrat:c1"))
    tear_down_networks([veth()])
    assert "h0" in names()


def test_destroy_twice_does_no_harm(host, bridge, blue):
    made = set_up_networks([veth()], netns=blue)
    for _ in range(2):
        tear_down_networks(made, netns=blue)
        tear_down_networks(made)
        Veth().destroy(made[0], netns=blue)
        Veth().destroy(made[0])
        assert names() == {"lo", "br0"}


def test_destroy_without_create_does_no_harm(host, bridge, blue):
    before = dumps(), dumps(blue)
    Veth().destroy(veth(), netns=blue)
    Veth().destroy(veth())
    assert (dumps(), dumps(blue)) == before


def test_destroy_after_the_container_has_ended_leaves_nothing(host, bridge):
    process = None
    with NetworkNamespace.create() as blue:
        process = blue.popen(["sleep", "60"])
        path = f"/proc/{process.pid}/ns/net"
        made = set_up_networks([veth()], netns=path)
    process.kill()
    process.wait()
    tear_down_networks(made, netns=path)
    assert names() == {"lo", "br0"}
    tear_down_networks(made, netns=path)


def test_the_same_host_name_can_be_used_again_at_once(host, bridge):
    """The kernel takes the links of a namespace that ended down later."""
    for _ in range(3):
        with NetworkNamespace.create() as blue:
            made = set_up_networks([veth()], netns=blue)
        tear_down_networks(made)
        with NetworkNamespace.create() as red:
            made = set_up_networks([veth()], netns=red)
            assert "h0" in names()
            tear_down_networks(made, netns=red)


def test_a_pidfd_whose_process_has_ended_does_no_harm(host, bridge, blue):
    made = set_up_networks([veth()], netns=blue)
    process = blue.popen(["true"])
    pidfd = os.pidfd_open(process.pid)
    process.wait()
    try:
        tear_down_networks(made, netns=pidfd)
    finally:
        os.close(pidfd)
    assert "h0" not in names()


# ---- addresses and routes ----


@pytest.mark.parametrize(
    "fields",
    [
        {"address": "10.0.0.2/24", "gateway": "10.0.0.1"},
        {"address": "", "gateway": "", "ipv6_address": "fd00::2/64", "ipv6_gateway": "fd00::1"},
        {"ipv6_address": "fd00::2/64", "ipv6_gateway": "fd00::1"},
        {"address": "10.0.0.2/24", "gateway": ""},
    ],
    ids=["IPv4", "IPv6", "both", "no gateway"],
)
def test_the_container_has_exactly_the_addresses_and_routes_asked_for(host, bridge, blue, fields):
    """And with IPv6 the link-local address."""
    quieten(blue)
    network = veth(mac_address="02:00:00:00:00:02", **fields)
    set_up_networks([network], netns=blue)
    link_local = "fe80::ff:fe00:2/64" if network.ipv6_address else ""
    wanted = {network.address, network.ipv6_address, link_local} - {""}
    with RtnetlinkSocket(blue) as sock:
        assert {address.address for address in sock.dump_addresses("eth0")} == wanted
        routes = sock.dump_routes()
    gateways = {network.gateway, network.ipv6_gateway} - {""}
    defaults = {route.gateway for route in routes if route.destination in ("0.0.0.0/0", "::/0")}
    assert defaults == gateways
    (seen,) = ip("address", "show", "eth0", netns=blue)
    assert {f"{one['local']}/{one['prefixlen']}" for one in seen["addr_info"]} == wanted


def test_the_one_family_on_one_network_and_both_on_another(host, bridge, blue):
    quieten(blue)
    networks = [
        veth(name="eth0", ipv6_address="fd00::2/64", ipv6_gateway="fd00::1"),
        veth(name="eth1", host_interface_name="h1", address="10.0.1.2/24", gateway=""),
    ]
    made = set_up_networks(networks, netns=blue)
    with RtnetlinkSocket(blue) as sock:
        found = {a.address: a.ifindex for a in sock.dump_addresses()}
        assert found["10.0.0.2/24"] == found["fd00::2/64"] == sock.get_link("eth0").index
        assert found["10.0.1.2/24"] == sock.get_link("eth1").index
    assert check_networks(made, netns=blue) == []


def test_the_link_local_address_can_be_used_at_once(host, bridge, blue):
    """It is the one that the kernel would make, and stays the only one."""
    network = veth(ipv6_address="fd00::2/64", mac_address="02:00:00:00:00:02")
    made = set_up_networks([network], netns=blue)

    def bind() -> None:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("fe80::ff:fe00:2", 0, 0, socket.if_nametoindex("eth0")))

    blue.call(bind)  # EADDRNOTAVAIL as long as it is tentative
    with RtnetlinkSocket(blue) as sock:
        found = {address.address: address for address in sock.dump_addresses("eth0")}
    assert set(found) == {"10.0.0.2/24", "fd00::2/64", "fe80::ff:fe00:2/64"}
    assert not found["fe80::ff:fe00:2/64"].tentative
    assert check_networks(made, netns=blue) == []


def test_the_link_local_address_comes_back_when_the_container_sets_its_link_down_and_up(
    host, bridge, blue
):
    set_up_networks([veth(ipv6_address="fd00::2/64", mac_address="02:00:00:00:00:02")], netns=blue)
    with RtnetlinkSocket(blue) as sock:
        sock.link_set_down("eth0")
        assert not any(":" in address.address for address in sock.dump_addresses("eth0"))
        sock.link_set_up("eth0")
        wait_until(lambda: "fe80::ff:fe00:2/64" in {a.address for a in sock.dump_addresses("eth0")})


@pytest.mark.parametrize(
    ("address", "broadcast"),
    [
        ("10.0.0.2/24", "10.0.0.255"),
        ("10.0.0.9/30", "10.0.0.11"),
        ("10.0.0.2/8", "10.255.255.255"),
        ("10.0.0.2/31", ""),
        ("10.0.0.2/32", ""),
    ],
)
def test_an_ipv4_address_has_its_subnets_broadcast_address(host, bridge, blue, address, broadcast):
    set_up_networks([veth(address=address, gateway="")], netns=blue)
    with RtnetlinkSocket(blue) as sock:
        (found,) = [a for a in sock.dump_addresses("eth0") if ":" not in a.address]
    assert (found.address, found.broadcast) == (address, broadcast)


def test_routes_have_their_own_gateway_metric_and_table(host, bridge, blue):
    routes = [
        Route("192.0.2.0/24", gateway="10.0.0.7"),
        Route("198.51.100.0/24", gateway="10.0.0.8", metric=9),
        Route("203.0.113.0/24", gateway="10.0.0.9", table=1000),
        Route("203.0.114.0/24"),
        Route("203.0.115.0/24", gateway="203.0.113.1", onlink=True),
    ]
    made = set_up_networks([veth(routes=routes)], netns=blue)
    seen = {route["dst"]: route for route in ip("-4", "route", "show", "table", "all", netns=blue)}
    assert seen["192.0.2.0/24"]["gateway"] == "10.0.0.7"
    second, third = seen["198.51.100.0/24"], seen["203.0.113.0/24"]
    assert (second["gateway"], second["metric"]) == ("10.0.0.8", 9)
    assert (third["gateway"], third["table"]) == ("10.0.0.9", "1000")
    assert seen["203.0.114.0/24"]["dev"] == "eth0"
    assert seen["203.0.115.0/24"]["gateway"] == "203.0.113.1"
    assert check_networks(made, netns=blue) == []
    assert not any(route.ifindex for route in routes)  # the caller's are left alone


def test_ipv6_is_usable_at_once_by_a_tcp_connection(host, bridge, blue):
    host.execute(Batch().add_address(bridge, "fd00::1/64"))
    set_up_networks([veth(ipv6_address="fd00::2/64", ipv6_gateway="fd00::1")], netns=blue)
    _connects(blue, None, "fd00::2")


def test_a_whole_address_reaches_its_gateway_on_link(host, bridge, blue):
    host.execute(Batch().add_route(Route("10.9.0.2/32", ifindex=bridge)))
    made = set_up_networks([veth(address="10.9.0.2/32")], netns=blue)
    _connects(blue, None, "10.9.0.2")
    assert check_networks(made, netns=blue) == []


def test_a_gateway_off_the_subnet_is_the_kernels_error_and_nothing_is_left(host, bridge, blue):
    before = dumps(), dumps(blue)
    with pytest.raises(KernelError, match="Nexthop has invalid gateway") as raised:
        set_up_networks([LO, veth(gateway="192.0.2.1")], netns=blue)
    assert 'initialize of network "eth0"' in str(raised.value)
    assert (dumps(), dumps(blue)) == before


# ---- the bridge ----


@pytest.mark.parametrize("mtu", [9000, 1400])
@pytest.mark.parametrize("empty", [True, False], ids=["without a port", "with ports"])
def test_a_pair_without_an_mtu_gets_the_bridges_which_stays(host, bridge, blue, mtu, empty):
    if not empty:
        host.execute(Batch().add_link("port0", "ifb").set_link("port0", master=bridge, mtu=mtu))
    host.execute(Batch().set_link("br0", mtu=mtu))
    set_up_networks([veth()], netns=blue)
    assert host.get_link("br0").mtu == host.get_link("h0").mtu == _inside(blue).mtu == mtu


def test_a_bridge_whose_mtu_is_too_small_for_ipv6_is_refused(host, bridge, blue):
    host.execute(Batch().set_link("br0", mtu=1279))
    before = dumps(), dumps(blue)
    with pytest.raises(InvalidNetworkError, match="its MTU is 1279, and IPv6 needs 1280"):
        set_up_networks([veth(ipv6_address="fd00::2/64")], netns=blue)
    assert (dumps(), dumps(blue)) == before
    set_up_networks([veth()], netns=blue)


def test_a_bridge_that_is_missing_is_an_error_that_says_so_and_nothing_is_left(host, blue):
    before = dumps(), dumps(blue)
    with pytest.raises(InvalidNetworkError, match='invalid bridge "br0": there is no such bridge'):
        set_up_networks([LO, veth()], netns=blue)
    assert (dumps(), dumps(blue)) == before


def test_what_is_not_a_bridge_is_an_error_that_says_what_it_is(host, blue):
    host.execute(Batch().add_link("br0", "ifb"))
    before = dumps(), dumps(blue)
    with pytest.raises(InvalidNetworkError, match="this is a link of kind ifb, not a bridge"):
        set_up_networks([LO, veth()], netns=blue)
    with pytest.raises(InvalidNetworkError, match="not a bridge"):
        set_up_networks([veth(bridge="lo")], netns=blue)
    assert (dumps(), dumps(blue)) == before


@pytest.mark.parametrize("mac", [None, "02:00:00:00:00:77"], ids=["taken from nobody", "given"])
def test_the_bridges_mac_is_the_same_before_between_and_after(host, mac):
    add_bridge(mac=mac)
    macs = [host.get_link("br0").mac]
    with containers(3) as spaces:
        made = []
        for number, space in enumerate(spaces):
            # Lower than any that the bridge may have, so that it would take them.
            network = veth(
                host_interface_name=f"h{number}",
                address=f"10.0.0.{number + 2}/24",
                mac_address=f"02:00:00:00:00:0{number}",
            )
            made.append(set_up_networks([network], netns=space))
            macs.append(host.get_link("br0").mac)
        for networks, space in zip(made, spaces, strict=True):
            tear_down_networks(networks, netns=space)
            macs.append(host.get_link("br0").mac)
    assert len(set(macs)) == 1


def test_a_bridge_that_has_pinned_its_mac_is_not_set_again(host, bridge):
    with containers(2) as (blue, red):
        set_up_networks([veth()], netns=blue)
        pinned = host.get_link("br0")
        assert int(pinned.bridge_id[4:], 16) != 0
        second = veth(host_interface_name="h1", address="10.0.0.3/24", hairpin_mode=True)
        made = set_up_networks([second], netns=red)
        assert host.get_link("br0").bridge_id == pinned.bridge_id
        assert check_networks(made, netns=red) == []


# ---- without ----


def test_without_an_address_it_is_layer_2_only_and_up(host, bridge, blue):
    quieten(blue)
    set_up_networks([veth(address="", gateway="")], netns=blue)
    assert _inside(blue).up
    with RtnetlinkSocket(blue) as sock:
        assert sock.dump_addresses("eth0") == []


@pytest.mark.parametrize("address", ["10.9.0.2/24", "10.9.0.2/32"])
def test_without_a_bridge_host_and_container_reach_each_other(host, blue, address):
    network = veth(
        bridge="",
        address=address,
        gateway="10.9.0.1",
        ipv6_address="fd09::2/64",
        ipv6_gateway="fd09::1",
    )
    made = set_up_networks([network], netns=blue)
    for server, client, to in (
        (blue, None, "10.9.0.2"),
        (None, blue, "10.9.0.1"),
        (blue, None, "fd09::2"),
        (None, blue, "fd09::1"),
    ):
        _connects(server, client, to)
    own = {address.address for address in host.dump_addresses("h0")}
    assert {"10.9.0.1/32", "fd09::1/128"} <= own
    assert check_networks(made, netns=blue) == []
    tear_down_networks(made, netns=blue)
    assert names() == {"lo"}
    assert not any("10.9." in route.destination for route in host.dump_routes())


IPPROTO_ICMPV6, IPV6_MULTICAST_HOPS, IPV6_UNICAST_HOPS = 58, 18, 16  # linux/in6.h


def _advertise(name: str) -> None:
    """Sends router advertisements, as a router does: with hop limit 255 (RFC 4861)."""
    # Lifetime 1800 s; the prefix 2001:db8:bad::/64, on link and autonomous; no source address.
    prefix = socket.inet_pton(socket.AF_INET6, "2001:db8:bad::")
    option = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 86400, 14400, 0) + prefix
    message = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + option
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, IPPROTO_ICMPV6) as sock:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 255)
        for _ in range(3):
            sock.sendto(message, ("ff02::1", 0, 0, socket.if_nametoindex(name)))


def _advertised(host: RtnetlinkSocket) -> list[object]:
    """What the host took from an advertisement."""
    addresses = [a.address for a in host.dump_addresses() if a.address.startswith("2001:db8:bad:")]
    return addresses + [
        r for r in host.dump_routes() if r.destination in ("::/0", "2001:db8:bad::/64")
    ]


@pytest.mark.parametrize("ipv6", ["fd09::2/64", ""])
def test_a_container_cannot_become_the_hosts_router_by_a_point_to_point_link(host, blue, ipv6):
    network = veth(bridge="", address="10.9.0.2/24", gateway="10.9.0.1", ipv6_address=ipv6)
    made = set_up_networks([network], netns=blue)
    host.execute(Batch().add_veth("open0", "eth1", netns=blue, up=True))  # not of ours
    with RtnetlinkSocket(blue) as sock:
        sock.link_set_up("eth1")

        def is_ready(name: str) -> bool:
            return any(
                a.address.startswith("fe80:") and not a.tentative for a in sock.dump_addresses(name)
            )

        wait_until(lambda: is_ready("eth0") and is_ready("eth1"))
    blue.call(_advertise, "eth0")
    blue.call(_advertise, "eth1")  # which the host does heed: by then it has seen the others, too
    wait_until(lambda: len(_advertised(host)) > 1)
    index = host.get_link("h0").index
    assert all(route.ifindex != index for route in host.dump_routes() if route.gateway)
    assert not any(a.address.startswith("2001:") for a in host.dump_addresses("h0"))
    assert check_networks(made, netns=blue) == []
    tear_down_networks(made, netns=blue)


def test_the_host_end_ignores_advertisements_before_it_is_up(host, blue, monkeypatch):
    states = []

    def look(name: str) -> None:
        states.append(host.get_link(name).up)
        original(name)
        path = Path(f"/proc/sys/net/ipv6/conf/{name}/accept_ra")
        states.append(path.read_text())

    original = _veth_pair.refuse_router_advertisements
    monkeypatch.setattr(_veth_pair, "refuse_router_advertisements", look)
    set_up_networks([veth(bridge="", gateway="")], netns=blue)
    assert states == [False, "0\n"]


def test_a_link_without_ipv6_needs_no_setting(host, blue):
    """An MTU below IPv6's least takes IPv6 off the link, as a kernel without IPv6 does."""
    made = set_up_networks([veth(bridge="", gateway="", mtu=1279)], netns=blue)
    assert not Path("/proc/sys/net/ipv6/conf/h0").exists()
    tear_down_networks(made, netns=blue)


def test_where_advertisements_can_not_be_refused_it_is_an_error(host, blue, tmp_path):
    """/proc/sys that can't be written, as in many containers; the default setting is a way out."""
    before = dumps(), dumps(blue)
    support.mount("/proc/sys", Path("/proc/sys"), None, _syscalls.MS_BIND)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", "/proc/sys"], check=True)
        with pytest.raises(KernelError) as raised:
            set_up_networks([veth(bridge="", gateway="")], netns=blue)
        text = str(raised.value)
        assert 'interface "h0": open /proc/sys/net/ipv6/conf/h0/accept_ra: Read-only' in text
        assert "or set net.ipv6.conf.default.accept_ra to 0" in text
        assert (dumps(), dumps(blue)) == before
        subprocess.run(["mount", "-o", "remount,bind,rw", "/proc/sys"], check=True)
        Path("/proc/sys/net/ipv6/conf/default/accept_ra").write_text("0")
        subprocess.run(["mount", "-o", "remount,bind,ro", "/proc/sys"], check=True)
        tear_down_networks(set_up_networks([veth(bridge="", gateway="")], netns=blue), netns=blue)
    finally:
        support.unmount("/proc/sys")


def test_an_owner_is_found_again_in_any_locale(host, bridge, blue):
    """A locale without UTF-8 has no say in the tag, which two processes have to agree on."""
    code = """
import sys
from pynetstrat import *
import json
from pynetstrat.cli import main
sys.exit(main(["network", *sys.argv[1:]]))
"""
    document = json.dumps([{"type": "veth", "name": "eth0", "bridge": "br0", "owner": "kä\u4e2d"}])
    locales = ["C", "C.UTF-8"]
    for first, second in ((0, 1), (1, 0), (0, 0)):
        for action, locale in (("set-up", first), ("check", second), ("tear-down", second)):
            environment = {**os.environ, "LC_ALL": locales[locale], "PYTHONCOERCECLOCALE": "0"}
            environment["PYTHONUTF8"] = "0"
            netns = f"/proc/{os.getpid()}/fd/{blue.fileno()}"
            options = {"input": document, "env": environment}
            done = python(code, action, "-", "--netns", netns, **options)
            assert (done.returncode, done.stderr) == (0, ""), (action, locale)
            if action == "set-up":
                name = json.loads(done.stdout)[0]["host_interface_name"]
                assert host.get_link(name).alias == "pynetstrat:kä\u4e2d"
        assert names() == {"lo", "br0"}


def test_two_point_to_point_containers_share_a_gateway(host):
    with containers(2) as (blue, red):
        for number, space in ((2, blue), (3, red)):
            network = veth(
                bridge="",
                host_interface_name=f"h{number}",
                address=f"10.9.0.{number}/32",
                gateway="10.9.0.1",
            )
            set_up_networks([network], netns=space)
        _connects(blue, None, "10.9.0.2")
        _connects(red, None, "10.9.0.3")


def test_an_eth0_on_the_host_is_not_in_the_way(host, bridge, blue):
    host.execute(Batch().add_link("eth0", "ifb"))
    set_up_networks([veth()], netns=blue)
    assert _inside(blue).up
    assert host.get_link("eth0").kind == "ifb"


# ---- create, initialize, detach, attach by themselves ----


def test_create_twice_is_an_error_and_the_first_is_untouched(host, bridge, blue):
    made = Veth().create(veth(), netns=blue)
    Veth().initialize(made, netns=blue)
    before = _lasting(blue)
    with pytest.raises(KernelError, match="is taken"):
        Veth().create(veth(), netns=blue)
    with pytest.raises(KernelError, match="is taken"):
        set_up_networks([veth()], netns=blue)
    assert (_lasting(blue)) == before


def test_create_takes_a_process_and_leaves_the_given_network_alone(host, bridge, blue):
    network = veth(host_interface_name="")
    with blue.popen(["sleep", "60"]) as process:
        made = Veth().create(network, process.pid)
        process.kill()
    assert network == veth(host_interface_name="")
    assert made.host_interface_name in names()
    assert names(blue) == {"lo", "eth0"}


def test_create_needs_a_namespace_and_refuses_the_callers_own(host, bridge):
    before = dumps()
    with pytest.raises(InvalidNetworkError, match="invalid netns None: the strategy veth needs"):
        Veth().create(veth())
    for own in ("/proc/self/ns/net", "/proc/thread-self/ns/net"):
        with pytest.raises(InvalidNetworkError, match="namespace is the caller's own"):
            Veth().create(veth(), netns=own)
    with pytest.raises(InvalidNetworkError, match="the container's namespace is the caller's own"):
        Veth().create(veth(), os.getpid())
    assert dumps() == before


def test_initialize_works_in_the_calling_threads_namespace(host, bridge, blue):
    made = Veth().create(veth(), netns=blue)
    blue.call(Veth().initialize, made)
    assert Veth().check(made, netns=blue) == []


def test_initialize_that_fails_leaves_everything_as_it_was(host, bridge, blue):
    quieten(blue)
    made = Veth().create(veth(ipv6_address="fd00::2/64"), netns=blue)
    for up in (False, True):
        with RtnetlinkSocket(blue) as sock:
            sock.execute(Batch().set_link("eth0", up=up))
        before = dumps(blue)
        made.routes = [Route("192.0.2.0/24", gateway="10.0.0.9"), Route("default", "198.51.100.1")]
        with pytest.raises(KernelError, match="Nexthop has invalid gateway"):
            Veth().initialize(made, netns=blue)
        assert dumps(blue) == before


@pytest.mark.parametrize("hairpin", [False, True])
def test_detach_and_attach_give_master_hairpin_and_up_as_before(host, bridge, blue, hairpin):
    (made,) = set_up_networks([veth(hairpin_mode=hairpin)], netns=blue)
    before = host.get_link("h0")
    Veth().detach(made)
    assert host.get_link("h0").master is None
    Veth().attach(made)
    after = host.get_link("h0")
    assert (after.master, after.hairpin, after.up) == (bridge, hairpin, True)
    assert after.alias == before.alias
    assert check_networks([made], netns=blue) == []
    _connects(blue, None, "10.0.0.2")
    Veth().attach(made)  # twice does no harm
    assert check_networks([made], netns=blue) == []


def test_detach_and_attach_of_a_point_to_point_link(host, blue):
    network = veth(
        bridge="",
        address="10.9.0.2/24",
        gateway="10.9.0.1",
        ipv6_address="fd09::2/64",
        ipv6_gateway="fd09::1",
    )
    (made,) = set_up_networks([network], netns=blue)
    Veth().detach(made)
    assert not host.get_link("h0").up
    for _ in range(2):  # twice does no harm
        Veth().attach(made)
        _connects(blue, None, "10.9.0.2")
        _connects(blue, None, "fd09::2")


def test_detach_and_attach_leave_another_owners_link_alone(host, bridge, blue):
    set_up_networks([veth(owner="c1")], netns=blue)
    before = host.get_link("h0")
    for change in (Veth().detach, Veth().attach):
        with pytest.raises(
            KernelError, match="its alias is 'pynetstrat:c1', not this network's tag"
        ):
            change(veth(owner="c2"))
    assert host.get_link("h0") == before


# ---- refused before the first message ----

BAD = [
    ("mtu", {"mtu": 67}),
    ("mtu", {"mtu": 65536}),
    ("mtu", {"mtu": 1279, "ipv6_address": "fd00::2/64"}),
    ("mtu", {"mtu": -1}),
    ("mtu", {"mtu": "1500"}),
    ("mac_address", {"mac_address": "01:00:5e:00:00:01"}),
    ("mac_address", {"mac_address": "00:00:00:00:00:00"}),
    ("mac_address", {"mac_address": "02:00:00:00:00"}),
    ("mac_address", {"mac_address": "nonsense"}),
    ("gateway", {"gateway": "fd00::1"}),
    ("gateway", {"gateway": "10.0.0.1/24"}),
    ("gateway", {"address": "", "gateway": "10.0.0.1"}),
    ("ipv6_gateway", {"ipv6_address": "fd00::2/64", "ipv6_gateway": "10.0.0.1"}),
    ("address", {"address": "10.0.0.2"}),
    ("address", {"address": "10.0.0.2/33"}),
    ("address", {"address": "fd00::2/64", "gateway": ""}),
    ("ipv6_address", {"ipv6_address": "10.0.0.2/24"}),
    ("name", {"name": "a" * 16}),
    ("name", {"name": ""}),
    ("name", {"name": "eth%d"}),
    ("name", {"name": "a/b"}),
    ("host_interface_name", {"host_interface_name": "a" * 16}),
    ("bridge", {"bridge": "a b"}),
    ("hairpin_mode", {"bridge": "", "hairpin_mode": True}),
    ("hairpin_mode", {"hairpin_mode": 1}),
    ("txqueuelen", {"txqueuelen": -1}),
    ("owner", {"owner": "x" * 256}),
    ("owner", {"owner": "a\0b"}),
    ("routes", {"routes": ["192.0.2.0/24"]}),
    ("routes", {"routes": "192.0.2.0/24"}),
    ("routes", {"routes": [Route("192.0.2.0/33")]}),
    ("routes", {"routes": [Route("192.0.2.0/24", gateway="fd00::1")]}),
    ("routes", {"routes": [Route("192.0.2.0/24", metric=-1)]}),
    ("name", {"name": None}),
]


@pytest.mark.parametrize(("field", "fields"), BAD)
def test_a_bad_value_is_refused_before_the_first_message(
    host, bridge, blue, field, fields, monkeypatch
):
    network = veth(**fields)
    before = dumps(), dumps(blue)
    monkeypatch.setattr(RtnetlinkSocket, "__init__", _no_socket)
    for work in (
        lambda: set_up_networks([LO, veth(name="eth7"), network], netns=blue),
        lambda: Veth().create(network, netns=blue),
        lambda: Veth().validate(network),
    ):
        with pytest.raises(InvalidNetworkError) as raised:
            work()
        assert raised.value.field == field
        assert raised.value.reason
    monkeypatch.undo()
    assert (dumps(), dumps(blue)) == before


def _no_socket(*arguments: object, **options: object) -> None:
    raise AssertionError("a socket was opened")


def test_the_error_of_a_bad_value_pickles_and_copies():
    with pytest.raises(InvalidNetworkError) as raised:
        Veth().validate(veth(mtu=67))
    error = raised.value
    for twin in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert str(twin) == str(error)
        expected = ("mtu", 67, "must be 0 or from 68 to 65535", "eth0")
        assert (twin.field, twin.value, twin.reason, twin.network) == expected


@pytest.mark.parametrize("mtu", [68, 65535])
def test_the_least_and_the_largest_mtu_are_allowed(host, bridge, blue, mtu):
    set_up_networks([veth(mtu=mtu)], netns=blue)
    assert host.get_link("h0").mtu == _inside(blue).mtu == mtu


# ---- names that are made up ----


def test_a_name_that_is_made_up_is_the_same_each_time_and_another_for_another_owner(host, bridge):
    made_up = {}
    with containers(2) as (blue, red):
        for owner in ("c1", "c2", "c1"):
            for name in ("eth0", "eth1"):
                network = veth(owner=owner, name=name, host_interface_name="")
                space = blue if owner == "c1" else red
                (made,) = set_up_networks([network], netns=space)
                assert made.host_interface_name in names()
                assert len(made.host_interface_name) == 15
                known = made_up.setdefault((owner, name), made.host_interface_name)
                assert known == made.host_interface_name
                tear_down_networks([network], netns=space)  # it is found without the name, too
                assert names() == {"lo", "br0"}
    assert len(set(made_up.values())) == 4


def test_without_an_owner_the_name_is_made_of_the_namespace(host, bridge):
    with containers(2) as spaces:
        found = set()
        for space in spaces:
            for _ in range(2):
                network = veth(owner="", host_interface_name="")
                (made,) = set_up_networks([network], netns=space)
                found.add(made.host_interface_name)
                tear_down_networks([network], netns=space)
        assert len(found) == 2
        with pytest.raises(InvalidNetworkError, match="create returns it"):
            Veth().destroy(veth(owner="", host_interface_name=""))


# ---- check ----


def test_check_passes_right_after_set_up(host, bridge, blue):
    network = veth(
        mac_address="02:00:00:00:00:0A",
        mtu=1400,
        txqueuelen=7,
        hairpin_mode=True,
        ipv6_address="FD00::2/64",
        ipv6_gateway="fd00::1",
        routes=[Route("192.0.2.0/24", gateway="10.0.0.9", metric=5)],
    )
    made = set_up_networks([LO, network], netns=blue)
    assert check_networks(made, netns=blue) == []


@pytest.mark.parametrize(
    ("where", "command", "expected"),
    [
        ("host", "link delete h0", ["h0 (host): missing", "eth0: missing"]),
        ("host", "link set h0 down", ["h0 (host): down"]),
        ("host", "link set h0 mtu 1300", ["h0 (host): MTU 1300, not 1400"]),
        ("host", "link set h0 nomaster", ["h0 (host): not a port of the bridge br0"]),
        ("host", "link set h0 type bridge_slave hairpin off", ["h0 (host): hairpin mode off"]),
        (
            "host",
            "link set h0 alias mine",
            ["h0 (host): alias 'mine', not 'pynetstrat:c1'"],
        ),
        ("container", "link set eth0 mtu 1300", ["eth0: MTU 1300, not 1400"]),
        ("container", "link set eth0 txqueuelen 9", ["eth0: queue length 9, not 7"]),
        (
            "container",
            "link set eth0 address 02:00:00:00:00:0b",
            ["eth0: MAC 02:00:00:00:00:0b, not 02:00:00:00:00:0a"],
        ),
        (
            "container",
            "address del fd00::2/64 dev eth0",
            ["eth0: the address fd00::2/64 is missing"],
        ),
        (
            "container",
            "route replace default via 10.0.0.77",
            [
                "eth0: the route to 0.0.0.0/0 via 10.0.0.1, metric 0, is missing; "
                "there is one via 10.0.0.77, metric 0"
            ],
        ),
        (
            "container",
            "route del 192.0.2.0/24",
            ["eth0: the route to 192.0.2.0/24 via 10.0.0.9, metric 5, is missing"],
        ),
        ("container", "link set lo down", ["lo: down"]),
    ],
)
def test_check_reports_each_difference(host, bridge, blue, where, command, expected):
    network = veth(
        mac_address="02:00:00:00:00:0a",
        mtu=1400,
        txqueuelen=7,
        hairpin_mode=True,
        ipv6_address="fd00::2/64",
        routes=[Route("192.0.2.0/24", gateway="10.0.0.9", metric=5)],
    )
    made = set_up_networks([LO, network], netns=blue)
    ip(*command.split(), netns=blue if where == "container" else None)
    assert check_networks(made, netns=blue) == expected


def test_check_reports_another_metric(host, bridge, blue):
    route = Route("192.0.2.0/24", gateway="10.0.0.9", metric=5)
    made = set_up_networks([veth(routes=[route])], netns=blue)
    ip("route", "del", "192.0.2.0/24", netns=blue)
    ip("route", "add", "192.0.2.0/24", "via", "10.0.0.9", "metric", "6", netns=blue)
    assert check_networks(made, netns=blue) == [
        "eth0: the route to 192.0.2.0/24 via 10.0.0.9, metric 5, is missing; "
        "there is one via 10.0.0.9, metric 6"
    ]


def test_check_reports_that_the_container_is_down(host, bridge, blue):
    made = set_up_networks([veth(gateway="")], netns=blue)
    ip("link", "set", "eth0", "down", netns=blue)
    assert "eth0: down" in check_networks(made, netns=blue)


def test_check_reports_an_address_that_another_host_has(host, bridge):
    """Duplicate address detection needs an address that asks for it."""
    with containers(2) as (blue, red):
        network = veth(address="", gateway="", ipv6_address="fd00::2/64")
        set_up_networks([network], netns=blue)
        twin = veth(address="", gateway="", ipv6_address="fd00::2/64", host_interface_name="h1")
        made = set_up_networks([twin], netns=red)
        index = _inside(red).index
        with RtnetlinkSocket(red) as sock:
            sock.execute(
                Batch()
                .delete_address(index, "fd00::2/64")
                .add_address(index, "fd00::2/64", nodad=False)
            )
        seen = set()
        for _ in range(1000):
            seen.update(check_networks(made, netns=red))
            if any("duplicate" in difference for difference in seen):
                break
            time.sleep(0.01)
        assert "eth0: the address fd00::2/64 is tentative" in seen
        assert "eth0: the address fd00::2/64 is another host's, too (it is a duplicate)" in seen


def test_check_needs_the_namespace(host):
    with pytest.raises(InvalidNetworkError, match="the strategy veth needs"):
        Veth().check(veth())
