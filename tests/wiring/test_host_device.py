"""wiring/host_device.py: a device moves into a container; what `check` reports."""

from __future__ import annotations

from dataclasses import replace

import pytest
import support
from devices import (
    FIRST_INDEX,
    KINDS,
    add_device,
    addresses_in,
    assert_unchanged,
    change,
    change_all,
    device,
    link_in,
    refused,
    state,
    strategy,
)
from helpers_network import names

from pynetstrat import (
    Address,
    Batch,
    BatchError,
    HostDevice,
    InterfaceNotFoundError,
    InvalidNetworkError,
    KernelError,
    NetworkNamespace,
    PermissionDeniedError,
    Route,
    RtnetlinkSocket,
    check_networks,
    get_strategy,
    set_up_networks,
    tear_down_networks,
)

# ---- into the container ----


def test_get_strategy_returns_host_device():
    assert isinstance(get_strategy("host-device"), HostDevice)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["", "eth0"])
def test_device_moves_and_keeps_or_changes_its_name(quiet_host, container, kind, name):
    add_device(kind)
    change("link", "set", "d0", "mtu", "1300", "txqueuelen", "55", "alias", "uplink")
    change("link", "property", "add", "dev", "d0", "altname", "second")
    before = quiet_host.get_link("d0")
    options = {} if kind == "veth" else {"trust_container": True}
    made = strategy.create(device(name=name, options=options), netns=container)
    assert made == device(name=name or "d0", options=options, device=made.device)
    assert "d0" not in names()
    link = link_in(container, made.name)
    for kept in ("mtu", "mac", "altnames", "alias", "txqueuelen", "kind"):
        assert getattr(link, kept) == getattr(before, kept), kept
    assert link.up
    assert strategy.check(made, netns=container) == []
    strategy.destroy(made, netns=container)
    assert replace(quiet_host.get_link("d0"), running=before.running) == before
    assert names(container) == {"lo"}


def test_mtu_mac_and_queue_length_are_set_where_given(quiet_host, container):
    add_device()
    asked = device(mtu=1280, mac_address="02:00:5E:00:00:07", txqueuelen=33)
    strategy.create(asked, netns=container)
    link = link_in(container, "d0")
    assert (link.mtu, link.mac, link.txqueuelen) == (1280, "02:00:5e:00:00:07", 33)
    assert strategy.check(asked, netns=container) == []


def test_nspid_names_the_namespace_by_a_process_in_it(quiet_host, container):
    add_device()
    with support.process_inside(container.fileno()) as process:
        strategy.create(device(), process.pid)
    assert "d0" in names(container)


@pytest.mark.parametrize("up", [True, False], ids=["up", "down"])
def test_a_device_keeps_its_permanent_global_addresses(configured_device, container, up):
    if not up:
        change("link", "set", "d0", "nomaster")
        for address in [a for a in configured_device.dump_addresses("d0") if ":" in a.address]:
            configured_device.execute(Batch().delete_address(address.ifindex, address))
        change("link", "set", "d0", "down")
        index = configured_device.get_link("d0").index
        configured_device.execute(
            Batch().add_address(index, Address(index, "2001:db8::2/64", flags=0x202))
        )
    expected = [
        replace(a, ifindex=0, label={"d0:x": "eth0:x", "d0": "eth0"}.get(a.label, a.label))
        for a in configured_device.dump_addresses("d0")
        if a.permanent and a.scope == 0
    ]
    assert len(expected) == (8 if up else 5)
    strategy.create(device(name="eth0"), netns=container)
    assert addresses_in(container, "eth0") == expected
    assert link_in(container, "eth0").up


def test_a_device_loses_its_host_scoped_and_link_scoped_addresses(configured_device, container):
    strategy.create(device(), netns=container)
    found = {address.address for address in addresses_in(container, "d0")}
    assert not found & {"10.3.0.1/32", "fe80::5/64"}


def test_a_device_loses_an_address_with_a_lifetime(quiet_host, container):
    add_device()
    change(
        "address", "add", "192.0.2.5/24", "dev", "d0", "valid_lft", "900", "preferred_lft", "900"
    )
    strategy.create(device(), netns=container)
    assert addresses_in(container, "d0") == []


def test_an_address_keeps_its_broadcast_address_or_has_none(quiet_host, container):
    add_device()
    change("address", "add", "192.0.2.5/24", "broadcast", "192.0.2.99", "dev", "d0")
    change("address", "add", "198.51.100.5/24", "dev", "d0")
    strategy.create(device(), netns=container)
    found = {a.address: a.broadcast for a in addresses_in(container, "d0")}
    assert found == {"192.0.2.5/24": "192.0.2.99", "198.51.100.5/24": ""}


def test_a_label_that_gets_too_long_is_replaced_by_the_new_name(quiet_host, container):
    add_device()
    change("address", "add", "192.0.2.5/24", "dev", "d0", "label", "d0:abcdefgh")
    strategy.create(device(name="a-long-name-15b"), netns=container)
    assert [a.label for a in addresses_in(container, "a-long-name-15b")] == ["a-long-name-15b"]


