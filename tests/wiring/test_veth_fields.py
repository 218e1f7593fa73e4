"""veth.py: invalid fields are refused before the first message."""

from __future__ import annotations

import copy
import pickle
from functools import partial

import pytest
from helpers_network import (
    LO,
    dumps,
    link_in,
    veth,
)

from pynetstrat import (
    InvalidNetworkError,
    Route,
    RtnetlinkSocket,
    Veth,
    set_up_networks,
)

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


def test_an_invalid_value_is_refused_before_the_first_message(host, bridge, blue, monkeypatch):
    before = dumps(), dumps(blue)
    monkeypatch.setattr(RtnetlinkSocket, "__init__", _no_socket)
    for field, fields in BAD:
        network = veth(**fields)
        for work in (
            partial(set_up_networks, [LO, veth(name="eth7"), network], netns=blue),
            partial(Veth().create, network, netns=blue),
            partial(Veth().validate, network),
        ):
            with pytest.raises(InvalidNetworkError) as raised:
                work()
            assert raised.value.field == field, fields
            assert raised.value.reason
    monkeypatch.undo()
    assert (dumps(), dumps(blue)) == before


def _no_socket(*arguments: object, **options: object) -> None:
    raise AssertionError("a socket was opened")


def test_the_error_for_an_invalid_value_pickles_and_copies():
    with pytest.raises(InvalidNetworkError) as raised:
        Veth().validate(veth(mtu=67))
    error = raised.value
    for twin in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert str(twin) == str(error)
        expected = ("mtu", 67, "must be 0 or from 68 to 65535", "eth0")
        assert (twin.field, twin.value, twin.reason, twin.network) == expected


@pytest.mark.parametrize("mtu", [68, 65535])
def test_the_smallest_and_the_largest_mtu_are_allowed(host, bridge, blue, mtu):
    set_up_networks([veth(mtu=mtu)], netns=blue)
    assert host.get_link("h0").mtu == link_in(blue).mtu == mtu
