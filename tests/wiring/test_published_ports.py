"""wiring/_published.py and _publishing.py: published ports in the table, and what is refused."""

from __future__ import annotations

import errno
import socket
import subprocess
import threading
import time
from dataclasses import replace

import pytest
import support
from helpers_egress import HOST, SUBNET, World, ask, nft, ruleset, served, sysctl
from helpers_network import names

from pynetstrat import (
    InvalidNetworkError,
    KernelError,
    NetlinkUnavailableError,
    Network,
    NetworkNamespace,
    TeardownError,
    check_networks,
    enable_egress,
    set_up_networks,
    tear_down_networks,
)
from pynetstrat.wiring._published import PublishedPort, parse_port
from pynetstrat.wiring._session import Session
from pynetstrat.wiring.egress import masquerade, read_egress


@pytest.fixture
def world(net):
    world = World()
    yield world
    world.close()


def ports():
    """The published ports of IPv4: their numbers and owners."""
    return {(one.port, one.owner) for one in read_egress()["ports"] if "." in one.target}


# ---- texts ----


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("8080:80/tcp", PublishedPort("", 8080, 80, "tcp")),
        ("1:65535/udp", PublishedPort("", 1, 65535, "udp")),
        ("192.0.2.1:53:5353/udp", PublishedPort("192.0.2.1", 53, 5353, "udp")),
        ("[2001:DB8::1]:53:53/sctp", PublishedPort("2001:db8::1", 53, 53, "sctp")),
        ("[fd00:0:0:0:0:0:0:1]:1:2/tcp", PublishedPort("fd00::1", 1, 2, "tcp")),
    ],
)
def test_a_port_is_read_from_its_text(text, port):
    assert parse_port(text) == port


INVALID = [
    ("", "must be"),
    ("8080", "must be"),
    ("8080:80", "must be"),
    ("8080/tcp", "must be"),
    (":80/tcp", "must be"),
    ("8080:/tcp", "must be"),
    ("a:80/tcp", "must be"),
    ("+1:80/tcp", "must be"),
    ("1_0:80/tcp", "must be"),
    ("\u0661:80/tcp", "must be"),
    ("8080 :80/tcp", "must be"),
    ("8080:80/tcp/udp", "the protocol must be"),
    ("8080:80/TCP", "the protocol must be"),
    ("8080:80/icmp", "the protocol must be"),
    ("0:80/tcp", "a port must be from 1 to 65535"),
    ("8080:0/tcp", "a port must be from 1 to 65535"),
    ("65536:80/tcp", "a port must be from 1 to 65535"),
    ("8080:65536/tcp", "a port must be from 1 to 65535"),
    ("999999:80/tcp", "must be"),
    ("eth0:8080:80/tcp", "must be"),
    ("192.0.2.1/24:8080:80/tcp", "must be"),
    ("192.0.2:8080:80/tcp", "must be"),
    ("2001:db8::1:53:53/udp", "must be"),
    ("[192.0.2.1]:53:53/udp", "must be"),
    ("[2001:db8::1]53:53/udp", "must be"),
    (":8080:80/tcp", "must be"),
    ("127.0.0.1:8080:80/tcp", "must not be a loopback address"),
    ("127.1.2.3:8080:80/tcp", "must not be a loopback address"),
    ("[::1]:8080:80/tcp", "must not be a loopback address"),
    ("0.0.0.0:8080:80/tcp", "must not be the unspecified address: leave it out"),
    ("[::ffff:127.0.0.1]:8080:80/tcp", "must not be an IPv4-mapped one"),
    ("[::ffff:192.0.2.1]:8080:80/tcp", "must not be an IPv4-mapped one"),
    ("[::]:8080:80/tcp", "must not be the unspecified address: leave it out"),
    ("224.0.0.1:8080:80/tcp", "must not be a multicast address"),
    ("255.255.255.255:8080:80/tcp", "must not be the broadcast address"),
]


