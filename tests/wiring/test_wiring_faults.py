"""Faults within an exchange. tests/check/wiring_faults.py makes whole exchanges fail."""

from __future__ import annotations

import os
import resource
from errno import EMFILE

import pytest
from helpers_network import LO, dumps, veth
from support import descriptors

from pynetstrat import (
    Batch,
    KernelError,
    Network,
    RtnetlinkSocket,
    set_up_networks,
    tear_down_networks,
)
from pynetstrat._native.socket import Socket

pytestmark = pytest.mark.usefixtures("bridge")


def test_a_bridge_gets_its_mac_back_after_an_error_between_two_changes(quiet_blue, monkeypatch):
    with RtnetlinkSocket() as host:
        mac = host.get_link("br0").mac
    original, refused = Batch.set_link, []

    def set_link(self: Batch, link: object, **options: object) -> Batch:
        if options.get("mac") == mac and not refused:  # the second of two changes, back to its own
            options["mac"] = "01:00:5e:00:00:01"  # a multicast address, which the kernel refuses
            refused.append(link)
        return original(self, link, **options)

    monkeypatch.setattr(Batch, "set_link", set_link)
    with pytest.raises(KernelError, match="Cannot assign requested address") as raised:
        set_up_networks([veth()], netns=quiet_blue)
    assert refused
    assert raised.value.interface == "br0"
    with RtnetlinkSocket() as host:
        assert set(host.dump_links()) == {"lo", "br0"}
        assert host.get_link("br0").mac == mac


@pytest.mark.parametrize(
    "network",
    [
        veth(),
        veth(bridge="", gateway="10.0.0.254"),
        Network("macvlan", name="eth0", host_interface_name="br0", owner="c1"),
    ],
    ids=["bridge", "point to point", "macvlan"],
)
def test_too_few_descriptors_are_a_kernel_error_and_change_nothing(quiet_blue, network):
    before, limits = (dumps(), dumps(quiet_blue)), resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    opened = descriptors()
    for spare in range(20):
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free + spare, limits[1]))
        try:
            made = set_up_networks([LO, network], netns=quiet_blue)
        except KernelError as error:
            assert error.errno == EMFILE
            assert "mount" not in str(error)  # the remedy of another cause
        else:
            break
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert (dumps(), dumps(quiet_blue)) == before
        assert descriptors() == opened
    assert spare > 1
    tear_down_networks(made, netns=quiet_blue)


def test_an_error_before_lo_is_brought_up_names_the_step(quiet_blue, monkeypatch):
    def refuse(self: Socket, name: str) -> None:
        raise KernelError(12, "RTM_GETLINK", name)

    monkeypatch.setattr(Socket, "find_link", refuse)
    step = r"step initialize of network \"lo\" \(loopback\)"
    with pytest.raises(KernelError, match=f'interface "lo": RTM_GETLINK: .*; {step}'):
        set_up_networks([LO], netns=quiet_blue)