def test_the_addresses_and_routes_of_the_network_are_added(quiet_host, container):
    add_device()
    change("address", "add", "192.0.2.5/24", "dev", "d0")
    asked = device(
        name="eth0",
        address="192.0.2.5/25",  # replaces that of the device
        gateway="192.0.2.1",
        ipv6_address="2001:db8::5/64",
        ipv6_gateway="2001:db8::1",
        routes=[Route("198.51.100.0/24", gateway="192.0.2.9", metric=7)],
    )
    made = set_up_networks([asked], netns=container)
    assert check_networks(made, netns=container) == []
    found = [a.address for a in addresses_in(container, "eth0")]
    assert found == ["192.0.2.5/25", "2001:db8::5/64"]
    assert not any(a.tentative for a in addresses_in(container, "eth0"))
    with RtnetlinkSocket(container) as sock:
        found = {(r.destination, r.gateway, r.metric) for r in sock.dump_routes() if r.gateway}
    assert found == {
        ("0.0.0.0/0", "192.0.2.1", 0),
        ("::/0", "2001:db8::1", 1024),
        ("198.51.100.0/24", "192.0.2.9", 7),
    }


@pytest.mark.slow
@pytest.mark.parametrize("taken", [set(), {"eth0"}, {"eth0", "d0"}], ids=["free", "clash", "both"])
def test_the_result_has_the_name_that_the_kernel_chose_for_a_pattern(quiet_host, container, taken):
    add_device()
    for name in taken:
        change("link", "add", name, "type", "ifb", netns=container)
    made = strategy.create(device(name="eth%d"), netns=container)
    assert made.name.startswith("eth") and made.name[3:].isdigit()
    assert link_in(container, made.name).index >= FIRST_INDEX
    assert names(container) == {"lo", made.name, *taken}
    strategy.destroy(device(name="eth%d"), netns=container)  # the record is found by its file
    assert "d0" in names()


# ---- refused before anything changes ----


@pytest.mark.parametrize("taken", ["eth0", "a-rather-long-alternative-name"])
def test_a_device_whose_new_or_alternative_name_is_taken_in_the_container_is_refused(
    configured_device, container, taken
):
    change("link", "add", "other", "type", "ifb", netns=container)
    change("link", "property", "add", "dev", "other", "altname", taken, netns=container)
    words = ("d0", f'"{taken}" is already in use', str(container), "choose another")
    refused(container, device(name="eth0"), KernelError, *words, interface="d0")


def test_a_device_whose_kept_name_is_taken_in_the_container_is_refused(
    configured_device, container
):
    change("link", "add", "d0", "type", "ifb", netns=container)
    refused(container, device(), KernelError, 'name "d0" is already in use', str(container))
    strategy.create(device(name="eth0"), netns=container)  # with a new name the move works


def test_an_alternative_name_of_the_device_can_be_its_name_in_the_container(
    configured_device, container
):
    change("link", "property", "add", "dev", "d0", "altname", "eth0")
    before = configured_device.get_link("d0")
    made = strategy.create(device(name="eth0"), netns=container)
    assert link_in(container, "eth0").altnames == ("a-rather-long-alternative-name",)
    strategy.destroy(made, netns=container)
    after = configured_device.get_link("d0")
    assert sorted(after.altnames) == sorted(before.altnames)
    assert after.index == before.index


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lo", "br0", "a-rather-long-alternative-name"[:15]])
def test_lo_and_bridges_and_alternative_names_are_refused_as_devices(
    configured_device, container, name
):
    change("link", "property", "add", "dev", "d0", "altname", "a-rather-long-alternative-name"[:15])
    error = refused(container, device(host_interface_name=name), InvalidNetworkError)
    assert error.field == "host_interface_name"


def test_a_renamed_lo_is_refused(quiet_host, container):
    change("link", "set", "lo", "name", "loop")
    refused(container, device(host_interface_name="loop"), InvalidNetworkError, "loopback")


def test_a_missing_device_is_refused(configured_device, container):
    network = device(host_interface_name="nowhere")
    hint = "No such device; no such interface in the host namespace"
    refused(container, network, InterfaceNotFoundError, hint, interface="nowhere")


def test_the_host_namespace_is_refused_as_container(configured_device, container):
    before = state(container)
    with NetworkNamespace.current() as own, pytest.raises(InvalidNetworkError, match="own"):
        strategy.create(device(), netns=own)
    assert_unchanged(before, container)


@pytest.mark.parametrize("bridge", ["nowhere", "pd0"])
def test_a_bridge_that_is_missing_or_is_not_a_bridge_is_refused(
    configured_device, container, bridge
):
    refused(container, device(bridge=bridge), InvalidNetworkError, field="bridge", value=bridge)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("host_interface_name", ""),
        ("host_interface_name", "sixteen-bytes-xx"),
        ("host_interface_name", "eth%d"),
        ("name", "a/b"),
        ("name", "eth%d%d"),
        ("bridge", "a b"),
        ("hairpin_mode", True),
        ("mtu", 67),
        ("mtu", 65536),
        ("mac_address", "01:00:5e:00:00:01"),
        ("address", "192.0.2.5"),
        ("ipv6_address", "192.0.2.5/24"),
        ("gateway", "2001:db8::1"),
    ],
)
def test_an_invalid_value_is_refused_before_the_first_message(field, value):
    with pytest.raises(InvalidNetworkError) as caught:
        strategy.create(device(**{field: value}), netns="/nowhere")
    assert caught.value.field == field