def test_an_invalid_text_is_refused_before_anything_is_made(world):
    for text, reason in INVALID:
        with pytest.raises(InvalidNetworkError, match=reason) as caught:
            world.add(2, publish=[text])
        assert (caught.value.field, caught.value.value) == ("publish", text)
        assert caught.value.network == "eth0"
    assert ruleset() == ""


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"publish": ["8080:80/tcp", "8080:81/tcp"]}, "must not be published twice"),
        (
            {"publish": ["[2001:db8::1]:8080:80/tcp"], "ipv6_address": "", "ipv6_gateway": ""},
            "requires an IPv6 address",
        ),
        (
            {"publish": ["192.0.2.1:8080:80/tcp"], "address": "", "gateway": ""},
            "requires an IPv4 address",
        ),
        (
            {
                "publish": ["8080:80/tcp"],
                "address": "",
                "gateway": "",
                "ipv6_address": "",
                "ipv6_gateway": "",
            },
            "requires an address",
        ),
        ({"publish": "8080:80/tcp"}, "must be a list"),
        ({"publish": [8080]}, "must be text"),
    ],
)
def test_ports_that_the_container_cannot_have_are_refused(world, fields, reason):
    with pytest.raises(InvalidNetworkError, match=reason):
        world.add(2, **fields)
    assert ruleset() == ""


def test_the_same_port_in_two_networks_of_one_call_is_refused(world):
    networks = [
        world.network(2, publish=["8080:80/tcp"]),
        world.network(3, name="eth1", gateway="", ipv6_gateway="", publish=["8080:80/tcp"]),
    ]
    with (
        NetworkNamespace.create() as netns,
        pytest.raises(InvalidNetworkError, match='"eth0" publishes the port 8080/tcp, too'),
    ):
        set_up_networks(networks, netns=netns)
    assert ruleset() == ""


@pytest.mark.parametrize("type", ["loopback", "host-device"])
def test_other_strategies_refuse_published_ports(world, type):
    network = Network(type, name="lo", publish=["8080:80/tcp"])
    with NetworkNamespace.create() as netns, pytest.raises(InvalidNetworkError, match="publish"):
        set_up_networks([network], netns=netns)


def test_publish_has_a_json_form(world):
    network = world.network(2, publish=["8080:80/tcp"])
    assert network.to_dict()["publish"] == ["8080:80/tcp"]
    assert Network.from_dict(network.to_dict()) == replace(network, publish=("8080:80/tcp",))


# ---- the table ----


def test_an_element_has_the_owner_as_its_comment(world):
    world.add(2, owner='web "1" ä', publish=["8080:80/tcp", f"{HOST}:53:5353/udp"])
    shown = ruleset()
    comment = 'comment "web "1" ä"'
    assert f"tcp . 8080 {comment} : 10.0.0.2 . 80" in shown
    assert f"{HOST} . udp . 53 {comment} : 10.0.0.2 . 5353" in shown
    assert f"tcp . 8080 {comment} : fd00:a::2 . 80" in shown
    assert f"10.0.0.0/24 . 10.0.0.2 {comment}" in shown


def test_the_longest_owner_is_kept(world):
    owner = "x" * 244
    container = world.add(2, owner=owner, publish=["8080:80/tcp"])
    assert ports() == {(8080, owner)}
    tear_down_networks(world.made, netns=container)
    assert ports() == set()


def test_a_network_without_an_owner_is_published_and_withdrawn(world):
    container = world.add(2, owner="", publish=["8080:80/tcp"])
    assert ports() == {(8080, world.made[1].host_interface_name)}
    assert check_networks(world.made, netns=container) == []
    tear_down_networks(world.made, netns=container)
    assert ports() == set()


