"""Arguments of `Batch` that no message can carry."""

from __future__ import annotations

import pytest

from pynetstrat import (
    Address,
    Batch,
    InvalidInterfaceNameError,
    InvalidNetworkError,
    Route,
)
from pynetstrat._native.values import Recent


@pytest.mark.parametrize(
    ("method", "arguments", "options"),
    [
        ("add_veth", ("a" * 16, "b"), {}),
        ("add_veth", ("a", "b/c"), {}),
        ("add_bridge", ("",), {}),
        ("add_bridge", ("all",), {}),
        ("set_link", (1,), {"new_name": "default"}),
        ("add_link", ("a b", "ifb"), {}),
        ("set_link", ("x" * 128,), {"up": True}),
        ("set_link", (1,), {"new_name": "a:b"}),
        ("delete_link", ("a\0b",), {}),
    ],
)
def test_a_name_that_no_link_can_have_is_refused_at_once(method, arguments, options):
    with pytest.raises(InvalidInterfaceNameError):
        getattr(Batch(), method)(*arguments, **options)


@pytest.mark.parametrize("name", ["e%", "e%s", "%%", "e%d%d", b"e%"])
@pytest.mark.parametrize(
    "add",
    [
        lambda name: Batch().add_veth(name, "b"),
        lambda name: Batch().add_veth("a", name),
        lambda name: Batch().add_bridge(name),
        lambda name: Batch().add_link(name, "ifb"),
        lambda name: Batch().add_macvlan(name, "a"),
        lambda name: Batch().add_ipvlan(name, "a"),
        lambda name: Batch().add_vlan(name, "a", 7),
        lambda name: Batch().add_vxlan(name, 7),
        lambda name: Batch().set_link("a", new_name=name),
        lambda name: Batch().set_link("a", netns="blue", new_name=name),
    ],
)
def test_a_percent_sign_in_a_new_name_must_be_that_of_one_d(name, add):
    """It makes a name a pattern (dev_alloc_name, net/core/dev.c)."""
    with pytest.raises(InvalidInterfaceNameError, match="must not contain % except in one %d"):
        add(name)


def test_an_alternative_name_may_contain_percent_signs(host):
    host.execute(Batch().add_link("a", "ifb"))
    host.execute(Batch().add_altname("a", "e%s"))
    assert host.dump_links()["a"].altnames == ("e%s",)
    host.execute(Batch().delete_altname("e%s", "e%s"))


@pytest.mark.parametrize(
    ("field", "method", "arguments", "options"),
    [
        ("mtu", "add_veth", ("a", "b"), {"mtu": -1}),
        ("mtu", "set_link", ("a",), {"mtu": 1 << 32}),
        ("txqueuelen", "set_link", ("a",), {"txqueuelen": "many"}),
        ("mac", "add_bridge", ("a",), {"mac": "02:00:00:00:00"[:3]}),
        ("alias", "set_link", ("a",), {"alias": "x" * 256}),
        ("link", "delete_link", (0,), {}),
        ("link", "add_macvlan", ("a", 0), {}),
        ("index", "add_address", (0, "192.0.2.1/24"), {}),
        ("address", "add_address", (1, "192.0.2.1"), {}),
        ("address", "add_address", (1, "192.0.2.1/33"), {}),
        ("broadcast", "add_address", (1, "192.0.2.1/24"), {"broadcast": "x"}),
        ("label", "add_address", (1, "192.0.2.1/24"), {"label": "x" * 16}),
        ("destination", "add_route", (Route("192.0.2.0/24/1"),), {}),
        ("gateway", "add_route", (Route("192.0.2.0/24", gateway="2001:db8::1"),), {}),
        ("source", "add_route", (Route("192.0.2.0/24", source="2001:db8::1"),), {}),
        ("metric", "add_route", (Route("192.0.2.0/24", metric=-1),), {}),
        ("table", "add_route", (Route("192.0.2.0/24", table=1 << 32),), {}),
        ("kind", "add_link", ("a", ""), {}),
        ("kind", "add_link", ("a", "\ud800"), {}),
        ("kind", "add_link", ("a", 1), {}),
        ("mode", "add_macvlan", ("a", "b"), {"mode": []}),
        ("mac", "add_bridge", ("a",), {"mac": "01:00:00:00:00:01"}),
        ("mtu", "add_bridge", ("a",), {"mtu": 65536}),
        ("peer_mac", "add_veth", ("a", "b"), {"peer_mac": "00:00:00:00:00:00"}),
        ("peer_mac", "add_veth", ("a", "b"), {"peer_mac": "02:00:00:00:00:00:01"}),
        ("mtu", "add_veth", ("a", "b"), {"mtu": 67}),
        ("peer_index", "add_veth", ("a", "b"), {"index": 7, "peer_index": True}),
        ("queues", "add_veth", ("a", "b"), {"queues": 0}),
        ("queues", "add_veth", ("a", "b"), {"queues": 4097}),
        ("new_index", "set_link", (1,), {"new_index": 7}),
        ("new_index", "set_link", (1,), {"new_index": -1, "netns": "blue"}),
        ("alias", "set_link", ("a",), {"alias": "\ud800"}),
        ("alias", "set_link", ("a",), {"alias": "a\0b"}),
        ("alias", "set_link", ("a",), {"alias": 1}),
        ("master", "set_link", ("a",), {"master": -1}),
        ("group", "set_group", (1, -1), {}),
        ("group", "delete_group", (0,), {}),  # every link of the namespace
        ("group", "delete_group", (True,), {}),
        ("address", "add_address", (1, "0.0.0.0/24"), {}),
        ("address", "add_address", (1, "::/64"), {}),
        ("broadcast", "add_address", (1, "192.0.2.1/24"), {"broadcast": "2001:db8::1"}),
        ("broadcast", "add_address", (1, "2001:db8::1/64"), {"broadcast": "2001:db8::2"}),
        ("broadcast", "add_address", (1, "2001:db8::1/64"), {"broadcast": "192.0.2.255"}),
        ("broadcast", "add_address", (1, "2001:db8::1/64"), {"broadcast": "+"}),
        ("broadcast", "add_address", (1, "192.0.2.1/24"), {"broadcast": 0}),
        ("label", "add_address", (1, "2001:db8::1/64"), {"label": "a:1"}),
        ("peer", "add_address", (1, Address(1, "192.0.2.1/24", peer="2001:db8::1/64")), {}),
        ("valid", "add_address", (1, Address(1, "192.0.2.1/24", valid=0)), {}),
        ("nodad", "add_address", (1, "192.0.2.1/24"), {"nodad": "no"}),
        ("noprefixroute", "add_address", (1, "192.0.2.1/24"), {"noprefixroute": 1}),
        ("replace", "add_address", (1, "192.0.2.1/24"), {"replace": None}),
        ("index", "add_address", (None, "192.0.2.1/24"), {}),
        ("index", "delete_address", (True, "192.0.2.1/24"), {}),
        ("destination", "add_route", (Route("192.0.2.1/24"),), {}),
        ("gateway", "add_route", (Route("192.0.2.0/24", gateway="0.0.0.0"),), {}),
        ("gateway", "add_route", (Route("192.0.2.0/24", gateway=0),), {}),
        ("table", "delete_route", (Route("192.0.2.0/24", table=0),), {}),
        ("ifindex", "add_route", (Route("192.0.2.0/24", ifindex=-1),), {}),
        ("metric", "add_route", (Route("192.0.2.0/24", metric=True),), {}),
        ("scope", "add_route", (Route("192.0.2.0/24", scope=256),), {}),
        ("onlink", "add_route", (Route("192.0.2.0/24", onlink="no"),), {}),
        ("route", "add_route", ("default",), {}),
        ("route", "delete_route", (None,), {}),
    ],
)
def test_a_value_that_no_message_can_carry_is_refused_at_once(field, method, arguments, options):
    batch = Batch()
    with pytest.raises(InvalidNetworkError) as raised:
        getattr(batch, method)(*arguments, **options)
    assert raised.value.field == field
    assert len(batch) == 0


