"""wiring/_device_return.py: a device returns to the host namespace."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import support
from devices import (
    RECORDS,
    add_device,
    addresses_in,
    assert_unchanged,
    change,
    device,
    link_in,
    state,
    strategy,
)
from faults_for_tests import EIO, FailingRequest
from helpers_network import names

from pynetstrat import (
    Batch,
    BatchError,
    InvalidNetworkError,
    KernelError,
    NetworkNamespace,
    RtnetlinkSocket,
    set_up_networks,
    tear_down_networks,
)
from pynetstrat.wiring import host_device
from pynetstrat.wiring._session import Session
from pynetstrat.wiring._socket import SessionSocket

TRUST = {"trust_container": True}


# ---- settings after the return ----


def test_a_returned_device_is_a_port_of_the_bridge_that_the_network_names(
    configured_device, container
):
    made = strategy.create(device(name="eth0", bridge="br0", hairpin_mode=True), netns=container)
    strategy.destroy(made, netns=container)
    link = configured_device.get_link("d0")
    assert link.master == configured_device.get_link("br0").index
    assert link.up
    assert link.hairpin
    assert configured_device.dump_addresses("d0") == []


def test_a_returned_device_is_a_port_of_its_former_bridge(configured_device, container):
    before = configured_device.get_link("d0")
    made = strategy.create(device(), netns=container)
    strategy.destroy(made, netns=container)
    after = configured_device.get_link("d0")
    assert (after.master, after.hairpin, after.up) == (before.master, True, True)


@pytest.mark.slow
@pytest.mark.parametrize("up", [True, False], ids=["up", "down"])
def test_another_process_brings_a_device_back_up_or_down_as_it_was(quiet_host, container, up):
    add_device()
    if up:
        change("link", "set", "d0", "up")
    made = strategy.create(device(name="eth%d", owner=""), netns=container)
    change("link", "set", made.name, "down", netns=container)  # must not matter
    program = """if True:
        import json, sys
        from pynetstrat import Network, tear_down_networks
        network = Network.from_dict(json.loads(sys.argv[1]))
        tear_down_networks([network], netns=int(sys.argv[2]))"""
    text = json.dumps(made.to_dict())
    done = support.python(program, text, str(container.fileno()), pass_fds=[container.fileno()])
    assert done.returncode == 0, done.stderr
    assert quiet_host.get_link("d0").up is up


def test_a_device_that_was_renamed_after_its_return_is_left_alone(quiet_host, container):
    add_device()
    made = strategy.create(device(name="eth0"), netns=container)
    strategy.destroy(made, netns=container)
    change("link", "set", "d0", "down")
    change("link", "set", "d0", "name", "uplink0", "mtu", "1400", "alias", "the host's")
    before = state()
    strategy.destroy(made, netns=container)
    strategy.destroy(made)
    assert_unchanged(before)


def test_settings_that_root_of_the_container_changed_are_restored(quiet_host, container):
    add_device()
    change("link", "set", "d0", "mtu", "1400", "alias", "uplink", "group", "5")
    change("link", "set", "d0", "txqueuelen", "77", "multicast", "on")
    change("link", "property", "add", "dev", "d0", "altname", "mine")
    before = quiet_host.get_link("d0")
    with Session(None).host as sock:
        flags = sock.get_device("d0").flags
    made = strategy.create(device(name="eth0"), netns=container)
    for arguments in (
        ("mtu", "68"),
        ("address", "02:00:00:00:00:99"),
        ("promisc", "on"),
        ("allmulticast", "on"),
        ("multicast", "off"),
        ("arp", "off"),
        ("group", "9"),
        ("alias", "theirs"),
        ("txqueuelen", "3"),
    ):
        change("link", "set", "eth0", *arguments, netns=container)
    change("link", "property", "add", "dev", "eth0", "altname", "theirs", netns=container)
    change("link", "property", "del", "dev", "eth0", "altname", "mine", netns=container)
    strategy.destroy(made, netns=container)
    assert replace(quiet_host.get_link("d0"), running=before.running) == before
    with Session(None).host as sock:
        assert sock.get_device("d0").flags == flags


def test_a_returned_device_loses_its_master_and_addresses_in_the_container(quiet_host, container):
    add_device()
    made = strategy.create(device(name="eth0"), netns=container)
    change("link", "add", "br7", "type", "bridge", netns=container)
    change("link", "set", "eth0", "master", "br7", netns=container)
    change("address", "add", "192.0.2.9/24", "dev", "eth0", netns=container)
    strategy.destroy(made, netns=container)
    assert quiet_host.get_link("d0").master is None
    assert addresses_in(None, "d0") == []


def test_destroy_brings_back_the_device_and_no_link_with_its_names(quiet_host, container):
    add_device()
    mac = quiet_host.get_link("d0").mac
    made = strategy.create(device(name="eth0"), netns=container)
    change("link", "set", "eth0", "name", "renamed", netns=container)
    change("link", "add", "eth0", "type", "veth", "peer", "name", "eth1", netns=container)
    change("link", "add", "d0", "type", "ifb", netns=container)
    strategy.destroy(made, netns=container)
    assert quiet_host.get_link("d0").mac == mac
    assert names(container) == {"lo", "eth0", "eth1", "d0"}


@pytest.mark.slow
def test_destroy_leaves_a_link_with_the_name_of_a_deleted_device(quiet_host, container):
    add_device()
    made = strategy.create(device(name="eth0"), netns=container)
    change("link", "delete", "pd0")
    for kind in ("ifb", "veth"):
        change("link", "add", "eth0", "type", kind, netns=container)
        strategy.destroy(made, netns=container)
        assert "eth0" in names(container)
        assert "d0" not in names()
        change("link", "delete", "eth0", netns=container)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["veth", "macvlan", "vxlan"])
def test_destroy_leaves_a_link_with_the_index_of_a_deleted_device(quiet_host, container, kind):
    add_device()
    made = strategy.create(device(), netns=container)
    index = str(link_in(container, "d0").index)
    change("link", "delete", "d0", netns=container)
    if kind == "macvlan":
        change("link", "add", "lower", "type", "veth", netns=container)
        extra = ("link", "lower")
    else:
        extra = ()
    tail = ("id", "7", "dstport", "4789") if kind == "vxlan" else ()
    change(
        "link", "add", *extra, "name", "d0", "index", index, "type", kind, *tail, netns=container
    )
    before = names()
    try:
        strategy.destroy(made, netns=container)
    except KernelError as error:
        assert "nothing proves" in str(error)
    assert "d0" in names(container)
    assert names() == before


# ---- kinds without a proof ----


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["macvlan", "ifb", "tap"])
def test_a_device_without_proof_comes_back_only_from_a_trusted_container(
    quiet_host, container, kind
):
    add_device(kind)
    index = quiet_host.get_link("d0").index
    made = strategy.create(device(name="eth0"), netns=container)
    before = state(container)
    with pytest.raises(KernelError, match=r"nothing proves.*trust_container") as caught:
        strategy.destroy(made, netns=container)
    assert caught.value.interface == "d0"
    assert_unchanged(before, container)
    strategy.destroy(replace(made, options=TRUST), netns=container)
    assert quiet_host.get_link("d0").index == index
    assert not list(RECORDS.iterdir())


def test_a_veth_whose_peer_is_in_a_third_namespace_has_no_proof(quiet_host, container):
    add_device()
    with NetworkNamespace.create() as third:
        with RtnetlinkSocket() as sock:
            sock.execute(Batch().set_link("pd0", netns=third))
        made = strategy.create(device(name="eth0"), netns=container)
        with pytest.raises(KernelError, match="nothing proves"):
            strategy.destroy(made, netns=container)
        strategy.destroy(replace(made, options=TRUST), netns=container)
        assert "d0" in names()


def test_a_macvlan_that_root_puts_in_place_of_the_device_is_not_brought_back(quiet_host, container):
    """The IFLA_LINK of a macvlan on the device is the parent in the host namespace, too."""
    add_device("macvlan")
    made = strategy.create(device(name="mv0"), netns=container)
    index = str(link_in(container, "mv0").index)
    change("link", "add", "mv1", "link", "mv0", "type", "macvlan", netns=container)
    change("link", "delete", "mv0", netns=container)
    change("link", "add", "mv0", "index", index, "link", "mv1", "type", "macvlan", netns=container)
    with pytest.raises(KernelError, match="nothing proves"):
        strategy.destroy(made, netns=container)
    assert "mv0" in names(container)
    assert "d0" not in names()


# ---- links on top of the device ----


def test_links_that_root_put_on_top_of_the_device_are_deleted(quiet_host, container):
    add_device()
    made = strategy.create(device(name="eth0"), netns=container)
    for name in ("mv0", "mv1"):
        change("link", "add", name, "link", "eth0", "type", "macvlan", netns=container)
    change("link", "set", "eth0", "up", netns=container)
    strategy.destroy(made, netns=container)
    assert names(container) == {"lo"}
    # The kernel allows one macvlan in the mode passthru on a device that has no other.
    change("link", "add", "alone", "link", "d0", "type", "macvlan", "mode", "passthru")


def test_a_device_stays_down_while_a_link_of_a_third_namespace_is_on_top_of_it(
    quiet_host, container
):
    add_device()
    change("link", "set", "d0", "up")
    made = strategy.create(device(name="eth0"), netns=container)
    with NetworkNamespace.create() as third:
        change("link", "add", "mv0", "link", "eth0", "type", "macvlan", netns=container)
        with RtnetlinkSocket(container) as sock:
            sock.execute(Batch().set_link("mv0", netns=third))
        with pytest.raises(KernelError, match=r"on top of the device.*tear the network down"):
            strategy.destroy(made, netns=container)
        (left,) = (link for link in quiet_host.dump_links().values() if link.name.startswith("pn"))
        assert not left.up
        change("link", "delete", "mv0", netns=third)
    strategy.destroy(made, netns=container)
    assert quiet_host.get_link("d0").up
    assert not list(RECORDS.iterdir())


# ---- names ----


@pytest.mark.slow
def test_alternative_names_that_root_added_do_not_block_the_return(quiet_host, container):
    add_device()
    change("link", "add", "important", "type", "ifb")
    made = strategy.create(device(name="eth0"), netns=container)
    change("link", "property", "add", "dev", "eth0", "altname", "important", netns=container)
    for number in range(100):
        name = f"a-long-alternative-name-{number}"
        change("link", "property", "add", "dev", "eth0", "altname", name, netns=container)
    strategy.destroy(made, netns=container)
    assert quiet_host.get_link("d0").altnames == ()


@pytest.mark.slow
@pytest.mark.parametrize("altname", [False, True], ids=["name", "alternative-name"])
def test_a_device_whose_name_is_taken_in_the_host_namespace_stays_in_the_container(
    configured_device, container, altname
):
    made = strategy.create(device(name="eth0"), netns=container)
    if altname:
        change("link", "add", "e0", "type", "ifb")
        name = "a-rather-long-alternative-name"
        change("link", "property", "add", "dev", "e0", "altname", name)
    else:
        name = "d0"
        change("link", "add", "d0", "type", "ifb")
    before = state(container)
    words = rf'"{name}" is already in use .*rename the link .*"eth0" in'
    with pytest.raises(KernelError, match=words) as caught:
        strategy.destroy(made, netns=container)
    assert caught.value.interface == "d0"
    assert_unchanged(before, container)
    assert link_in(container, "eth0").up
    change("link", "delete", "e0" if altname else "d0")
    strategy.destroy(made, netns=container)
    assert configured_device.get_link("d0").kind == "veth"


def test_after_a_name_was_taken_during_destroy_the_next_destroy_completes(
    configured_device, container, monkeypatch
):
    made = strategy.create(device(name="eth0"), netns=container)
    change("link", "add", "d0", "type", "ifb")
    monkeypatch.setattr(host_device, "check_names", lambda *_: None)
    with pytest.raises(KernelError, match=r'"d0" is already in use.*tear the network down'):
        strategy.destroy(made, netns=container)
    assert "eth0" not in names(container)
    change("link", "delete", "d0")
    strategy.destroy(made, netns=container)
    link = configured_device.get_link("d0")
    assert (link.kind, link.up, link.alias) == ("veth", True, "uplink")


def test_a_device_whose_index_is_taken_in_the_host_namespace_gets_another(quiet_host, container):
    add_device()
    index = quiet_host.get_link("d0").index
    made = strategy.create(device(), netns=container)
    change("link", "add", "other", "index", str(index), "type", "ifb")
    strategy.destroy(made, netns=container)
    assert quiet_host.get_link("d0").kind == "veth"
    assert quiet_host.get_link("other").index == index


def test_a_device_whose_bridge_is_missing_stays_in_the_container(configured_device, container):
    made = strategy.create(device(bridge="br0"), netns=container)
    change("link", "delete", "br0")
    before = state(container)
    with pytest.raises(InvalidNetworkError, match="bridge"):
        strategy.destroy(made, netns=container)
    assert_unchanged(before, container)


# ---- repeated calls, other namespaces, ended namespaces ----


def test_destroy_twice_and_destroy_without_create_change_nothing(configured_device, container):
    before = state(container)
    strategy.destroy(device(name="eth0"), netns=container)
    assert_unchanged(before, container)
    made = strategy.create(device(name="eth0"), netns=container)
    strategy.destroy(made, netns=container)
    before = state(container)
    strategy.destroy(made, netns=container)
    strategy.destroy(replace(made, device=None), netns=container)
    assert_unchanged(before, container)


def test_destroy_after_the_end_of_the_namespace_changes_nothing(quiet_host, run):
    add_device()
    add_device("ifb", "e0")
    networks = [device(), device(host_interface_name="e0")]
    with NetworkNamespace.create("blue") as blue:
        quiet_host.get_nsid(blue)
        made = set_up_networks(networks, netns=blue)
    NetworkNamespace.delete("blue")
    tear_down_networks(made, netns="blue")
    assert not list(RECORDS.iterdir())
    tear_down_networks(made)
    support.wait_until(lambda: names() == {"lo"})  # a kernel worker deletes the peer


def test_destroy_without_the_namespace_reports_a_device_that_is_still_in_it(
    quiet_host, container, monkeypatch
):
    monkeypatch.setattr(host_device, "_ENDING", 0.05)
    add_device()
    made = strategy.create(device(name="eth0"), netns=container)
    with pytest.raises(KernelError, match="in another namespace"):
        strategy.destroy(made)
    assert "eth0" in names(container)


def test_destroy_reports_a_namespace_that_cannot_be_opened(quiet_host):
    with pytest.raises(KernelError):
        strategy.destroy(device(), netns=1 << 20)


def test_destroy_names_the_namespace_into_which_root_moved_the_device(quiet_host, container):
    add_device()
    made = strategy.create(device(name="eth0"), netns=container)
    with NetworkNamespace.create() as third:
        with RtnetlinkSocket(container) as sock:
            sock.execute(Batch().set_link("eth0", netns=third))
        nsid = quiet_host.get_link("pd0").link_nsid
        with pytest.raises(KernelError, match=rf"in another namespace \(nsid {nsid}\)"):
            strategy.destroy(made, netns=container)
        with RtnetlinkSocket(third) as sock:
            sock.execute(Batch().set_link("eth0", netns=container, new_index=77))
    strategy.destroy(made, netns=container)  # found at its new index
    assert "d0" in names()


# ---- errors at any request ----


@pytest.mark.slow
@pytest.mark.parametrize("is_executed", [False, True], ids=["refused", "executed"])
def test_after_any_request_of_destroy_that_fails_the_next_destroy_completes(
    configured_device, container, is_executed
):
    before = configured_device.get_link("d0")
    asked = device(name="eth0", bridge="br0", hairpin_mode=True)
    for target in support.sample(range(100), 1 + is_executed):
        made = strategy.create(asked, netns=container)
        change("link", "add", "mv0", "link", "eth0", "type", "macvlan", netns=container)
        change("link", "set", "eth0", "mtu", "1300", "promisc", "on", netns=container)
        change("link", "property", "add", "dev", "eth0", "altname", "theirs", netns=container)
        with pytest.MonkeyPatch.context() as monkeypatch:
            request = FailingRequest(monkeypatch, target, is_executed=is_executed)
            try:
                strategy.destroy(made, netns=container)
            except BatchError as error:
                assert error.errno == EIO, error
        strategy.destroy(made, netns=container)
        assert replace(configured_device.get_link("d0"), running=before.running) == before
        assert names(container) == {"lo"}
        assert not list(RECORDS.iterdir())
        if not request.has_failed:
            break
    assert target > 5


# ---- physical devices ----


@pytest.fixture
def nic(quiet_host, monkeypatch):
    """d0 as a physical device. Virtual ones have no parent device, so an ifb is shown with one."""
    add_device("ifb")
    change("link", "set", "d0", "up", "alias", "uplink")
    real_get, real_find = SessionSocket.get_device, SessionSocket.find_devices
    parent = ("pci", "0000:00:1f.6")

    def get_device(sock, link):
        found = real_get(sock, link)
        if found is not None and found.link.kind == "ifb":
            found.link.kind = ""
            found.parent_bus, found.parent_device = parent
        return found

    def find_devices(sock, wanted):
        def shown(kind, link, nsid, bus, device):
            if kind == "ifb":
                kind, (bus, device) = "", parent
            return wanted(kind, link, nsid, bus, device)

        return real_find(sock, shown)

    monkeypatch.setattr(SessionSocket, "get_device", get_device)
    monkeypatch.setattr(SessionSocket, "find_devices", find_devices)


def test_a_physical_device_is_found_by_its_parent_device_at_any_index(quiet_host, container, nic):
    before = quiet_host.get_link("d0")
    made = strategy.create(device(name="eth0"), netns=container)
    assert (made.device["parent_bus"], made.device["parent_device"]) == ("pci", "0000:00:1f.6")
    with NetworkNamespace.create() as third, RtnetlinkSocket(container) as sock:
        sock.execute(Batch().set_link("eth0", netns=third))
        with pytest.raises(KernelError, match="in another namespace"):
            strategy.destroy(made, netns=container)
        with RtnetlinkSocket(third) as other:
            move = Batch().set_link("eth0", netns=container, new_name="x", new_index=99)
            other.execute(move)
    change("link", "add", "eth0", "type", "veth", netns=container)
    strategy.destroy(made, netns=container)
    assert replace(quiet_host.get_link("d0"), running=before.running) == before
    assert "eth0" in names(container)


def test_after_the_end_of_its_namespace_a_physical_device_gets_its_name_and_settings(
    quiet_host, container, nic
):
    before = quiet_host.get_link("d0")
    made = strategy.create(device(name="eth0"), netns=container)
    # The kernel does this when a namespace ends (default_device_exit_net, net/core/dev.c).
    with RtnetlinkSocket(container) as sock, NetworkNamespace.current() as own:
        sock.execute(Batch().set_link("eth0", netns=own, new_name="dev7"))
    strategy.destroy(replace(made, device=None, name="eth0"))
    after = quiet_host.get_link("d0")
    assert replace(after, running=before.running, index=before.index) == before
    assert not list(RECORDS.iterdir())


def test_another_port_of_the_same_hardware_is_not_the_device(
    quiet_host, container, nic, monkeypatch
):
    made = strategy.create(device(name="eth0"), netns=container)
    other = {**made.device, "permanent_mac": "02:00:00:00:00:01"}
    for file in RECORDS.iterdir():
        file.unlink()
    with pytest.raises(KernelError, match="in another namespace"):
        strategy.destroy(replace(made, device=other), netns=container)
    assert "eth0" in names(container)