def test_a_port_costs_one_send(world, tmp_path):
    world.add(3, publish=["1:1/tcp"])
    code = (
        "import os\n"
        "from pynetstrat import Network, NetworkNamespace, set_up_networks, tear_down_networks\n"
        "for publish in [], ['8080:80/tcp']:\n"
        "    network = Network('veth', name='eth0', bridge='br0', address='10.0.0.2/24',\n"
        "                      owner='a', publish=publish)\n"
        "    with NetworkNamespace.create() as netns:\n"
        "        os.access('/begin', 0) if publish else os.access('/first', 0)\n"
        "        set_up_networks([network], netns=netns)\n"
        "        os.access('/end', 0) if publish else os.access('/middle', 0)\n"
        "        tear_down_networks([network], netns=netns)\n"
    )
    support.trace(code, tmp_path / "trace", "-e", "trace=sendto,access")
    calls = [line.split(None, 1)[1] for line in (tmp_path / "trace").read_text().splitlines()]

    def sends(begin, end):
        at = [next(i for i, call in enumerate(calls) if name in call) for name in (begin, end)]
        return sum(call.startswith("sendto") for call in calls[slice(*at)])

    assert sends('"/begin"', '"/end"') == sends('"/first"', '"/middle"') + 1


def test_a_thousand_ports_of_one_container(world):
    publish = [f"{port}:{port}/tcp" for port in range(10001, 11001)]
    started = time.monotonic()
    container = world.add(2, publish=publish)
    print(f"1,000 ports of two families: {time.monotonic() - started:.3f} s")
    assert len(ports()) == 1000
    with served(container, 11000):
        assert ask(world.client, HOST, 11000) == "192.0.2.2"
    assert check_networks(world.made, netns=container) == []
    tear_down_networks(world.made, netns=container)
    assert ports() == set()


def test_more_ports_than_the_default_send_buffer_holds(world):
    """It holds some 200 KiB, and a transaction can't be sent in parts.

    Root of a user namespace may only double it (net.core.wmem_max).
    """
    publish = [f"{port}:80/tcp" for port in range(10001, 11001)]
    container = world.add(2, publish=publish, owner="x" * 60)
    assert len(ports()) == 1000
    enable_egress(SUBNET)
    nft("flush", "chain", "inet", "pynetstrat", "published")
    missing = check_networks(world.made, netns=container)
    assert missing == [
        "eth0: rules of the table inet pynetstrat are missing; a second enable_egress restores the "
        "table"
    ]
    enable_egress(SUBNET)
    assert check_networks(world.made, netns=container) == []
    tear_down_networks(world.made, netns=container)
    assert ports() == set()


def test_only_the_ports_of_the_container_are_withdrawn(world):
    one, other = world.add(2, publish=["1:1/tcp"]), world.add(3, publish=["2:2/tcp"])
    made = world.made
    tear_down_networks([world.network(2, publish=["1:1/tcp"])], netns=one)
    assert ports() == {(2, "web-3")}
    tear_down_networks(made, netns=other)
    assert ports() == set()


def test_only_the_ports_of_the_network_are_withdrawn(world):
    """Two networks of one container have one owner."""
    second = {"name": "eth1", "gateway": "", "ipv6_gateway": ""}
    networks = [
        world.network(2, publish=["1:1/tcp"]),
        world.network(3, owner="web-2", publish=["2:2/tcp"], **second),
    ]
    with NetworkNamespace.create() as netns:
        made = set_up_networks(networks, netns=netns)
        tear_down_networks(made[:1], netns=netns)
        assert ports() == {(2, "web-2")}
        tear_down_networks(made, netns=netns)
        assert ports() == set()


def test_ports_are_withdrawn_after_the_namespace_has_ended(world):
    container = world.add(2, publish=["8080:80/tcp"])
    container.close()
    tear_down_networks(world.made)
    assert ports() == set()


def test_a_tear_down_may_be_repeated_and_needs_no_table(world):
    container = world.add(2, publish=["8080:80/tcp"])
    tear_down_networks(world.made, netns=container)
    tear_down_networks(world.made, netns=container)
    nft("flush", "ruleset")
    tear_down_networks(world.made, netns=container)
    assert ruleset() == ""


# ---- taken ----


