"""cli/egress.py: `pynetstrat egress`, on the real kernel."""

from __future__ import annotations

import json
import subprocess

import pytest
import support
from helpers_network import containers

from pynetstrat import cli


@pytest.fixture(autouse=True)
def _forwarding(net):
    for setting in ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"):
        subprocess.run(["sysctl", "-qw", setting], check=True)


def shown(capsys, *arguments):
    assert cli.main(["egress", "show", *arguments]) == 0
    return capsys.readouterr().out


def test_egress_is_enabled_shown_and_disabled(capsys):
    assert shown(capsys) == ""
    assert cli.main(["egress", "enable", "10.0.0.0/24"]) == 0
    assert cli.main(["egress", "enable", "fd00::/64"]) == 0
    assert shown(capsys) == "subnet  10.0.0.0/24\nsubnet  fd00::/64\n"
    assert cli.main(["egress", "disable", "10.0.0.0/24"]) == 0
    assert json.loads(shown(capsys, "--json")) == {
        "subnets": ["fd00::/64"],
        "hosts": [],
        "ports": [],
    }


def test_ports_and_addresses_are_shown_with_their_owners(capsys):
    assert cli.main(["egress", "enable", "10.0.0.0/24"]) == 0
    for element in (
        'ports4 { tcp . 8080 comment "web\u202e-1" : 10.0.0.2 . 80 }',
        'address_ports6 { 2001:db8::1 . udp . 53 comment "web-1" : fd00::2 . 5353 }',
        'hosts4 { 10.1.0.2 comment "web-2" }',
    ):
        subprocess.run(["nft", f"add element inet pynetstrat {element}"], check=True)
    lines = shown(capsys).splitlines()
    assert [line.split() for line in lines] == [
        ["subnet", "10.0.0.0/24"],
        ["address", "10.1.0.2", "web-2"],
        ["port", "8080/tcp", "10.0.0.2:80", "web\\u202e-1"],
        ["port", "[2001:db8::1]:53/udp", "[fd00::2]:5353", "web-1"],
    ]
    assert len({line.index("web") for line in lines[1:]}) == 1
    assert json.loads(shown(capsys, "--json"))["ports"][1] == {
        "published": "[2001:db8::1]:53/udp",
        "container": "fd00::2",
        "port": 5353,
        "owner": "web-1",
    }


def test_the_host_namespace_can_be_given(capsys):
    with containers(1) as (other,):
        other.run(["sysctl", "-qw", "net.ipv4.ip_forward=1"], check=True)
        path = f"/proc/self/fd/{other.fileno()}"
        assert cli.main(["egress", "enable", "10.0.0.0/24", "--host", path]) == 0
        assert shown(capsys) == ""
        assert shown(capsys, "--host", path) == "subnet  10.0.0.0/24\n"
        assert cli.main(["egress", "disable", "10.0.0.0/24", "--host", path]) == 0
        assert shown(capsys, "--host", path) == ""


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["enable", "10.0.0.1/24"], "must not have host bits"),
        (["disable", "10.0.0.0"], "must have a prefix length"),
        (["enable", "10.0.0.0/24", "--host", "/nonesuch/net"], "No such file"),
    ],
)
def test_a_failure_is_one_line(capsys, arguments, reason):
    assert cli.main(["egress", *arguments]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("pynetstrat: ")
    assert printed.err.count("\n") == 1
    assert reason in printed.err


@pytest.mark.parametrize("arguments", [[], ["enable"], ["show", "10.0.0.0/24"], ["other"]])
def test_wrong_usage_ends_with_2(capsys, arguments):
    assert cli.main(["egress", *arguments]) == 2
    assert "usage: pynetstrat egress" in capsys.readouterr().err


def test_without_a_capability_the_error_names_it(capsys):
    with support.without(support.CAP_NET_ADMIN):
        assert cli.main(["egress", "enable", "10.0.0.0/24"]) == 1
    assert "CAP_NET_ADMIN" in capsys.readouterr().err