NOT_AN_INTEGER = [True, 1.5, "1", b"1", [], -1, 1 << 70]
NOT_A_BOOL = [0, 1, "no", b"", []]
NOT_TEXT = [0, True, 1.5, b"x", [], "\ud800", "a\0b"]

ARGUMENTS = {
    **dict.fromkeys(
        ("mtu", "txqueuelen", "master", "new_index", "index", "queues", "id", "port", "ttl"),
        NOT_AN_INTEGER,
    ),
    **dict.fromkeys(("up", "hairpin", "isolated", "learning"), NOT_A_BOOL),
    **dict.fromkeys(("mac", "peer_mac", "alias", "mode", "flag", "protocol"), NOT_TEXT),
    **dict.fromkeys(("remote", "local"), NOT_TEXT),
}
METHODS = [
    ("add_veth", ("a", "b"), "mtu txqueuelen mac peer_mac master up index queues"),
    ("add_bridge", ("a",), "mac mtu up"),
    ("add_macvlan", ("a", "b"), "mode mac mtu up index"),
    ("add_vlan", ("a", "b", 1), "protocol mac mtu up"),
    ("add_ipvlan", ("a", "b"), "mode flag mtu up"),
    ("add_vxlan", ("a", 1), "remote local port learning ttl mac mtu up"),
    ("add_link", ("a", "ifb"), "mac mtu up"),
    ("set_link", ("a",), "up mtu txqueuelen mac master hairpin isolated learning alias"),
]


@pytest.mark.parametrize(
    ("method", "arguments", "field", "value"),
    [
        (method, arguments, field, value)
        for method, arguments, names in METHODS
        for field in names.split()
        for value in ARGUMENTS[field]
    ],
)
def test_an_argument_of_the_wrong_type_is_refused_and_named(method, arguments, field, value):
    batch = Batch()
    with pytest.raises(InvalidNetworkError) as raised:
        getattr(batch, method)(*arguments, **{field: value})
    assert (raised.value.field, len(batch)) == (field, 0)
    assert raised.value.reason.startswith("must ")


@pytest.mark.parametrize("work", ["add_address", "delete_address"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((field, value) for field in ("scope", "protocol") for value in (*NOT_AN_INTEGER, 256)),
        *((field, value) for field in ("metric", "flags") for value in (*NOT_AN_INTEGER, 1 << 32)),
        *(("valid", value) for value in (*NOT_AN_INTEGER, 1 << 32)),
        *(("preferred", value) for value in (*NOT_AN_INTEGER, 1 << 32)),
        *((field, value) for field in ("address", "peer", "broadcast") for value in NOT_TEXT),
        *(("label", value) for value in (*NOT_TEXT, "x" * 16)),
    ],
)
def test_a_bad_field_of_an_address_is_refused_and_named(work, field, value):
    address = Address(1, "192.0.2.1/24")
    setattr(address, field, value)
    with pytest.raises(InvalidNetworkError) as raised:
        getattr(Batch(), work)(1, address)
    assert raised.value.field == field
    assert raised.value.reason.startswith("must ")


def test_results_that_are_kept_for_later_take_bounded_memory():
    recent = Recent()
    for number in range(1000):
        recent.keep(number, -number)
        assert recent.get(number) == -number
        assert len(recent) <= 64