@pytest.mark.parametrize("text", ["8080:80/tcp", f"{HOST}:8080:80/tcp"])
def test_a_taken_port_is_an_error_that_names_its_owner(world, text):
    world.add(2, publish=[text])
    before, links = ruleset(), names()
    port = text.removesuffix(":80/tcp") + "/tcp"
    with pytest.raises(KernelError, match=f'the port {port} is already published by "web-2"') as e:
        world.add(3, publish=["7:7/udp", text])
    assert e.value.interface == "eth0"
    assert ruleset() == before
    assert names() == links


def test_an_element_of_another_program_is_not_replaced(world):
    enable_egress(SUBNET)
    nft("add", "element", "inet", "pynetstrat", "ports4", "{ tcp . 8080 : 10.0.0.9 . 80 }")
    with pytest.raises(KernelError, match="by an element without an owner"):
        world.add(2, publish=["8080:80/tcp"])
    assert "tcp . 8080 : 10.0.0.9 . 80" in ruleset()


def test_of_two_containers_that_want_one_port_at_once_one_gets_it(world):
    results = {}

    def want(number):
        try:
            results[number] = world.add(number, publish=["8080:80/tcp"])
        except KernelError as error:
            results[number] = error

    for number in range(2, 10, 2):
        support.run_threads(*(lambda n=n: want(n) for n in (number, number + 1)))
        errors = [one for one in results.values() if isinstance(one, KernelError)]
        assert len(errors) == len(results) - 1
        assert "already published by" in str(errors[-1])
        assert len(ports()) == 1
    assert len(results) == 8


# ---- all or nothing ----


def failing(world, number, **fields):
    """Networks of which the second can't be made."""
    return [
        world.network(number, **fields),
        Network("veth", name="eth1", bridge="missing", owner="other"),
    ]


def test_a_rollback_deletes_the_table_that_the_call_has_made(world):
    with (
        NetworkNamespace.create() as netns,
        pytest.raises(InvalidNetworkError, match="must be an existing bridge"),
    ):
        set_up_networks(failing(world, 2, publish=["8080:80/tcp"]), netns=netns)
    assert ruleset() == ""


def test_a_rollback_keeps_the_table_and_the_elements_that_were_there(world):
    world.add(3, publish=["1:1/tcp"])
    before = ruleset()
    with (
        NetworkNamespace.create() as netns,
        pytest.raises(InvalidNetworkError, match="must be an existing bridge"),
    ):
        set_up_networks(failing(world, 2, publish=["8080:80/tcp"]), netns=netns)
    assert ruleset() == before


def test_a_rollback_restores_what_the_call_has_taken_over(world):
    """A left-over port of the owner, and what the table says of an address of another owner."""
    world.add(2, owner="other", publish=["1:1/tcp"])
    nft('add element inet pynetstrat ports4 { tcp . 8080 comment "web-2" : 10.0.0.5 . 80 }')
    before, bad = ruleset(), Network("veth", name="eth1", bridge="br0", address="10.0.0.9/24")
    bad.gateway, bad.metric = "192.0.2.99", 7
    network = world.network(2, publish=["8080:80/tcp"])
    with NetworkNamespace.create() as netns, pytest.raises(KernelError, match="gateway"):
        set_up_networks([network, bad], netns=netns)
    assert sorted(ruleset().split()) == sorted(before.split())


def test_after_flush_ruleset_the_next_container_is_published(world):
    world.add(2, publish=["1:1/tcp"])
    nft("flush", "ruleset")
    container = world.add(3, publish=["8080:80/tcp"])
    with served(container, 80):
        assert ask(world.client, HOST, 8080) == "192.0.2.2"