def test_a_device_that_could_not_become_a_port_again_is_refused(quiet_host, container):
    """The kernel refuses a bridge port with a macvlan. Without a bridge the device comes back."""
    add_device()
    change_all("link add br0 type bridge", "link add m0 link d0 type macvlan")
    network = device(name="eth0", bridge="br0")
    refused(container, network, InvalidNetworkError, "a macvlan or ipvlan is on top", value="br0")
    made = strategy.create(device(name="eth0"), netns=container)
    strategy.destroy(made, netns=container)
    assert names() >= {"d0", "m0"}


def test_create_without_a_namespace_is_refused(quiet_host):
    with pytest.raises(InvalidNetworkError, match="the strategy host-device needs"):
        strategy.create(device())


def test_without_cap_net_admin_nothing_is_changed(configured_device, container):
    before = state(container)
    with support.without(support.CAP_NET_ADMIN), pytest.raises(BatchError) as caught:
        strategy.create(device(name="eth0"), netns=container)
    assert isinstance(caught.value.results[0], PermissionDeniedError)
    assert caught.value.interface == "d0"
    assert_unchanged(before, container)


# ---- several networks ----


@pytest.mark.slow
def test_two_devices_that_request_one_name_are_refused_before_either_moves(
    configured_device, container
):
    add_device("ifb", "e0")
    for first, second in (("eth0", "eth0"), ("e0", "")):
        networks = [device(name=first), device(host_interface_name="e0", name=second)]
        before = state(container)
        with pytest.raises(InvalidNetworkError, match="two networks"):
            set_up_networks(networks, netns=container)
        assert_unchanged(before, container)


@pytest.mark.slow
def test_when_the_second_device_fails_the_first_is_moved_back(configured_device, container):
    add_device("ifb", "e0")
    change("link", "add", "eth1", "type", "ifb", netns=container)
    networks = [device(name="eth0"), device(host_interface_name="e0", name="eth1")]
    before = state(container)
    with pytest.raises(KernelError, match='"eth1" is already in use'):
        set_up_networks(networks, netns=container)
    assert_unchanged(before, container)


def test_two_devices_swap_their_names_and_get_them_back(quiet_host, container):
    add_device("veth", "d0")
    add_device("veth", "e0")
    macs = {name: quiet_host.get_link(name).mac for name in ("d0", "e0")}
    networks = [device(name="e0"), device(host_interface_name="e0", name="d0")]
    made = set_up_networks(networks, netns=container)
    assert link_in(container, "e0").mac == macs["d0"]
    assert link_in(container, "d0").mac == macs["e0"]
    assert check_networks(made, netns=container) == []
    tear_down_networks(made, netns=container)
    assert {name: quiet_host.get_link(name).mac for name in ("d0", "e0")} == macs
    assert names(container) == {"lo"}


@pytest.mark.slow
def test_both_ends_of_one_pair_move_into_one_container_and_back(quiet_host, container):
    add_device()
    options = {"trust_container": True}  # a peer in the container proves nothing
    networks = [
        device(name="a0", options=options),
        device(host_interface_name="pd0", name="a1", options=options),
    ]
    made = set_up_networks(networks, netns=container)
    assert names(container) == {"lo", "a0", "a1"}
    tear_down_networks(made, netns=container)
    assert {"d0", "pd0"} <= names()


# ---- check ----


def test_check_passes_after_set_up_and_reports_each_difference(quiet_host, container):
    add_device()
    asked = device(
        name="eth0",
        mtu=1400,
        txqueuelen=33,
        mac_address="02:00:5e:00:00:07",
        address="192.0.2.5/24",
        gateway="192.0.2.1",
    )
    assert strategy.check(asked, netns=container) == ["d0: not in the container"]
    made = strategy.create(asked, netns=container)
    assert strategy.check(made, netns=container) == []
    for arguments, expected in (
        (("link", "set", "eth0", "mtu", "1300"), "eth0: MTU 1300, not 1400"),
        (("link", "set", "eth0", "txqueuelen", "34"), "eth0: queue length 34, not 33"),
        (("link", "set", "eth0", "name", "eth5"), "eth5: the name should be eth0"),
        (
            ("link", "set", "eth5", "address", "02:00:5e:00:00:08"),
            "eth5: MAC 02:00:5e:00:00:08, not 02:00:5e:00:00:07",
        ),
        (("address", "flush", "dev", "eth5"), "eth5: the address 192.0.2.5/24 is missing"),
        (("link", "set", "eth5", "down"), "eth5: down"),
    ):
        change(*arguments, netns=container)
        assert expected in strategy.check(made, netns=container)
