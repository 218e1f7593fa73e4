"""setup.py: the exchanges, system calls, deadlines and descriptors of a call."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import support
from helpers_network import (
    EXCHANGES,
    LO,
    three_networks,
    veth,
)
from support import descriptors, python

from pynetstrat import (
    KernelError,
    Network,
    NetworkNamespace,
    check_networks,
    set_up_networks,
    tear_down_networks,
)
from pynetstrat._native.socket import Socket


def test_a_bridged_veth_takes_five_exchanges_on_the_host_and_six_in_the_container(
    host, bridge, quiet_blue
):
    done = _exchanges([LO, veth(hairpin_mode=True, ipv6_address="fd00::2/64")], quiet_blue)
    assert done == {
        "here": ["get_bridge", "execute", "execute", "find_link", "find_link"],
        # The last, and the dumps of local routes that follow, are for the IPv6 address.
        "there": ["find_link", "copy_addresses", "set_up", "find_link", "execute", "get_link"],
    }


@pytest.mark.slow
def test_strace_shows_the_same_exchanges(tmp_path):
    code = """
import os
from pynetstrat import *
from pynetstrat.cli import _fresh_namespaces
_fresh_namespaces.enter()
with NetworkNamespace.create() as space, RtnetlinkSocket() as host:
    host.execute(Batch().add_bridge("br0", up=True))
    pair = Network("veth", name="eth0", bridge="br0", address="10.0.0.2/24", gateway="10.0.0.1")
    networks = [Network("loopback", name="lo"), pair]
    os.access("/begin", 0)
    set_up_networks(networks, netns=space)
    os.access("/end", 0)
"""
    calls = support.trace(code, tmp_path / "trace", "-e", "trace=%network,%file")
    within = "\n".join(calls)
    sends = re.findall(r"sendto\((\d+)", within)
    host, container = dict.fromkeys(sends)
    # The bridge, the pair, its tag; lo, its addresses, lo up; the container end, its set-up; the
    # carriers of the host end and of the bridge.
    assert sends == [host] * 3 + [container] * 5 + [host] * 2
    # The cookie, which stands for the missing owner, is read by the container's socket.
    assert len(re.findall(r"\bsocket\(", within)) == 2
    opened = set(re.findall(r'open(?:at)?\([^"]*"([^"]*)"', within))
    assert opened <= {"/proc/thread-self/ns/net"}


@pytest.mark.slow
def test_a_published_port_takes_one_more_send(tmp_path):
    code = """
import os
from pathlib import Path
from pynetstrat import *
from pynetstrat.cli import _fresh_namespaces
_fresh_namespaces.enter()
Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
with NetworkNamespace.create() as space, RtnetlinkSocket() as host:
    host.ensure_bridge("br0", addresses=["10.0.0.1/24"])
    enable_egress("10.0.0.0/24")
    pair = Network("veth", name="eth0", bridge="br0", address="10.0.0.2/24", gateway="10.0.0.1",
        owner="c1", publish=["8080:80/tcp"])
    networks = [Network("loopback", name="lo"), pair]
    os.access("/begin", 0)
    set_up_networks(networks, netns=space)
    os.access("/end", 0)
"""
    calls = support.trace(code, tmp_path / "trace", "-e", "trace=%network,%file")
    sends = re.findall(r"sendto\((\d+)", "\n".join(calls))
    host, nf_tables, container = dict.fromkeys(sends)
    assert sends == [host] * 3 + [nf_tables] + [container] * 5 + [host] * 2


def test_a_veth_alone_takes_two_exchanges_in_the_container(host, bridge, quiet_blue):
    done = _exchanges([veth()], quiet_blue)
    assert done["there"] == ["find_link", "execute"]


def test_a_tear_down_takes_two_more_exchanges_than_the_deletion_for_the_final_counters(
    host, bridge, quiet_blue
):
    made = set_up_networks([LO, veth()], netns=quiet_blue)
    done = _exchanges(made, quiet_blue, tear_down_networks)
    # The host end; set down, read, deleted; the ifb, which does not exist.
    exchanges = ["get_link", "execute", "read_counters", "execute", "get_link"]
    assert done == {"here": exchanges, "there": []}


def _exchanges(
    networks: list[Network],
    netns: NetworkNamespace,
    call: Callable[..., object] = set_up_networks,
) -> dict[str, list[str]]:
    done: dict[str, list[str]] = {"here": [], "there": []}

    def noting(name: str, function: Callable[..., object]) -> Callable[..., object]:
        def work(self: Socket, *arguments: object) -> object:
            done["there" if self.namespace else "here"].append(name)
            return function(self, *arguments)

        return work

    with pytest.MonkeyPatch.context() as patch:
        for name in EXCHANGES:
            patch.setattr(Socket, name, noting(name, getattr(Socket, name)))
        call(networks, netns=netns)
    return done


def test_one_deadline_holds_for_every_exchange(host, bridge, quiet_blue):
    deadlines = set()
    original = Socket.execute

    def execute(self, encoded):
        deadlines.add(self._sock.deadline_ms)
        return original(self, encoded)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Socket, "execute", execute)
        set_up_networks(three_networks(), netns=quiet_blue)
    assert len(deadlines) == 1
    assert deadlines != {0}


@pytest.mark.slow
def test_the_calls_work_after_a_chroot_into_an_empty_folder(tmp_path):
    code = """
import os, sys
import pynetstrat
from pynetstrat import *
from pynetstrat.cli import _fresh_namespaces
_fresh_namespaces.enter()
space = NetworkNamespace.create()
descriptor = os.dup(space.fileno())
os.chroot(sys.argv[1])
os.chdir("/")
with RtnetlinkSocket() as host:
    host.execute(Batch().add_bridge("br0", up=True))
    for netns in (space, descriptor):
        networks = [
            Network("loopback", name="lo"),
            Network("veth", name="eth0", bridge="br0", address="10.0.0.2/24", gateway="10.0.0.1",
                ipv6_address="fd00::2/64", routes=[Route("192.0.2.0/24", gateway="10.0.0.3")]),
        ]
        made = set_up_networks(networks, netns=netns)
        print(check_networks(made, netns=netns), len(host.dump_links()))
        try:
            set_up_networks([*networks, Network("veth", name="eth1", bridge="nope")], netns=netns)
        except NetstratError as error:
            print(error)
        tear_down_networks(made, netns=netns)
        print(list(host.dump_links()))
    with NetworkNamespace.current() as own:
        try:
            set_up_networks([Network("veth", name="eth1", bridge="br0")], netns=own)
        except InvalidNetworkError as error:
            print(error.reason)
space.close()
"""
    done = python(code, str(tmp_path))
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert [lines[0], lines[3]] == ["[] 3"] * 2
    assert all("RTM_NEWLINK: File exists" in line for line in (lines[1], lines[4]))
    assert [lines[2], lines[5]] == ["['lo', 'br0']"] * 2
    assert lines[6] == "must not be the caller's own namespace"


@pytest.mark.slow
def test_a_call_leaves_no_descriptor_open(host, bridge, quiet_blue):
    before = descriptors()
    for _ in range(5):
        made = set_up_networks(three_networks(), netns=quiet_blue)
        assert check_networks(made, netns=quiet_blue) == []
        tear_down_networks(made, netns=quiet_blue)
        with pytest.raises(KernelError):
            set_up_networks([LO, veth(gateway="192.0.2.1")], netns=quiet_blue)
    assert descriptors() == before