@pytest.mark.parametrize(("number", "rate"), [(2, 0), (5, 0), (5, 10**6)])
def test_what_a_killed_set_up_left_is_taken_over_by_the_next(world, number, rate):
    """Also if the container has another address now, and if it has an ifb."""
    enable_egress(SUBNET)
    nft(
        'add element inet pynetstrat ports4 { tcp . 8080 comment "web-2" '
        f": 10.0.0.{number} . 80 }}"
    )
    container = world.add(2, publish=["8080:80/tcp"], rate_out=rate)
    assert [one.target for one in read_egress()["ports"]] == ["10.0.0.2/32", "fd00:a::2/128"]
    tear_down_networks(world.made, netns=container)
    assert ports() == set()


@pytest.mark.parametrize("number", [2, 5])
def test_what_a_killed_set_up_left_is_withdrawn_by_its_owner(world, number):
    enable_egress(SUBNET)
    nft(
        'add element inet pynetstrat ports4 { tcp . 8080 comment "web-2" '
        f": 10.0.0.{number} . 80 }}"
    )
    tear_down_networks([world.network(2, publish=["8080:80/tcp"])])
    assert ports() == set()


def test_a_live_container_of_the_same_owner_keeps_its_port(world):
    world.add(2, owner="app", host_interface_name="h2", publish=["8080:80/tcp"])
    with pytest.raises(KernelError, match='already published by "app"'):
        world.add(3, owner="app", host_interface_name="h3", publish=["8080:80/tcp"])


def test_the_tear_down_of_a_network_that_did_not_get_a_port_leaves_it_to_the_owners_other(world):
    container = world.add(2, owner="app", publish=["8080:80/tcp"])
    second = {"name": "eth1", "gateway": "", "ipv6_gateway": ""}
    failed = world.network(3, owner="app", publish=["8080:80/tcp"], **second)
    with pytest.raises(KernelError, match='already published by "app"'):
        set_up_networks([failed], netns=container)
    tear_down_networks([failed], netns=container)
    assert check_networks(world.made, netns=container) == []


def test_a_set_up_that_is_killed_leaves_nothing_that_a_tear_down_cannot_clear(world):
    code = (
        "import os, sys\n"
        "from pynetstrat import Network, NetworkNamespace, set_up_networks\n"
        "from pynetstrat.wiring import _publishing\n"
        "network = Network('veth', name='eth0', bridge='br0', address='10.0.0.2/24',\n"
        "                  owner='web-2', publish=['8080:80/tcp'])\n"
        "from pynetstrat.wiring.setup import set_up\n"
        "set_up([network], NetworkNamespace.create(), lambda _: os.kill(os.getpid(), 9))\n"
    )
    assert support.python(code).returncode == -9
    assert ports() == {(8080, "web-2")}
    network = world.network(2, publish=["8080:80/tcp"], ipv6_address="", ipv6_gateway="")
    tear_down_networks([network])
    assert ports() == set()


# ---- other programs and checks ----


def test_containers_are_published_while_another_program_changes_nf_tables(world, tmp_path):
    file = tmp_path / "changes"
    file.write_text("add table ip busy\n" * 50 + "delete table ip busy\n")
    stop = threading.Event()

    def disturb():
        while not stop.is_set():
            subprocess.run(["nft", "-f", str(file)], check=True)

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        for _ in range(20):
            container = world.add(2, publish=["8080:80/tcp"])
            assert ports() == {(8080, "web-2")}
            tear_down_networks(world.made, netns=container)
            assert ports() == set()
    finally:
        stop.set()
        thread.join()


def checked(world, container):
    return check_networks(world.made, netns=container)


def test_a_check_finds_nothing_right_after_the_set_up(world):
    assert checked(world, world.add(2, publish=["8080:80/tcp", f"{HOST}:53:53/udp"])) == []


