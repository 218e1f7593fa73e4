"""network.py, _validation.py: the fields of a network, their checks, and the JSON form."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle

import helpers_network
import pytest

from pynetstrat import (
    Batch,
    InvalidNetworkError,
    Network,
    NetworkNamespace,
    Route,
    RtnetlinkSocket,
    check_networks,
    get_strategy,
    set_up_networks,
)


def test_network_has_the_fields_of_runc_in_snake_case():
    fields = {field.name: field.default for field in dataclasses.fields(Network)[:12]}
    texts = ("type", "name", "bridge", "mac_address", "address", "gateway", "ipv6_address")
    texts += ("ipv6_gateway", "host_interface_name")
    assert fields == {
        **dict.fromkeys(texts, ""),
        **dict.fromkeys(("mtu", "txqueuelen"), 0),
        "hairpin_mode": False,
    }


def test_a_network_copies_pickles_and_compares():
    network = Network("loopback", mtu=1500)
    assert pickle.loads(pickle.dumps(network)) == copy.deepcopy(network) == network
    assert network != Network()


NETWORK = Network(
    "host-device",
    name="eth0",
    mtu=1400,
    hairpin_mode=True,
    routes=(Route("10.0.0.0/8", gateway="192.0.2.1"), Route("default")),
    options={"trust_container": True},
    device={"version": 1, "altnames": ["a"]},
    addresses=("192.0.2.3/24", "2001:db8::3/64"),
    sysctls={"net.ipv6.conf.IFNAME.accept_ra": "0"},
    isolated=True,
    rate_in=1_000_000,
    rate_out=1 << 40,
    publish=("8080:80/tcp",),
)


def test_the_json_form_of_a_network_makes_an_equal_network():
    text = json.dumps(NETWORK.to_dict())
    assert Network.from_dict(json.loads(text)) == NETWORK
    assert Network.from_dict({}) == Network()


def test_a_network_with_lists_equals_the_one_made_of_its_json_form():
    lists = {"addresses": ["192.0.2.3/24"], "publish": ["8080:80/tcp"]}
    network = Network("veth", "eth0", routes=[Route("default")], **lists)
    assert Network.from_dict(json.loads(json.dumps(network.to_dict()))) == network
    assert network != dataclasses.replace(network, publish=["8081:80/tcp"])
    assert network != "veth"


def test_the_json_form_has_only_the_fields_that_differ_from_the_default():
    assert Network("loopback").to_dict() == {"type": "loopback"}
    assert Network().to_dict() == {}
    assert NETWORK.to_dict()["routes"] == [
        {"destination": "10.0.0.0/8", "gateway": "192.0.2.1"},
        {"destination": "default"},
    ]


def test_an_unknown_key_is_an_error_that_lists_the_known_ones():
    with pytest.raises(InvalidNetworkError, match=r"host_interface_name.*device") as caught:
        Network.from_dict({"name": "eth0", "adress": "192.0.2.1/24"})
    assert (caught.value.field, caught.value.network) == ("adress", "eth0")
    with pytest.raises(InvalidNetworkError, match=r"destination.*onlink") as caught:
        Network.from_dict({"routes": [{"destination": "default", "via": "192.0.2.1"}]})
    assert caught.value.field == "routes"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("options", []), ("options", {1: 2}), ("device", "d0"), ("routes", "default")),
        *(("mtu", "1"), ("addresses", "192.0.2.3/24"), ("addresses", [1]), ("addresses", None)),
        *(("publish", "80:80/tcp"), ("publish", [None]), ("publish", ["a\0"])),
        *(
            ("sysctls", []),
            ("sysctls", {"net.ipv6.conf.IFNAME.accept_ra": 0}),
            ("sysctls", {1: "0"}),
        ),
        *(("rate_in", (1 << 40) + 1), ("rate_out", -1), ("isolated", 1)),
    ],
)
def test_a_field_of_the_wrong_type_is_refused(field, value):
    with pytest.raises(InvalidNetworkError) as caught:
        Network.from_dict({field: value})
    assert caught.value.field == field


@pytest.mark.parametrize("type", ["loopback", "veth", "host-device", "macvlan"])
def test_a_built_in_strategy_refuses_unknown_options(type):
    network = Network(type, name="eth0", host_interface_name="d0", options={"colour": "red"})
    with pytest.raises(InvalidNetworkError, match='unknown option "colour"') as caught:
        get_strategy(type).validate(network)
    assert caught.value.field == "options"


# What a strategy must not ignore: a limit, an isolation or a port that was requested.
REFUSABLE = {
    "addresses": ("192.0.2.3/24",),
    "sysctls": {"net.ipv6.conf.IFNAME.accept_ra": "0"},
    "isolated": True,
    "rate_in": 1_000_000,
    "rate_out": 1_000_000,
    "publish": ("8080:80/tcp",),
}
IMPLEMENTED: dict[str, set[str]] = {
    "loopback": set(),
    "macvlan": {"addresses", "sysctls"},
    "veth": set(REFUSABLE),
    "host-device": {"addresses", "sysctls"},
}


@pytest.mark.parametrize(
    ("type", "field"),
    [
        (type, field)
        for type in IMPLEMENTED
        for field in sorted(REFUSABLE.keys() - IMPLEMENTED[type])
    ],
)
def test_a_built_in_strategy_refuses_a_field_that_it_does_not_support(type, field):
    network = Network(type, name="eth0", host_interface_name="d0", bridge="br0")
    setattr(network, field, REFUSABLE[field])
    with pytest.raises(InvalidNetworkError, match="does not support it") as caught:
        get_strategy(type).validate(network)
    assert (caught.value.field, caught.value.network) == (field, "eth0")


# ---- bad values ----

NOT_TEXT = [None, 0, 1.5, True, b"x", [], {}]
NOT_AN_INTEGER = [None, True, 1.5, "1", b"1", [], -1, 1 << 70]
NOT_A_BOOL = [None, 0, 1, "true", "false", [], ""]
BAD_TEXT = ["\ud800", "a\0b"]

FIELDS = {field.name: field.type for field in dataclasses.fields(Network)}
WRONG_TYPES = {
    "str": NOT_TEXT + BAD_TEXT,
    "int": [*NOT_AN_INTEGER, (1 << 40) + 1],
    "bool": NOT_A_BOOL,
}

_INTEGERS = "metric", "table", "ifindex", "mtu", "advmss"  # fields of a route
# For each field of a route: values of a wrong type, then invalid values of the right type.
ROUTE_FIELDS = {
    "destination": [*NOT_TEXT, *BAD_TEXT, "", "x", "10.0.0.1/24", "fd00::1/64", "10.0.0.0/33"],
    "gateway": [
        *NOT_TEXT,
        *BAD_TEXT,
        *("x", "10.0.0.1/32", "0.0.0.0", "255.255.255.255", "224.0.0.1", "127.0.0.1", "fd00::1"),
    ],
    "source": [*NOT_TEXT, *BAD_TEXT, "x", "10.0.0.2/32", "0.0.0.0", "fd00::1"],
    "metric": [*NOT_AN_INTEGER, 1 << 32],
    "table": [*NOT_AN_INTEGER, 0, 1 << 32],
    "ifindex": [*NOT_AN_INTEGER, 1 << 31],
    "scope": [value for value in NOT_AN_INTEGER if value is not None] + [256],
    "onlink": NOT_A_BOOL,
    "mtu": [*NOT_AN_INTEGER, 65521],
    "advmss": [*NOT_AN_INTEGER, 65496],
}

PLAIN: dict[str, object] = {
    "name": "eth0",
    "address": "10.0.0.2/24",
    "gateway": "10.0.0.1",
    "ipv6_address": "fd00::2/64",
    "ipv6_gateway": "fd00::1",
}
# Invalid values of the right type.
BAD_VALUES = [
    *(
        ("name", value)
        for value in ("", "all", "default", "a" * 16, "a/b", ".", "..", "a b", "a%d")
    ),
    *(("host_interface_name", value) for value in ("all", "default", "a" * 16, "h%d")),
    *(("bridge", value) for value in ("all", "a:b", "br%d")),
    *(("mac_address", value) for value in ("x", "01:00:5e:00:00:01", "00:00:00:00:00:00", "02:00")),
    *(
        ("address", value)
        for value in (
            *("10.0.0.2", "10.0.0.2/33", "fd00::2/64", "0.0.0.0/24", "255.255.255.255/32"),
            *("224.0.0.1/24", "127.0.0.2/8", "10.0.0.255/24", "10.0.0.2/024", " 10.0.0.2/24"),
        )
    ),
    *(
        ("gateway", value)
        for value in (
            *("x", "10.0.0.1/24", "fd00::1", "0.0.0.0", "255.255.255.255", "224.0.0.1"),
            *("127.0.0.1", "10.0.0.2", "10.0.0.255"),
        )
    ),
    *(
        ("ipv6_address", value)
        for value in ("fd00::2", "fd00::2/129", "10.0.0.2/24", "::/64", "::1/128", "ff02::1/64")
    ),
    *(
        ("ipv6_gateway", value)
        for value in ("x", "fd00::1/64", "10.0.0.1", "0.0.0.0", "::", "::1", "ff02::1", "fd00::2")
    ),
    ("isolated", True),
    *(
        ("sysctls", value)
        for value in (
            *("", "net", "net.ipv4.ip_forward", "net.core.somaxconn", "kernel.hostname"),
            *("net.ipv4.conf.all.forwarding", "net.ipv4.conf.eth0.forwarding"),
            *("net.ipv4.conf.IFNAME", "net.ipv4.conf.IFNAME.", "net.ipv4.conf.IFNAME.a.b"),
            *("net.ipv4.conf.ifname.tag", "net.ipv4.route.IFNAME.tag", "IFNAME", "net.IFNAME"),
            *("net/ipv4/conf/IFNAME/tag", "net.ipv4.conf.IFNAME./etc", "net.ipv4.conf.IFNAME.TAG"),
            *("net.ipv6.conf.IFNAME.mtu", "net.ipv6.conf.IFNAME.mtu "),
            *("..ipv4.conf.IFNAME.tag", "net.ipv4.conf.IFNAME.tag\n", "net.ipv5.conf.IFNAME.tag"),
            *(
                "net.ipv4.conf.IFNAME.../tag",
                "/net.ipv4.conf.IFNAME.tag",
                "net.mpls.neigh.IFNAME.x",
            ),
        )
    ),
    *(("mtu", value) for value in (1, 67, 68, 1279, 65536)),
    *(
        ("addresses", value)
        for value in (
            *("10.0.0.3", "10.0.0.3/33", "fd00::3", "fd00::3/129", "x", "", "0.0.0.0/24", "::/64"),
            *("127.0.0.3/8", "::1/128", "224.0.0.1/24", "ff02::1/64", "10.0.0.255/24"),
            *("10.0.0.2/24", "10.0.0.2/32", "fd00:0::2/64", "10.0.0.1/24", "fd00::1/64"),
        )
    ),
    *(("routes", value) for value in (None, 1, "x", b"x", {}, [1], [None], ["default"], [{}])),
]


def no_socket(*arguments: object, **options: object) -> None:
    raise AssertionError("a socket was opened")


@pytest.fixture(scope="module")
def container():
    """A container namespace in which no test changes anything."""
    with NetworkNamespace.create() as netns:
        yield netns


@pytest.fixture
def refused(container, monkeypatch):
    """Sets up networks of which the last is invalid. Returns the error; no socket was opened."""
    monkeypatch.setattr(RtnetlinkSocket, "__init__", no_socket)

    def run(*networks: Network) -> InvalidNetworkError:
        with pytest.raises(InvalidNetworkError) as raised:
            set_up_networks([Network("loopback"), *networks], netns=container)
        assert raised.value.network in ("", networks[-1].name)
        assert str(raised.value).isprintable()
        assert pickle.loads(pickle.dumps(raised.value)).reason == raised.value.reason
        return raised.value

    return run


@pytest.mark.parametrize("kind", ["veth", "loopback"])
@pytest.mark.parametrize(
    ("field", "value"),
    [(field, value) for field, type_ in FIELDS.items() for value in WRONG_TYPES.get(type_, [])],
)
def test_a_field_of_the_wrong_type_is_refused_and_named(refused, kind, field, value):
    error = refused(Network(**{"type": kind, **PLAIN, field: value}))
    assert error.field == field
    assert error.reason.startswith("must ")
    with pytest.raises(InvalidNetworkError) as raised:  # as it comes from JSON
        Network.from_dict({"type": kind, **PLAIN, field: value})
    assert (raised.value.field, raised.value.reason) == (field, error.reason)


@pytest.mark.parametrize(("field", "value"), BAD_VALUES)
def test_an_invalid_value_is_refused_and_named(refused, field, value):
    if field in ("addresses", "sysctls"):
        given = [value] if field == "addresses" else {value: "1"}
    else:
        given = value
    error = refused(Network(**{"type": "veth", **PLAIN, field: given}))
    assert error.field == field
    assert error.value == value or field == "routes"


@pytest.mark.parametrize("value", ["", "1\n", "1\n2", "\t1", "é", "1" * 101])
def test_an_invalid_value_of_a_setting_is_refused(refused, value):
    sysctls = {"net.ipv4.conf.IFNAME.tag": value}
    error = refused(Network("veth", **PLAIN, sysctls=sysctls))
    assert (error.field, error.value) == ("sysctls", value)


def test_the_same_address_twice_is_refused(refused):
    error = refused(Network("veth", **PLAIN, addresses=["fd00::3/64", "fd00:0::3/48"]))
    assert (error.field, error.value) == ("addresses", "fd00:0::3/48")


@pytest.mark.parametrize("addresses", [["fd00::3/64"], ("10.0.0.3/24", "fd00::3/64")])
def test_an_ipv6_address_among_several_needs_an_mtu_of_1280(refused, addresses):
    network = Network("veth", "eth0", address="10.0.0.2/24", addresses=addresses, mtu=1279)
    assert refused(network).field == "mtu"


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, bad in ROUTE_FIELDS.items() for value in bad]
)
def test_an_invalid_field_of_a_route_is_refused_and_named(refused, field, value):
    route = Route(**{"destination": "192.0.2.0/24", "gateway": "10.0.0.9", field: value})
    error = refused(Network(**{"type": "veth", **PLAIN, "routes": [route]}))
    assert error.field == "routes"
    assert error.reason.startswith((f"{field}: must ", "gateway: must be of the destination's"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((field, value) for field in ("destination", "gateway", "source") for value in NOT_TEXT),
        *((field, value) for field in _INTEGERS for value in NOT_AN_INTEGER),
        *(("onlink", value) for value in NOT_A_BOOL),
        ("scope", True),
        ("scope", "0"),
    ],
)
def test_a_json_route_with_a_field_of_the_wrong_type_is_refused(field, value):
    with pytest.raises(InvalidNetworkError) as raised:
        Network.from_dict({"routes": [{"destination": "192.0.2.0/24", field: value}]})
    assert raised.value.field == "routes"
    assert raised.value.reason.startswith(f"{field}: must ")


def test_the_smallest_and_largest_values_of_a_route_are_allowed(net):
    highest = {"metric": (1 << 32) - 1, "table": (1 << 32) - 1, "scope": 255}
    highest |= {"mtu": 65520, "advmss": 65495}
    lowest = {"metric": 0, "table": 1, "scope": 0, "ifindex": 0, "mtu": 0, "advmss": 0}
    for fields in (highest, lowest, {"ifindex": (1 << 31) - 1}):
        Batch().add_route(Route("192.0.2.0/24", **fields))


# ---- two networks ----

FIRST = Network("veth", "eth0", address="10.0.0.2/24", gateway="10.0.0.1")
FIRST_6 = Network("veth", "eth0", ipv6_address="fd00::2/64", ipv6_gateway="fd00::1")


@pytest.mark.parametrize(
    ("first", "fields", "field"),
    [
        (FIRST, {"address": "10.1.0.2/24", "gateway": "10.1.0.1"}, "gateway"),
        (FIRST_6, {"ipv6_address": "fd01::2/64", "ipv6_gateway": "fd01::1"}, "ipv6_gateway"),
        (
            FIRST_6,
            {"ipv6_address": "fd01::2/64", "ipv6_gateway": "fd01::1", "metric": 1024},
            "ipv6_gateway",
        ),
        (FIRST, {"address": "10.1.0.2/24", "routes": [Route("0.0.0.0/0", "10.1.0.1")]}, "routes"),
        (FIRST, {"address": "10.1.0.2/24", "routes": [Route("10.0.0.0/24")]}, "routes"),
        (FIRST, {"address": "10.1.0.2/24", "routes": [Route("10.1.0.0/24")]}, "routes"),
    ],
)
def test_a_route_that_two_networks_request_is_refused_with_both_names(
    refused, first, fields, field
):
    error = refused(first, Network("veth", "eth1", **fields))
    assert (error.field, error.network) == (field, "eth1")
    assert '"eth0"' in error.reason or '"eth1"' in error.reason
    assert "another metric" in error.reason


def test_two_default_routes_within_one_network_are_refused(refused):
    twice = dataclasses.replace(FIRST, routes=[Route("default", "10.0.0.9")])
    assert refused(twice).field == "routes"


def test_two_networks_can_have_default_routes_of_different_metrics(host, bridge):
    helpers_network.add_bridge("br1", "10.1.0.1/24")
    networks = [
        helpers_network.veth(ipv6_address="fd00::2/64", ipv6_gateway="fd00::1"),
        helpers_network.veth(
            name="eth1",
            bridge="br1",
            host_interface_name="h1",
            address="10.1.0.2/24",
            gateway="10.1.0.1",
            ipv6_address="fd01::2/64",
            ipv6_gateway="fd01::1",
            metric=2000,
        ),
    ]
    with NetworkNamespace.create() as netns:
        made = set_up_networks(networks, netns=netns)
        for family, metrics in (("-4", [0, 2000]), ("-6", [1024, 2000])):
            routes = helpers_network.ip(family, "route", "show", "default", netns=netns)
            assert sorted(route.get("metric", 0) for route in routes) == metrics
        assert check_networks(made, netns=netns) == []
