"""_sysctls.py: settings of the container's interface under /proc/sys/net."""

from __future__ import annotations

import errno
from pathlib import Path

import devices
import pytest
from helpers_network import dumps, veth

from pynetstrat import (
    InvalidNetworkError,
    KernelError,
    NetworkNamespace,
    Route,
    RtnetlinkSocket,
    Veth,
    check_networks,
    get_strategy,
    set_up_networks,
)

SYSCTLS = {
    "net.ipv6.conf.IFNAME.accept_ra": "0",
    "net.ipv4.conf.IFNAME.tag": "77",
    "net.ipv4.neigh.IFNAME.unres_qlen": "5",
    "net.ipv6.neigh.IFNAME.ucast_solicit": "4",
}


def value(netns: NetworkNamespace | None, path: str) -> str:
    read = Path("/proc/sys/net", path).read_text
    return (read() if netns is None else netns.call(read)).strip()


def found(netns: NetworkNamespace, name: str = "eth0") -> dict[str, str]:
    """The settings of SYSCTLS."""
    return {key: value(netns, key[4:].replace(".", "/").replace("IFNAME", name)) for key in SYSCTLS}


def test_settings_are_those_of_the_containers_interface(host, bridge, blue):
    made = set_up_networks([veth(sysctls=SYSCTLS)], netns=blue)
    assert found(blue) == SYSCTLS
    assert value(blue, "ipv4/conf/all/tag") == value(None, "ipv4/conf/h0/tag") == "0"
    assert check_networks(made, netns=blue) == []


def test_settings_are_set_before_the_link_goes_up(host, bridge, blue, monkeypatch):
    """Here: before the addresses, which the same batch adds before it brings the link up."""
    sysctls = {"net.ipv6.conf.IFNAME.disable_ipv6": "1"}
    with pytest.raises(KernelError, match="IPv6 is disabled"):
        set_up_networks([veth(ipv6_address="fd00::2/64", sysctls=sysctls)], netns=blue)


def test_a_moved_device_has_the_settings(quiet_host, container):
    devices.add_device("veth")
    (made,) = set_up_networks([devices.device(name="e%d", sysctls=SYSCTLS)], netns=container)
    assert made.name == "e0"
    assert found(container, "e0") == SYSCTLS
    assert check_networks([made], netns=container) == []


def test_a_name_with_dots_is_no_path(host, bridge, blue):
    set_up_networks([veth(name="eth0.5", sysctls=SYSCTLS)], netns=blue)
    assert found(blue, "eth0.5") == SYSCTLS


BAD = [
    ("net.ipv4.conf.IFNAME.nonesuch", "1", errno.ENOENT, "open sysctl"),
    ("net.ipv4.conf.IFNAME.tag", "x", errno.EINVAL, "write sysctl"),
    ("net.ipv4.conf.IFNAME.tag", "1 2", errno.EINVAL, "write sysctl"),
    ("net.ipv6.conf.IFNAME.stable_secret", "1", errno.EIO, "write sysctl"),
]


@pytest.mark.parametrize("kind", ["bridge", "point to point", "host-device"])
@pytest.mark.parametrize(("name", "text", "code", "operation"), BAD)
def test_a_refused_setting_is_an_error_and_everything_is_undone(
    quiet_host, container, kind, name, text, code, operation
):
    devices.add_device("veth")
    devices.change("link", "add", "br0", "type", "bridge")
    network = veth(bridge="br0" if kind == "bridge" else "")
    if kind == "host-device":
        network = devices.device(name="eth0")
    network.sysctls = {"net.ipv4.conf.IFNAME.arp_notify": "1", name: text}
    before = dumps(), dumps(container)
    with pytest.raises(KernelError) as raised:
        set_up_networks([network], netns=container)
    error = raised.value
    path = name.replace(".", "/").replace("IFNAME", "eth0")
    assert (error.errno, error.operation, error.interface) == (code, operation, "eth0")
    assert error.filename == f"/proc/sys/{path}"
    assert "step " in str(error)
    assert (dumps(), dumps(container)) == before


def test_initialize_restores_the_settings_of_a_link_that_it_has_not_made(host, bridge, blue):
    strategy = get_strategy("veth")
    made = strategy.create(veth(), netns=blue)
    before = found(blue)
    made.sysctls = SYSCTLS
    made.routes = [Route("192.0.2.0/24", gateway="203.0.113.1")]
    with pytest.raises(KernelError, match="gateway"):
        strategy.initialize(made, netns=blue)
    assert found(blue) == before != SYSCTLS
    made.routes = []
    strategy.initialize(made, netns=blue)
    assert found(blue) == SYSCTLS


def test_a_changed_or_missing_setting_is_reported(host, bridge, blue):
    made = set_up_networks([veth(sysctls=SYSCTLS)], netns=blue)
    blue.call(Path("/proc/sys/net/ipv4/conf/eth0/tag").write_text, "78")
    assert check_networks(made, netns=blue) == ["eth0: net.ipv4.conf.eth0.tag is 78, not 77"]
    made[0].sysctls = {"net.ipv4.conf.IFNAME.nonesuch": "1"}
    (text,) = check_networks(made, netns=blue)
    assert text == "eth0: the setting net.ipv4.conf.eth0.nonesuch does not exist"


def test_a_mapping_that_was_changed_is_checked_by_the_methods_too(host, bridge, blue):
    made = Veth().create(veth(), netns=blue)
    made.sysctls = {"net.ipv4.ip_forward": "1"}
    with pytest.raises(InvalidNetworkError, match="IFNAME"):
        Veth().initialize(made, netns=blue)
    with RtnetlinkSocket(blue) as sock:
        assert not sock.link_is_up("eth0")