@pytest.mark.parametrize(
    ("damage", "difference"),
    [
        ("flush ruleset", "eth0: the port 8080/tcp is not published"),
        ("flush map inet pynetstrat ports4", "eth0: the port 8080/tcp is not published"),
        ("flush set inet pynetstrat neighbours4", "from the container's subnet"),
        ("flush chain inet pynetstrat postrouting", "rules of the table inet pynetstrat are"),
        (
            "add table inet pynetstrat { flags dormant; }",
            "eth0: the table inet pynetstrat is dormant; a second enable_egress restores the table",
        ),
        (
            "add chain inet pynetstrat prerouting { policy drop; }",
            "the chain prerouting of the table inet pynetstrat has another hook, priority or",
        ),
    ],
)
def test_a_check_reports_what_is_missing_or_changed(world, damage, difference):
    container = world.add(2, publish=["8080:80/tcp"])
    nft(*damage.split())
    assert any(difference in one for one in checked(world, container))


@pytest.mark.parametrize("bridge", ["br0", "lan"])
def test_a_check_reports_that_the_bridge_does_not_forward(world, bridge):
    """The bridge is named by its name, also if the network has an alternative one."""
    subprocess.run(["ip", "link", "property", "add", "dev", "br0", "altname", "lan"], check=True)
    container = world.add(2, bridge=bridge, publish=["8080:80/tcp"])
    assert checked(world, container) == []
    sysctl("ipv4/conf/br0/forwarding", "0")
    (difference,) = checked(world, container)
    assert "the host does not forward IPv4 from br0: run sysctl" in difference


@pytest.mark.parametrize(
    ("address", "kind", "shown"),
    [
        ("0.0.0.0", "tcp", "at every address"),
        ("::", "tcp", "at every address"),
        (HOST, "tcp", f"at {HOST}"),
        ("2001:db8::1", "tcp", "at 2001:db8::1"),
        ("0.0.0.0", "udp", "at every address"),
        ("127.0.0.1", "tcp", None),
        ("::1", "udp", None),
    ],
)
def test_a_check_reports_a_port_that_a_process_has_bound(world, address, kind, shown):
    container = world.add(2, publish=[f"8080:80/{kind}"])
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    type = socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM
    with socket.socket(family, type) as sock:
        sock.bind((address, 8080))
        if kind == "tcp":
            sock.listen()
        found = checked(world, container)
    if shown is None:
        assert found == []
    else:
        assert len(found) == 1
        assert f"the port 8080/{kind} is also bound by a process of the host, {shown}" in found[0]
    assert checked(world, container) == []


FIREWALLS = {
    "plain": (
        "table inet fw { chain passing { type filter hook forward priority 0; policy drop; }; }",
        "the chain passing of the table inet fw",
        "nft insert rule inet fw passing iifname br0 accept",
    ),
    "iptables": (
        "table ip filter { chain FORWARD { type filter hook forward priority 0; policy drop; }; }",
        "the chain FORWARD of the table ip filter",
        "iptables -I FORWARD -i br0 -j ACCEPT",
    ),
    "docker": (
        "table ip filter { chain DOCKER-USER { }; "
        "chain FORWARD { type filter hook forward priority 0; policy drop; }; }",
        "the chain FORWARD of the table ip filter",
        "iptables -I DOCKER-USER -i br0 -j ACCEPT",
    ),
    "ufw": (
        "table ip6 filter { chain ufw6-user-forward { }; "
        "chain FORWARD { type filter hook forward priority 0; policy drop; }; }",
        "the chain FORWARD of the table ip6 filter",
        "ufw route allow in on br0",
    ),
    "firewalld": (
        "table inet firewalld { chain filter_FORWARD { type filter hook forward priority 10; }; }",
        "the chain filter_FORWARD of the table inet firewalld",
        "firewall-cmd --zone=trusted --add-interface=br0",
    ),
}


@pytest.mark.parametrize("name", FIREWALLS)
def test_a_check_names_a_chain_that_drops_and_what_to_add(world, name, tmp_path):
    rules, chain, remedy = FIREWALLS[name]
    container = world.add(2, publish=["8080:80/tcp"])
    (tmp_path / "rules").write_text(rules)
    nft("-f", str(tmp_path / "rules"))
    (difference,) = checked(world, container)
    assert chain in difference
    assert remedy in difference


