"""wiring/egress.py: the table, as `nft` shows it, and what is refused."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest
import support
from helpers_egress import SUBNET, SUBNET6, nft, ruleset, sysctl
from helpers_network import containers

from pynetstrat import (
    InvalidNetworkError,
    KernelError,
    PermissionDeniedError,
    disable_egress,
    enable_egress,
)
from pynetstrat._native.nft import RULES, SETS, Element, NftSocket
from pynetstrat.wiring._nft_table import NftTable
from pynetstrat.wiring._session import Session
from pynetstrat.wiring.egress import masquerade, read_egress


@pytest.fixture(autouse=True)
def _forwarding(net):
    sysctl("ipv4/ip_forward", "1")
    sysctl("ipv6/conf/all/forwarding", "1")


def subnets():
    return [element.address for element in read_egress()["subnets"]]


# ---- the table ----

EXPECTED = """\
table inet pynetstrat {
	chain published {
		ip daddr 127.0.0.0/8 return
		ip6 daddr ::1 return
		dnat ip to ip daddr . meta l4proto . th dport map @address_ports4
		meta nfproto ipv4 dnat ip to meta l4proto . th dport map @ports4
		dnat ip6 to ip6 daddr . meta l4proto . th dport map @address_ports6
		meta nfproto ipv6 dnat ip6 to meta l4proto . th dport map @ports6
	}
	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local jump published
	}
	chain output {
		type nat hook output priority -100; policy accept;
		fib daddr type local jump published
	}
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oif "lo" return
		ct status dnat ip saddr . ip daddr @neighbours4 masquerade
		ip daddr @subnets4 return
		ip daddr @hosts4 return
		ip daddr >= 224.0.0.0 return
		ip saddr @subnets4 masquerade
		ip saddr @hosts4 masquerade
		ct status dnat ip6 saddr . ip6 daddr @neighbours6 masquerade
		ip6 daddr @subnets6 return
		ip6 daddr @hosts6 return
		ip6 daddr >= ff00:: return
		ip6 saddr @subnets6 masquerade
		ip6 saddr @hosts6 masquerade
	}
}
"""


def rules(listing):
    """The chains of a listing by `nft`."""
    lines, in_set = [], False
    for line in listing.splitlines():
        in_set = in_set or line.startswith(("\tset ", "\tmap "))
        if not in_set and line:
            lines.append(line + "\n")
        in_set = in_set and line != "\t}"
    return "".join(lines)


def test_nft_shows_the_rules_that_are_meant():
    enable_egress(SUBNET)
    assert rules(ruleset()) == EXPECTED


def test_nft_writes_the_table_that_it_shows(tmp_path):
    enable_egress(SUBNET)
    enable_egress(SUBNET6)
    shown = ruleset()
    file = tmp_path / "ruleset"
    file.write_text("flush ruleset\n" + shown)
    nft("-f", str(file))
    assert ruleset() == shown
    assert subnets() == [SUBNET, SUBNET6]


def test_a_subnet_is_an_interval_of_the_set():
    enable_egress(SUBNET)
    assert f"elements = {{ {SUBNET} }}" in nft("list", "set", "inet", "pynetstrat", "subnets4")
    disable_egress(SUBNET)
    assert "elements" not in nft("list", "set", "inet", "pynetstrat", "subnets4")


@pytest.mark.parametrize(
    "subnet", ["10.0.0.0/8", "10.0.0.5/32", "128.0.0.0/1", "fd00::/8", "fd00::1/128", "8000::/1"]
)
def test_a_subnet_of_any_length_is_enabled_and_disabled(subnet):
    enable_egress(subnet)
    assert subnets() == [subnet]
    disable_egress(subnet)
    assert subnets() == []


def test_adjacent_subnets_are_told_apart():
    for subnet in ("10.0.1.0/24", "10.0.0.0/24", "10.0.2.0/23"):
        enable_egress(subnet)
    assert subnets() == ["10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/23"]
    disable_egress("10.0.1.0/24")
    assert subnets() == ["10.0.0.0/24", "10.0.2.0/23"]


def test_both_calls_may_be_repeated():
    disable_egress(SUBNET)
    assert ruleset() == ""
    enable_egress(SUBNET)
    once = ruleset()
    enable_egress(SUBNET)
    assert ruleset() == once
    disable_egress(SUBNET)
    disable_egress(SUBNET)
    assert subnets() == []


def test_another_spelling_is_the_same_subnet():
    enable_egress("FD00:0:0:0::/64")
    disable_egress("fd00::/64")
    assert subnets() == []


def test_the_host_namespace_can_be_given():
    with containers(1) as (other,):
        other.run(["sysctl", "-qw", "net.ipv4.ip_forward=1"], check=True)
        enable_egress(SUBNET, host=other)
        assert ruleset() == ""
        assert [one.address for one in read_egress(other)["subnets"]] == [SUBNET]
        disable_egress(SUBNET, host=other)
        assert read_egress(other)["subnets"] == []


def test_an_enabled_subnet_is_one_send_if_the_table_exists(tmp_path):
    enable_egress(SUBNET)
    code = (
        "import os; from pynetstrat import enable_egress; os.access('/begin', 0)\n"
        "enable_egress('10.7.0.0/16'); os.access('/end', 0)"
    )
    calls = support.trace(code, tmp_path / "trace", "-e", "trace=%network,access")
    assert [call.partition("(")[0] for call in calls] == [
        *("socket", "setsockopt", "sendto", "recvfrom")
    ]
    assert "10.7.0.0/16" in subnets()


# ---- other programs ----


def test_after_flush_ruleset_the_next_call_makes_the_table_again():
    enable_egress(SUBNET)
    nft("flush", "ruleset")
    enable_egress(SUBNET6)
    assert rules(ruleset()) == EXPECTED
    assert subnets() == [SUBNET6]


@pytest.mark.parametrize(
    "damage",
    [
        "flush table inet pynetstrat",
        "flush chain inet pynetstrat postrouting",
        "flush chain inet pynetstrat published",
    ],
)
def test_missing_rules_are_restored_with_all_elements(damage):
    enable_egress(SUBNET)
    enable_egress(SUBNET6)
    nft("add", "element", "inet", "pynetstrat", "ports4", "{ tcp . 1 : 10.0.0.9 . 2 }")
    nft(*damage.split())
    assert rules(ruleset()) != EXPECTED
    enable_egress(SUBNET)
    assert rules(ruleset()) == EXPECTED
    assert subnets() == [SUBNET, SUBNET6]
    assert read_egress()["ports"] == [Element("", "10.0.0.9/32", 6, 1, 2)]


@pytest.mark.parametrize(
    ("made", "changed"),
    [
        ("table inet pynetstrat {", "table inet pynetstrat {\nflags dormant\n"),
        ("priority dstnat; policy accept", "priority dstnat; policy drop"),
        ("hook prerouting priority dstnat", "hook prerouting priority 7"),
        ("hook prerouting priority dstnat", "hook output priority -100"),
    ],
)
def test_a_changed_table_is_restored_with_all_elements(tmp_path, made, changed):
    enable_egress(SUBNET)
    enable_egress(SUBNET6)
    before = ruleset()
    assert made in before
    file = tmp_path / "ruleset"
    file.write_text("flush ruleset\n" + before.replace(made, changed))
    nft("-f", str(file))
    assert ruleset() != before
    enable_egress(SUBNET)
    assert ruleset() == before


def test_a_missing_set_is_restored_with_the_other_elements():
    enable_egress(SUBNET)
    nft("flush", "table", "inet", "pynetstrat")
    nft("delete", "set", "inet", "pynetstrat", "subnets6")
    enable_egress(SUBNET6)
    assert rules(ruleset()) == EXPECTED
    assert subnets() == [SUBNET, SUBNET6]


def test_a_table_without_chains_is_completed():
    nft("add", "table", "inet", "pynetstrat")
    enable_egress(SUBNET)
    assert rules(ruleset()) == EXPECTED
    nft("flush", "ruleset")
    nft("add", "table", "inet", "pynetstrat")
    nft("add", "set", "inet", "pynetstrat", "subnets4", "{ type ipv4_addr; flags interval; }")
    nft("add", "element", "inet", "pynetstrat", "subnets4", f"{{ {SUBNET} }}")
    with Session(None) as session:
        masquerade(session.nft, "owner", ["10.0.0.9"])
    assert rules(ruleset()) == EXPECTED
    assert subnets() == [SUBNET]


@pytest.mark.parametrize(
    "form",
    [
        "{ type ether_addr; }",
        "{ type ether_addr; elements = { 02:00:00:00:00:01 }; }",
        "{ type ipv4_addr; flags interval; size 1; elements = { 10.9.0.0/24 }; }",
    ],
)
def test_sets_of_another_program_are_an_error_with_the_remedy(form):
    nft("add", "table", "inet", "pynetstrat")
    nft("add", "set", "inet", "pynetstrat", "subnets4", form)
    remedy = "nft delete table inet pynetstrat"
    with pytest.raises(KernelError, match=remedy):
        enable_egress(SUBNET)
    if "ether_addr; elements" in form:
        with pytest.raises(KernelError, match=remedy):
            read_egress()
    nft("delete", "table", "inet", "pynetstrat")
    enable_egress(SUBNET)
    assert subnets() == [SUBNET]


def test_elements_and_tables_of_others_are_left_alone():
    nft("add", "table", "inet", "other")
    enable_egress(SUBNET)
    nft("add", "element", "inet", "pynetstrat", "subnets4", "{ 10.9.0.1-10.9.0.4 }")
    disable_egress(SUBNET)
    assert subnets() == ["10.9.0.1/32", "10.9.0.2/31", "10.9.0.4/32"]
    assert "table inet other" in ruleset()


def test_calls_succeed_while_another_program_changes_nf_tables(tmp_path):
    enable_egress(SUBNET)
    file = tmp_path / "changes"
    file.write_text("add table ip busy\n" * 50 + "delete table ip busy\n")
    stop = threading.Event()

    def disturb():
        while not stop.is_set():
            subprocess.run(["nft", "-f", str(file)], check=True)

    with containers(0):
        thread = threading.Thread(target=disturb)
        thread.start()
        try:
            for number in range(100):
                enable_egress(f"10.8.{number}.0/24")
                disable_egress(f"10.8.{number}.0/24")
        finally:
            stop.set()
            thread.join()
    assert subnets() == [SUBNET]


def before_first(monkeypatch, name, *command):
    """Runs `nft` before the first call of a method of NftTable."""
    original, calls = getattr(NftTable, name), []

    def method(self, *arguments, **options):
        calls.append(arguments)
        if len(calls) == 1:
            nft(*command)
        return original(self, *arguments, **options)

    monkeypatch.setattr(NftTable, name, method)


def test_a_subnet_that_is_deleted_meanwhile_is_added(monkeypatch):
    enable_egress(SUBNET)
    deletion = f"delete element inet pynetstrat subnets4 {{ {SUBNET} }}"
    before_first(monkeypatch, "elements", deletion)
    enable_egress(SUBNET)
    assert subnets() == [SUBNET]


def test_a_table_that_is_deleted_while_it_is_restored_is_made(monkeypatch):
    nft("add table inet pynetstrat")
    original = NftTable._restore

    def restore(self, generation, *, exists):
        if exists and "pynetstrat" in ruleset():
            nft("delete table inet pynetstrat")
            generation = self._nft.generation()
        return original(self, generation, exists=exists)

    monkeypatch.setattr(NftTable, "_restore", restore)
    enable_egress(SUBNET)
    assert subnets() == [SUBNET]


def test_a_table_that_is_deleted_while_an_address_changes_hands_is_made(monkeypatch):
    with Session(None) as session:
        masquerade(session.nft, "one", ["10.0.0.2/32"])
        before_first(monkeypatch, "change", "flush ruleset")
        masquerade(session.nft, "two", ["10.0.0.2/32"])
    assert [(one.address, one.owner) for one in read_egress()["hosts"]] == [("10.0.0.2/32", "two")]


def test_a_table_that_is_deleted_while_it_is_inspected_has_no_fault(monkeypatch):
    enable_egress(SUBNET)
    original = NftSocket.count_rules

    def count_rules(self):
        count = original(self)
        nft("delete table inet pynetstrat")
        return count

    monkeypatch.setattr(NftSocket, "count_rules", count_rules)
    with Session(None) as session:
        assert session.nft.fault() == ""


def test_many_processes_make_the_table_at_once():
    program = (
        "import sys, pynetstrat\n"
        "sys.stdin.read()\n"
        "pynetstrat.enable_egress(f'10.{sys.argv[1]}.0.0/16')\n"
    )
    command = [support.sys.executable, "-c", program]
    processes = [
        subprocess.Popen([*command, str(number)], stdin=subprocess.PIPE) for number in range(8)
    ]
    for process in processes:
        process.stdin.close()
    assert [process.wait(60) for process in processes] == [0] * 8
    assert subnets() == [f"10.{number}.0.0/16" for number in range(8)]
    assert rules(ruleset()) == EXPECTED


# ---- single addresses ----


def test_single_addresses_are_masqueraded_by_owner():
    with Session(None) as session:
        masquerade(session.nft, "web-1", ["10.1.0.2/32", "fd01::2/128"])
        masquerade(session.nft, "web-2", ["10.1.0.3/32"])
        hosts = {(one.address, one.owner) for one in read_egress()["hosts"]}
        assert hosts == {
            ("10.1.0.2/32", "web-1"),
            ("fd01::2/128", "web-1"),
            ("10.1.0.3/32", "web-2"),
        }
        for _ in range(2):
            session.nft.withdraw(SETS, lambda element: element.owner == "web-1")
    assert [one.address for one in read_egress()["hosts"]] == ["10.1.0.3/32"]
    assert 'elements = { 10.1.0.3 comment "web-2" }' in ruleset()


def test_a_single_address_within_a_subnet_is_no_conflict():
    enable_egress(SUBNET)
    with Session(None) as session:
        masquerade(session.nft, "web-1", ["10.0.0.2/32"])
    assert subnets() == [SUBNET]


def test_a_single_address_passes_to_the_owner_that_has_it_now():
    with Session(None) as session:
        masquerade(session.nft, "old", ["10.1.0.2/32"])
        masquerade(session.nft, "new", ["10.1.0.2/32"])
        session.nft.withdraw(SETS, lambda element: element.owner == "old")
    assert [one.owner for one in read_egress()["hosts"]] == ["new"]


# ---- refused ----


@pytest.mark.parametrize(
    ("subnet", "reason"),
    [
        ("10.0.0.1/24", "host bits"),
        ("fd00::1/64", "host bits"),
        ("10.0.0.0", "must have a prefix length"),
        ("10.0.0.0/33", "must be an IPv4 or IPv6 address"),
        ("0.0.0.0/0", "must not be every address"),
        ("::/0", "must not be every address"),
        ("127.0.0.0/8", "must not be a loopback address"),
        ("224.0.0.0/4", "must not be a multicast address"),
        ("", "must be an IPv4 or IPv6 address"),
        (7, "must be an IPv4 or IPv6 address"),
    ],
)
def test_an_invalid_subnet_is_refused(subnet, reason):
    for call in (enable_egress, disable_egress):
        with pytest.raises(InvalidNetworkError, match=reason) as caught:
            call(subnet)
        assert caught.value.field == "subnet"
    assert ruleset() == ""


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("10.0.0.0/24", "10.0.0.0/16"),
        ("10.0.0.0/24", "10.0.0.0/25"),
        ("10.0.0.0/24", "10.0.0.128/25"),
        ("10.0.0.128/25", "10.0.0.0/24"),
        ("10.0.0.0/24", "10.0.0.255/32"),
        ("fd00::/64", "fd00::/48"),
        ("fd00::/64", "fd00::ffff:0:0:0/80"),
    ],
)
def test_a_subnet_that_overlaps_another_is_refused_by_name(first, second):
    enable_egress(first)
    before = ruleset()
    for call in (enable_egress, disable_egress):
        with pytest.raises(InvalidNetworkError, match=f"must not overlap {first}"):
            call(second)
        assert ruleset() == before


def test_two_subnets_are_not_disabled_as_one():
    """The first address of one and the last of the other are those of this subnet."""
    enable_egress("10.0.0.0/24")
    enable_egress("10.0.255.0/24")
    with pytest.raises(InvalidNetworkError, match="must not overlap"):
        disable_egress("10.0.0.0/16")
    assert subnets() == ["10.0.0.0/24", "10.0.255.0/24"]


def test_without_a_capability_the_error_names_it():
    with support.without(support.CAP_NET_ADMIN):
        for call in (enable_egress, disable_egress):
            with pytest.raises(PermissionDeniedError, match="CAP_NET_ADMIN"):
                call(SUBNET)


def test_without_nf_tables_the_error_says_so():
    done = support.python(
        support.refuse("socket", "errno.EPROTONOSUPPORT", (2, 12)) + "import pynetstrat\n"
        "try: pynetstrat.enable_egress('10.0.0.0/24')\n"
        "except pynetstrat.NetlinkUnavailableError as error: print(error)\n"
    )
    assert "modprobe nfnetlink" in done.stdout, done.stderr


# ---- forwarding ----


@pytest.mark.parametrize("subnet", [SUBNET, SUBNET6])
def test_a_host_that_does_not_forward_is_refused_with_the_remedy(subnet):
    sysctl("ipv4/ip_forward", "0")
    sysctl("ipv6/conf/all/forwarding", "0")
    with pytest.raises(InvalidNetworkError, match=r"run sysctl net\.ipv") as caught:
        enable_egress(subnet)
    assert caught.value.field == "subnet"
    assert ruleset() == ""
    assert read("ipv4/ip_forward") == "0"


def read(name):
    return Path("/proc/sys/net", name).read_text().strip()


def test_a_setting_that_cannot_be_read_is_not_taken_for_0(monkeypatch, tmp_path):
    (tmp_path / "ipv4/conf/all/forwarding").mkdir(parents=True)
    monkeypatch.setattr("pynetstrat.wiring._forwarding._SETTINGS", str(tmp_path))
    with pytest.raises(KernelError, match=r"open .*/forwarding: Is a directory"):
        enable_egress("10.0.0.0/24")


def test_forwarding_of_the_bridge_and_the_uplink_is_enough(bridge):
    sysctl("ipv4/ip_forward", "0")
    subprocess.run(
        "ip link add up0 type veth peer name up1",
        shell=True,
        check=True,
    )
    sysctl("ipv4/conf/up0/forwarding", "1")
    with pytest.raises(InvalidNetworkError, match="does not forward IPv4 from br0"):
        enable_egress(SUBNET)
    sysctl("ipv4/conf/up0/forwarding", "0")
    sysctl("ipv4/conf/br0/forwarding", "1")
    with pytest.raises(InvalidNetworkError, match="from any interface that leads out"):
        enable_egress(SUBNET)
    sysctl("ipv4/conf/up0/forwarding", "1")
    enable_egress(SUBNET)
    assert subnets() == [SUBNET]


def test_the_constants_are_those_of_the_table():
    enable_egress(SUBNET)
    assert sum(line.startswith("\t\t") for line in EXPECTED.splitlines()) - 3 == RULES
    assert ruleset().count("\tset ") + ruleset().count("\tmap ") == len(SETS)
