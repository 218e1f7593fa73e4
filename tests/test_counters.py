"""counters.py: NetworkInterface, its views, and CounterTable."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import pytest
import support
from support import FILES

from pynetstrat import CounterTable, NetworkInterface, RtnetlinkSocket
from pynetstrat.counters import get_view


def test_network_interface_has_a_name_and_eight_counters_in_order():
    fields = [field.name for field in dataclasses.fields(NetworkInterface)]
    assert fields == ["name", *FILES]
    assert dataclasses.astuple(NetworkInterface()) == ("", *[0] * 8)


def test_swapped_exchanges_rx_and_tx():
    interface = NetworkInterface("eth0", *range(1, 9))
    assert interface.swapped() == NetworkInterface("eth0", 5, 6, 7, 8, 1, 2, 3, 4)
    assert interface.swapped().swapped() == interface
    assert interface == NetworkInterface("eth0", *range(1, 9))


def test_an_interface_can_be_copied_pickled_and_compared():
    interface = NetworkInterface("lo", 1)
    assert pickle.loads(pickle.dumps(interface)) == copy.deepcopy(interface) == interface
    assert interface != NetworkInterface()


def test_a_view_equals_the_dataclass_made_by_its_constructor():
    host = NetworkInterface("eth0", *range(1, 9))
    assert get_view("host")("eth0", list(range(1, 9))) == host
    assert get_view("container")("eth0", list(range(1, 9))) == host.swapped()
    for wrong in ("", "Host", None, [], 1):
        with pytest.raises(ValueError, match='"container" or "host", not'):
            get_view(wrong)


def test_a_caller_cannot_change_the_names_of_later_tables(net):
    support.add_patterned(net, 1)
    with RtnetlinkSocket() as rtnetlink:
        first = rtnetlink.dump_counters()
        assert isinstance(first, CounterTable)
        with pytest.raises(TypeError):
            first.names[0] = "mine"  # type: ignore[index]
        with pytest.raises(AttributeError):
            first.names.append("mine")  # type: ignore[attr-defined]
        assert rtnetlink.dump_counters().names == ("lo", "w1", "v1")