def test_a_check_is_content_with_a_firewall_that_names_the_bridge(world):
    container = world.add(2, publish=["8080:80/tcp"])
    nft("add table inet fw; add chain inet fw passing { type filter hook forward priority 0; }")
    nft("add chain inet fw passing { policy drop; }")
    (difference,) = checked(world, container)
    commands = difference.rpartition(": ")[2]
    subprocess.run(commands, shell=True, check=True)  # the remedy
    assert checked(world, container) == []
    with served(container, 80):
        assert ask(world.client, HOST, 8080) == "192.0.2.2"


def test_chains_that_drop_nothing_forwarded_are_not_named(world, tmp_path):
    container = world.add(2, publish=["8080:80/tcp"])
    (tmp_path / "rules").write_text(
        "table inet fw { chain in { type filter hook input priority 0; policy drop; }; "
        "chain passing { type filter hook forward priority 0; policy accept; }; }"
    )
    nft("-f", str(tmp_path / "rules"))
    assert checked(world, container) == []


# ---- refused by the host ----


def test_a_host_that_does_not_forward_is_refused_and_nothing_is_made(world):
    sysctl("ipv4/conf/br0/forwarding", "0")
    with pytest.raises(InvalidNetworkError, match="does not forward IPv4 from br0") as caught:
        world.add(2, publish=["8080:80/tcp"])
    assert caught.value.field == "publish"
    assert ruleset() == ""


def test_without_nf_tables_nothing_is_left(world):
    code = (
        support.refuse("socket", "errno.EPROTONOSUPPORT", (2, 12)) + "import pynetstrat\n"
        "network = pynetstrat.Network('veth', name='eth0', bridge='br0',\n"
        "    address='10.0.0.2/24', owner='a', publish=['8080:80/tcp'])\n"
        "with pynetstrat.NetworkNamespace.create() as netns:\n"
        "    try: pynetstrat.set_up_networks([network], netns=netns)\n"
        "    except pynetstrat.NetlinkUnavailableError as error: print(error)\n"
    )
    before = names()
    done = support.python(code)
    assert "modprobe nfnetlink" in done.stdout, done.stderr
    assert names() == before


def test_without_a_capability_a_tear_down_says_so(world):
    container = world.add(2, publish=["8080:80/tcp"])
    refused = pytest.raises(
        TeardownError, match=r'interface "eth0": NFT_MSG_GETGEN: .*CAP_NET_ADMIN'
    )
    with support.without(support.CAP_NET_ADMIN), refused:
        tear_down_networks(world.made, netns=container)
    assert ports() == {(8080, "web-2")}


@pytest.mark.parametrize("single", [False, True], ids=["subnet", "address"])
def test_check_networks_reports_what_keeps_a_container_with_egress_inside(world, single):
    container = world.add(2)
    made = world.made
    if single:
        with Session(None) as session:
            masquerade(session.nft, "web-2", ["10.0.0.2/32"])
    else:
        enable_egress(SUBNET)
    assert check_networks(made, netns=container) == []
    nft("flush", "chain", "inet", "pynetstrat", "postrouting")
    nft("add", "table", "inet", "firewall")
    chain = "{ type filter hook forward priority 0; policy drop; }"
    nft("add", "chain", "inet", "firewall", "strict", chain)
    sysctl("ipv4/conf/br0/forwarding", "0")
    rules, forwarding, firewall = check_networks(made, netns=container)[:3]
    assert "rules of the table inet pynetstrat are missing" in rules
    assert "the host does not forward IPv4 from br0" in forwarding
    assert "the chain strict of the table inet firewall drops" in firewall
    if single:  # the other container has no egress
        other = world.add(3)
        assert checked(world, other) == []


def test_a_network_is_checked_on_a_kernel_without_nf_tables(world, monkeypatch):
    container = world.add(2)

    def refuse(*_):
        raise NetlinkUnavailableError(errno.EPROTONOSUPPORT, "socket")

    monkeypatch.setattr("pynetstrat.wiring._session.NftSocket", refuse)
    assert checked(world, container) == []
