"""strategy/host_device.py: a device moved into a container, undone moves, and the way home."""

from __future__ import annotations

import difflib
import json
import subprocess
import sys
import time
from dataclasses import asdict, replace

import pytest
import support
from wired import containers, dumps, ip, names, quieten

from pynetstrat import (
    Address,
    Batch,
    BatchError,
    HostDevice,
    InterfaceNotFoundError,
    InvalidNetworkError,
    KernelError,
    Network,
    NetworkNamespace,
    PermissionDeniedError,
    Route,
    RtnetlinkSocket,
    check_networks,
    get_strategy,
    set_up_networks,
    tear_down_networks,
)
from pynetstrat._native import kernel_error
from pynetstrat._native.batch import Encoded
from pynetstrat._native.socket import Socket
from pynetstrat.strategy import host_device

KINDS = ["veth", "macvlan", "ifb", "tap"]
FIRST_INDEX = 1 << 29


# ---- hosts, devices, networks ----


def change(*arguments, netns=None):
    """Changes something with ip(8)."""
    run = netns.run if netns is not None else subprocess.run
    done = run(["ip", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, (arguments, done.stderr)


def add_device(kind="veth", name="d0"):
    """A device that can be moved, down."""
    if kind == "veth":
        change("link", "add", name, "type", "veth", "peer", "name", f"p{name}")
        change("link", "set", f"p{name}", "up")
    elif kind == "macvlan":
        change("link", "add", "parent", "type", "veth", "peer", "name", "parent2")
        change("link", "set", "parent", "up")
        change("link", "add", name, "link", "parent", "type", "macvlan", "mode", "bridge")
    elif kind == "tap":
        change("tuntap", "add", name, "mode", "tap")
    else:
        change("link", "add", name, "type", kind)


@pytest.fixture
def host(host):
    """A namespace in which no link-local addresses come by themselves."""
    quieten()
    return host


@pytest.fixture
def container(host):
    with containers(1) as (one,):
        quieten(one)
        yield one


@pytest.fixture
def full(host):
    """D with everything that a move takes away: up, a port, addresses, routes, names."""
    add_device()
    change("link", "add", "br0", "type", "bridge")
    change("link", "set", "br0", "up")
    change("link", "set", "d0", "mtu", "1400", "txqueuelen", "77", "alias", "uplink", "group", "5")
    change("link", "property", "add", "dev", "d0", "altname", "a-rather-long-alternative-name")
    change("link", "set", "d0", "master", "br0", "up")
    change("link", "set", "d0", "type", "bridge_slave", "hairpin", "on")
    index = host.get_link("d0").index
    batch = Batch()
    for address in (
        Address(index, "192.0.2.5/24", broadcast="192.0.2.255", label="d0:x", metric=50),
        Address(index, "192.0.2.6/24"),
        Address(index, "10.1.0.1/32", peer="10.1.0.2/32"),
        Address(index, "10.2.0.1/24", label="other", flags=0x200),
        Address(index, "10.3.0.1/32", scope=254),
        Address(index, "2001:db8::1/64", flags=0x02),
        Address(index, "2001:db8::2/64", flags=0x202, metric=9, protocol=42),
        Address(index, "2001:db8::3/64", flags=0x02),
        Address(index, "2001:db8:1::1/128", peer="2001:db8:1::2/128", flags=0x02),
        Address(index, "fe80::5/64", flags=0x02),
    ):
        batch.add_address(index, address)
    # As after duplicate address detection: in use, and without the flag.
    batch.add_address(index, Address(index, "2001:db8::3/64"), replace=True)
    host.execute(batch)
    change("route", "add", "198.51.100.0/24", "via", "192.0.2.1")
    change("route", "add", "203.0.113.0/24", "dev", "d0", "metric", "7", "table", "99")
    change("route", "add", "10.9.0.0/24", "dev", "br0", "src", "192.0.2.6")
    change("-6", "route", "add", "2001:db8:9::/48", "via", "2001:db8::99", "pref", "low")
    change("route", "add", "10.9.1.0/24", "via", "192.0.2.1", "mtu", "1300", "tos", "8")
    change("address", "add", "10.4.0.1/24", "dev", "br0")
    change("address", "add", "2001:db8:4::1/64", "dev", "br0", "nodad")
    for to, first, second in (
        ("10.9.2.0/24", "192.0.2.1", "10.4.0.2"),
        ("2001:db8:8::/48", "2001:db8::99", "2001:db8:4::2"),
    ):
        hops = ("nexthop", "via", first, "dev", "d0", "nexthop", "via", second, "dev", "br0")
        change("route", "add", to, *hops)
    settled()
    return host


def device(**fields):
    """A network of the strategy, of the device d0."""
    return Network(**{"type": "host-device", "host_interface_name": "d0", "owner": "c1", **fields})


def state(*namespaces):
    """All that an undone change has to leave as it was, in here and elsewhere."""
    found = []
    for namespace in (None, *namespaces):
        with RtnetlinkSocket(namespace) as sock:
            links = [asdict(link) for link in sock.dump_links().values()]
        for link in links:
            del link["running"]
            del link["bridge_id"]
        shown = dumps(namespace)
        for family in ("IPv4 routes", "IPv6 routes"):  # those of equal rank change places
            shown[family].sort(key=lambda route: json.dumps(route, sort_keys=True))
        found.append((links, shown))
    return found


def link_in(namespace, name):
    with RtnetlinkSocket(namespace) as sock:
        return sock.get_link(name)


def addresses_in(namespace, name):
    with RtnetlinkSocket(namespace) as sock:
        return [replace(address, ifindex=0) for address in sock.dump_addresses(name)]


def settled(*namespaces):
    """The state once the kernel's worker has finished the IPv6 addresses of a moment ago."""
    found = state(*namespaces)
    while True:
        time.sleep(0.1)
        last, found = found, state(*namespaces)
        if last == found:
            return found


def same(before, *namespaces):
    """Asserts that the state is as before, and shows what is not.

    It waits for the kernel's worker that finishes IPv6 addresses.
    """
    deadline = time.monotonic() + 10
    while (after := state(*namespaces)) != before and time.monotonic() < deadline:
        time.sleep(0.02)
    lines = [json.dumps(one, indent=1, sort_keys=True).splitlines() for one in (before, after)]
    assert before == after, "\n".join(difflib.unified_diff(*lines, lineterm="", n=4))


strategy = HostDevice()


# ---- there: the cases ----


def test_the_registry_has_it():
    assert isinstance(get_strategy("host-device"), HostDevice)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["", "eth0"])
def test_d_into_a_new_c_without_and_with_a_new_name(host, container, kind, name):
    add_device(kind)
    change("link", "set", "d0", "mtu", "1300", "txqueuelen", "55", "alias", "uplink")
    change("link", "property", "add", "dev", "d0", "altname", "second")
    before = host.get_link("d0")
    made = strategy.create(device(name=name), netns=container)
    assert made == device(name=name or "d0")
    assert "d0" not in names()
    link = link_in(container, made.name)
    for kept in ("mtu", "mac", "altnames", "alias", "txqueuelen", "kind"):
        assert getattr(link, kept) == getattr(before, kept), kept
    assert link.up
    assert strategy.check(made, netns=container) == []
    strategy.destroy(made, netns=container)
    assert replace(host.get_link("d0"), running=before.running) == before
    assert names(container) == {"lo"}


def test_mtu_mac_and_queue_length_are_set_where_given(host, container):
    add_device()
    asked = device(mtu=1280, mac_address="02:00:5E:00:00:07", txqueuelen=33)
    strategy.create(asked, netns=container)
    link = link_in(container, "d0")
    assert (link.mtu, link.mac, link.txqueuelen) == (1280, "02:00:5e:00:00:07", 33)
    assert strategy.check(asked, netns=container) == []


def test_nspid_names_the_namespace_by_a_process_in_it(host, container):
    add_device()
    with support.process_inside(container.fileno()) as process:
        strategy.create(device(), process.pid)
    assert "d0" in names(container)


@pytest.mark.parametrize("up", [True, False], ids=["up", "down"])
def test_permanent_global_addresses_survive_on_a_d_that_is(full, container, up):
    if not up:
        change("link", "set", "d0", "nomaster")
        for address in [a for a in full.dump_addresses("d0") if ":" in a.address]:
            full.execute(Batch().delete_address(address.ifindex, address))
        change("link", "set", "d0", "down")
        index = full.get_link("d0").index
        full.execute(Batch().add_address(index, Address(index, "2001:db8::2/64", flags=0x202)))
    expected = [
        replace(a, ifindex=0, label={"d0:x": "eth0:x", "d0": "eth0"}.get(a.label, a.label))
        for a in full.dump_addresses("d0")
        if a.permanent and a.scope == 0
    ]
    assert len(expected) == (8 if up else 5)
    strategy.create(device(name="eth0"), netns=container)
    assert addresses_in(container, "eth0") == expected
    assert link_in(container, "eth0").up


def test_a_host_scoped_and_a_link_scoped_address_do_not_survive(full, container):
    strategy.create(device(), netns=container)
    found = {address.address for address in addresses_in(container, "d0")}
    assert not found & {"10.3.0.1/32", "fe80::5/64"}


def test_an_address_with_a_lifetime_does_not_survive(host, container):
    add_device()
    change(
        "address", "add", "192.0.2.5/24", "dev", "d0", "valid_lft", "900", "preferred_lft", "900"
    )
    strategy.create(device(), netns=container)
    assert addresses_in(container, "d0") == []


def test_broadcast_given_and_not_given(host, container):
    add_device()
    change("address", "add", "192.0.2.5/24", "broadcast", "192.0.2.99", "dev", "d0")
    change("address", "add", "198.51.100.5/24", "dev", "d0")
    strategy.create(device(), netns=container)
    found = {a.address: a.broadcast for a in addresses_in(container, "d0")}
    assert found == {"192.0.2.5/24": "192.0.2.99", "198.51.100.5/24": ""}


def test_a_label_that_is_too_long_for_the_new_name_is_the_new_name(host, container):
    add_device()
    change("address", "add", "192.0.2.5/24", "dev", "d0", "label", "d0:abcdefgh")
    strategy.create(device(name="a-long-name-15b"), netns=container)
    assert [a.label for a in addresses_in(container, "a-long-name-15b")] == ["a-long-name-15b"]


def test_the_networks_addresses_and_routes_come_on_top(host, container):
    add_device()
    change("address", "add", "192.0.2.5/24", "dev", "d0")
    asked = device(
        name="eth0",
        address="192.0.2.5/25",  # in place of the one that it has
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


@pytest.mark.parametrize("taken", [set(), {"eth0"}, {"eth0", "d0"}], ids=["free", "clash", "both"])
def test_eth_d_with_and_without_a_clash_gives_the_real_name(host, container, taken):
    add_device()
    for name in taken:
        change("link", "add", name, "type", "ifb", netns=container)
    made = strategy.create(device(name="eth%d"), netns=container)
    assert made.name.startswith("eth") and made.name[3:].isdigit()
    assert link_in(container, made.name).index >= FIRST_INDEX
    assert names(container) == {"lo", made.name, *taken}
    strategy.destroy(device(name="eth%d"), netns=container)
    assert "d0" in names()


# ---- there: refused before anything changes ----


def refused(container, network, kind, *words, **fields):
    """The error of a create that has to leave everything as it was."""
    before = state(container)
    with pytest.raises(kind) as caught:
        strategy.create(network, netns=container)
    same(before, container)
    for word in words:
        assert word in str(caught.value)
    for field, value in fields.items():
        assert getattr(caught.value, field) == value
    return caught.value


@pytest.mark.parametrize("taken", ["eth0", "a-rather-long-alternative-name"])
def test_the_new_name_or_an_alternative_name_is_taken_in_c_and_d_is_as_before(
    full, container, taken
):
    change("link", "add", "other", "type", "ifb", netns=container)
    change("link", "property", "add", "dev", "other", "altname", taken, netns=container)
    words = ("d0", f'"{taken}" is taken', repr(container), "choose another")
    refused(container, device(name="eth0"), KernelError, *words, interface="d0")


def test_the_old_name_is_taken_in_c_and_no_new_one_is_given(full, container):
    change("link", "add", "d0", "type", "ifb", netns=container)
    refused(container, device(), KernelError, 'name "d0" is taken', repr(container))
    strategy.create(device(name="eth0"), netns=container)  # with a new one it does no harm


def test_the_new_name_is_an_alternative_name_of_the_device(full, container):
    change("link", "property", "add", "dev", "d0", "altname", "eth0")
    refused(container, device(name="eth0"), KernelError, '"eth0" is an alternative name')


@pytest.mark.parametrize("name", ["lo", "br0", "a-rather-long-alternative-name"[:15]])
def test_lo_a_bridge_and_an_alternative_name_are_refused(full, container, name):
    change("link", "property", "add", "dev", "d0", "altname", "a-rather-long-alternative-name"[:15])
    error = refused(container, device(host_interface_name=name), InvalidNetworkError)
    assert error.field == "host_interface_name"


def test_lo_by_another_name_is_refused(host, container):
    change("link", "set", "lo", "name", "loop")
    refused(container, device(host_interface_name="loop"), InvalidNetworkError, "loopback")


def test_a_missing_device_is_refused(full, container):
    network = device(host_interface_name="nowhere")
    refused(container, network, InterfaceNotFoundError, "nowhere", interface="nowhere")


def test_c_being_h_itself_is_refused(full, container):
    before = state(container)
    with NetworkNamespace.current() as own, pytest.raises(InvalidNetworkError, match="own"):
        strategy.create(device(), netns=own)
    same(before, container)


@pytest.mark.parametrize("bridge", ["nowhere", "pd0"])
def test_a_bridge_that_is_missing_or_is_not_a_bridge_is_refused(full, container, bridge):
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
def test_a_value_that_cannot_be_is_refused_before_the_first_message(field, value):
    with pytest.raises(InvalidNetworkError) as caught:
        strategy.create(device(**{field: value}), netns="/nowhere")
    assert caught.value.field == field


def test_no_namespace_is_refused(host):
    with pytest.raises(InvalidNetworkError, match="host-device needs the container's namespace"):
        strategy.create(device())


def test_without_cap_net_admin_nothing_is_changed(full, container):
    before = state(container)
    with support.without(support.CAP_NET_ADMIN), pytest.raises(BatchError) as caught:
        strategy.create(device(name="eth0"), netns=container)
    assert isinstance(caught.value.results[0], PermissionDeniedError)
    assert caught.value.interface == "d0"
    same(before, container)


# ---- there: undone ----


def test_a_move_that_stops_at_the_rename_is_undone(full, container, monkeypatch):
    change("link", "add", "eth0", "type", "ifb", netns=container)
    monkeypatch.setattr(host_device, "_refuse_taken", lambda *_: None)  # it was free when looked at
    error = refused(container, device(name="eth0"), KernelError, 'name "eth0" is taken')
    assert error.interface == "d0"
    assert full.get_link("d0").hairpin


@pytest.mark.parametrize(
    "fields",
    [
        {"gateway": "203.0.113.1", "address": "192.0.2.99/24"},
        {
            "mtu": 65535,
            "mac_address": "02:00:5e:00:00:07",
            "gateway": "203.0.113.1",
            "address": "10.7.0.1/24",
        },
        {"txqueuelen": 9, "routes": [Route("10.0.0.0/8", gateway="203.0.113.1")]},
        {"mtu": 1000},
    ],
    ids=["gateway", "settings", "route", "mtu-too-small-for-IPv6"],
)
def test_a_refusal_of_the_kernels_leaves_everything_as_before(full, container, fields):
    refused(container, device(name="eth0", **fields), KernelError, "eth0", "message")


def test_a_device_that_does_not_come_up_is_back(host, container):
    add_device("macvlan")
    change("link", "add", "other", "link", "parent", "type", "macvlan", "mode", "bridge")
    change("link", "set", "other", "address", host.get_link("d0").mac, "up")
    refused(container, device(), KernelError, "d0", "RTM_NEWLINK")


def test_d_as_a_port_is_up_and_forwarding_at_its_index_after_an_undone_move(full, container):
    before = full.get_link("d0")
    with pytest.raises(KernelError):
        strategy.create(device(address="10.7.0.1/24", gateway="203.0.113.1"), netns=container)
    after = full.get_link("d0")
    assert (after.index, after.master, after.up) == (before.index, before.master, True)
    (port,) = ip("-details", "link", "show", "dev", "d0")
    assert port["linkinfo"]["info_slave_data"]["state"] == "forwarding"


def test_addresses_with_a_lifetime_are_back_after_an_undone_move(host, container):
    add_device()
    change("link", "set", "d0", "up")
    lifetimes = ("valid_lft", "900", "preferred_lft", "800")
    change("address", "add", "192.0.2.5/24", "dev", "d0", *lifetimes)
    change("address", "add", "2001:db8::5/64", "dev", "d0", "nodad", *lifetimes)
    routes = host.dump_routes()
    with pytest.raises(KernelError):
        strategy.create(device(address="10.7.0.1/24", gateway="203.0.113.1"), netns=container)
    found = host.dump_addresses("d0")
    assert [a.address for a in found] == ["192.0.2.5/24", "2001:db8::5/64"]
    assert all(a.valid and 0 < a.valid <= 900 and a.preferred <= 800 for a in found)
    assert host.dump_routes() == routes


class Faults:
    """Has one request answered with an error: a message, or a look.

    Parameters:
        target: which one, from 0.
        carried_out: whether the message is carried out all the same.
    """

    LOOKS = ("get_link", "dump_links", "dump_addresses", "copy_routes", "get_nsid")

    def __init__(self, monkeypatch, target, *, carried_out=False):
        self.count = 0
        self._target = target
        self._carried_out = carried_out
        self._execute = Socket.execute
        monkeypatch.setattr(Socket, "execute", lambda sock, encoded: self.execute(sock, encoded))
        for look in self.LOOKS:
            monkeypatch.setattr(Socket, look, self._wrap(getattr(Socket, look)))

    @property
    def hit(self):
        return self.count > self._target

    @staticmethod
    def _error():
        return kernel_error(5, 0, 16)

    def _wrap(self, look):
        def looking(sock, *arguments):
            self.count += 1
            if self.count - 1 == self._target:
                raise self._error()
            return look(sock, *arguments)

        return looking

    def execute(self, sock, encoded):
        messages = list(encoded.messages)
        at = self._target - self.count
        self.count += len(messages)
        if not 0 <= at < len(messages):
            return self._execute(sock, encoded)
        if self._carried_out:
            outcomes = self._execute(sock, encoded)
        else:
            rest = Encoded(messages[:at] + messages[at + 1 :])
            outcomes = self._execute(sock, rest) if rest.messages else []
            outcomes.insert(at, None)
        outcomes[at] = self._error()
        return outcomes


@pytest.mark.parametrize("carried_out", [False, True], ids=["refused", "carried-out"])
def test_every_request_of_create_answered_with_an_error_leaves_everything_as_before(
    full, container, carried_out
):
    asked = device(
        name="eth0",
        bridge="br0",
        address="10.7.0.1/24",
        gateway="10.7.0.2",
        mtu=1380,
        mac_address="02:00:5e:00:00:07",
        txqueuelen=9,
        routes=[Route("10.8.0.0/16", gateway="10.7.0.9")],
    )
    before = state(container)
    for target in range(100):
        with pytest.MonkeyPatch.context() as monkeypatch:
            faults = Faults(monkeypatch, target, carried_out=carried_out)
            try:
                strategy.create(asked, netns=container)
            except KernelError as error:
                assert error.errno == 5, error
                assert "undone" not in str(error)
            else:
                assert not faults.hit
                break
        same(before, container)
    assert target > 15  # so many were tried


@pytest.mark.parametrize("carried_out", [False, True], ids=["refused", "carried-out"])
def test_every_request_of_destroy_answered_with_an_error_leaves_everything_as_before(
    full, container, carried_out
):
    asked = device(
        name="eth0", bridge="br0", hairpin_mode=True, address="10.7.0.1/24", gateway="10.7.0.2"
    )
    made = strategy.create(asked, netns=container)
    before = settled(container)
    for target in range(100):
        with pytest.MonkeyPatch.context() as monkeypatch:
            faults = Faults(monkeypatch, target, carried_out=carried_out)
            try:
                strategy.destroy(made, netns=container)
            except KernelError as error:
                assert error.errno == 5, error
                assert "undone" not in str(error)
            else:
                assert not faults.hit
                break
        same(before, container)
    assert target > 5
    assert full.get_link("d0").hairpin
    assert addresses_in(None, "d0") == []


def test_an_interrupt_at_any_line_of_create_leaves_everything_as_before(full, container):
    class Interrupt(BaseException):
        pass

    asked = device(name="eth0", address="10.7.0.1/24", gateway="10.7.0.2")
    before = state(container)

    def run(target):
        """Sets the network up, interrupted before that line of the strategy's is executed."""
        count = 0

        def trace(frame, event, argument):
            nonlocal count
            if frame.f_code.co_filename != host_device.__file__:
                return None
            if event == "line":
                count += 1
                if count == target:
                    sys.settrace(None)
                    raise Interrupt
            return trace

        before = sys.gettrace()  # a debugger's, or coverage's
        sys.settrace(trace)
        try:
            set_up_networks([asked], netns=container)
        finally:
            sys.settrace(before)

    for target in range(1, 1000, 3):
        try:
            run(target)
        except Interrupt as interrupt:
            assert not getattr(interrupt, "__notes__", [])
        else:
            break
        same(before, container)
    assert target > 100


def test_what_could_not_be_undone_is_in_the_error_with_what_is_left(full, container, monkeypatch):
    real = Socket.execute

    def refuse(sock, encoded):
        if encoded.messages[0].name == str(full.get_link("pd0").index):
            return real(sock, encoded)
        if sock.namespace:  # everything in the container, the way back included
            return [kernel_error(5, 0, 16) for _ in encoded.messages]
        return real(sock, encoded)

    monkeypatch.setattr(Socket, "execute", refuse)
    with pytest.raises(KernelError) as caught:
        strategy.create(device(name="eth0"), netns=container)
    assert "could not be undone" in str(caught.value)
    assert 'it is left as "eth0"' in str(caught.value)
    monkeypatch.undo()
    assert "eth0" in names(container)
    strategy.destroy(device(), netns=container)
    assert "d0" in names()


def test_a_kernel_that_does_not_take_the_index_is_named_and_d_is_back(full, container, monkeypatch):
    real = Batch.set_link

    def without_index(batch, link, *, new_index=None, **settings):
        given = new_index if new_index is not None and new_index < FIRST_INDEX else None
        return real(batch, link, new_index=given, **settings)

    monkeypatch.setattr(Batch, "set_link", without_index)
    refused(container, device(name="eth0"), KernelError, "needs Linux 5.12")


# ---- several networks ----


def test_two_devices_and_one_target_name_are_refused_before_anything_moves(full, container):
    add_device("ifb", "e0")
    for first, second in (("eth0", "eth0"), ("e0", "")):
        networks = [device(name=first), device(host_interface_name="e0", name=second)]
        before = settled(container)
        with pytest.raises(InvalidNetworkError, match="two networks"):
            set_up_networks(networks, netns=container)
        same(before, container)


def test_device_2_of_2_fails_and_device_1_is_back(full, container):
    add_device("ifb", "e0")
    change("link", "add", "eth1", "type", "ifb", netns=container)
    networks = [device(name="eth0"), device(host_interface_name="e0", name="eth1")]
    before = settled(container)
    with pytest.raises(KernelError, match='"eth1" is taken'):
        set_up_networks(networks, netns=container)
    same(before, container)


def test_names_are_swapped_between_two_devices_there_and_back(host, container):
    add_device("ifb", "d0")
    add_device("ifb", "e0")
    macs = {name: host.get_link(name).mac for name in ("d0", "e0")}
    networks = [device(name="e0"), device(host_interface_name="e0", name="d0")]
    made = set_up_networks(networks, netns=container)
    assert link_in(container, "e0").mac == macs["d0"]
    assert link_in(container, "d0").mac == macs["e0"]
    assert check_networks(made, netns=container) == []
    tear_down_networks(made, netns=container)
    assert {name: host.get_link(name).mac for name in ("d0", "e0")} == macs
    assert names(container) == {"lo"}


def test_both_ends_of_one_pair_go_into_one_container_and_come_home(host, container):
    add_device()
    networks = [device(name="a0"), device(host_interface_name="pd0", name="a1")]
    made = set_up_networks(networks, netns=container)
    assert names(container) == {"lo", "a0", "a1"}
    tear_down_networks(made, netns=container)
    assert {"d0", "pd0"} <= names()


# ---- home ----


def test_destroy_makes_d_a_port_of_the_bridge_that_the_network_names(full, container):
    made = strategy.create(device(name="eth0", bridge="br0", hairpin_mode=True), netns=container)
    strategy.destroy(made, netns=container)
    link = full.get_link("d0")
    assert link.master == full.get_link("br0").index
    assert link.up
    assert link.hairpin
    assert full.dump_addresses("d0") == []


@pytest.mark.parametrize("up", [True, False], ids=["up", "down"])
def test_destroy_in_another_process_brings_d_home_up_as_it_was(host, container, up):
    add_device()
    if up:
        change("link", "set", "d0", "up")
    made = strategy.create(device(name="eth%d", owner=""), netns=container)
    change("link", "set", made.name, "down", netns=container)  # what happens there does not count
    program = """if True:
        import json, sys
        from pynetstrat import Network, tear_down_networks
        network = Network(**json.loads(sys.argv[1]))
        tear_down_networks([network], netns=int(sys.argv[2]))"""
    done = support.python(
        program, json.dumps(asdict(made)), str(container.fileno()), pass_fds=[container.fileno()]
    )
    assert done.returncode == 0, done.stderr
    assert host.get_link("d0").up is up


def test_destroy_brings_back_d_and_nothing_else(host, container):
    add_device()
    mac = host.get_link("d0").mac
    made = strategy.create(device(name="eth0"), netns=container)
    change("link", "set", "eth0", "name", "renamed", netns=container)
    change("link", "add", "eth0", "type", "veth", "peer", "name", "eth1", netns=container)
    change("link", "add", "d0", "type", "ifb", netns=container)
    strategy.destroy(made, netns=container)
    assert host.get_link("d0").mac == mac
    assert names(container) == {"lo", "eth0", "eth1", "d0"}


def test_destroy_leaves_a_link_of_that_name_where_d_is_gone(host, container):
    add_device()
    made = strategy.create(device(name="eth0"), netns=container)
    change("link", "delete", "pd0")
    for kind in ("ifb", "veth"):
        change("link", "add", "eth0", "type", kind, netns=container)
        strategy.destroy(made, netns=container)
        assert "eth0" in names(container)
        assert "d0" not in names()
        change("link", "delete", "eth0", netns=container)


def test_destroy_refuses_a_veth_that_was_made_in_the_container_with_ds_index(host, container):
    add_device()
    made = strategy.create(device(), netns=container)
    index = link_in(container, "d0").index
    change("link", "delete", "pd0")
    change("link", "add", "d0", "index", str(index), "type", "veth", netns=container)
    with pytest.raises(KernelError, match="may have been made there"):
        strategy.destroy(made, netns=container)
    assert "d0" in names(container)


def test_destroy_refuses_to_choose_between_two_that_could_be_d(host, container):
    add_device("ifb")
    made = strategy.create(device(), netns=container)
    index = link_in(container, "d0").index ^ 1
    change("link", "add", "e0", "index", str(index), "type", "ifb", netns=container)
    with pytest.raises(KernelError, match=r'"d0".*"e0"|"e0".*"d0"'):
        strategy.destroy(made, netns=container)


def test_an_index_that_is_taken_in_c_does_no_harm(host, container):
    add_device("ifb")
    strategy.create(device(), netns=container)
    index = link_in(container, "d0").index
    strategy.destroy(device(), netns=container)
    change("link", "add", "other", "index", str(index), "type", "bridge", netns=container)
    strategy.create(device(), netns=container)
    assert link_in(container, "d0").index not in (index, index ^ 1)
    strategy.destroy(device(), netns=container)
    assert "d0" in names()
    assert names(container) == {"lo", "other"}


def test_each_index_taken_is_an_error(host, container, monkeypatch):
    add_device("ifb")
    monkeypatch.setattr(host_device, "_ATTEMPTS", 0)
    refused(container, device(), KernelError, "index", repr(container))


def test_a_clash_at_home_leaves_d_in_c_and_up_and_destroy_works_after_it(full, container):
    made = strategy.create(device(name="eth0"), netns=container)
    change("link", "add", "d0", "type", "ifb")
    before = settled(container)
    with pytest.raises(KernelError, match=r'"d0" is taken .*rename that link.*"eth0" in') as caught:
        strategy.destroy(made, netns=container)
    assert caught.value.interface == "d0"
    same(before, container)
    assert link_in(container, "eth0").up
    change("link", "delete", "d0")
    strategy.destroy(made, netns=container)
    assert full.get_link("d0").kind == "veth"


def test_a_clash_that_comes_while_destroy_is_at_work_leaves_d_in_c(full, container, monkeypatch):
    made = strategy.create(
        device(name="eth0", address="10.7.0.1/24", gateway="10.7.0.2"), netns=container
    )
    change("link", "add", "d0", "type", "ifb")
    before = settled(container)
    monkeypatch.setattr(host_device, "_refuse_taken", lambda *_: None)
    with pytest.raises(KernelError, match='name "d0" is taken'):
        strategy.destroy(made, netns=container)
    same(before, container)


def test_an_index_that_is_taken_at_home_meanwhile_is_left_for_another(host, container, monkeypatch):
    add_device("ifb")
    made = strategy.create(device(), netns=container)
    free = iter([1, host.get_link("lo").index])
    real = host_device._lowest_free
    monkeypatch.setattr(host_device, "_lowest_free", lambda links: next(free, real(links)))
    strategy.destroy(made, netns=container)
    assert host.get_link("d0").index > 1


def test_a_bridge_that_is_gone_leaves_d_in_c(full, container):
    made = strategy.create(device(bridge="br0"), netns=container)
    change("link", "delete", "br0")
    before = settled(container)
    with pytest.raises(InvalidNetworkError, match="bridge"):
        strategy.destroy(made, netns=container)
    same(before, container)


def test_destroy_twice_and_destroy_without_create_do_no_harm(full, container):
    before = settled(container)
    strategy.destroy(device(name="eth0"), netns=container)
    same(before, container)
    made = strategy.create(device(name="eth0"), netns=container)
    strategy.destroy(made, netns=container)
    before = settled(container)
    strategy.destroy(made, netns=container)
    same(before, container)


def test_destroy_after_the_namespace_has_ended_does_no_harm(host, container):
    add_device()
    strategy.destroy(device())
    strategy.destroy(device(), netns="/run/netns/there-is-no-such-one")


def test_a_namespace_that_cannot_be_opened_is_an_error_of_tear_down(host):
    with pytest.raises(KernelError):
        strategy.destroy(device(), netns=1 << 20)


def test_destroy_of_another_owner_leaves_d(host, container):
    add_device()
    made = strategy.create(device(), netns=container)
    strategy.destroy(replace(made, owner="c2"), netns=container)
    assert "d0" in names(container)


# ---- check ----


def test_check_passes_after_set_up_and_reports_each_difference(host, container):
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
