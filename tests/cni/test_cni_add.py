"""cni/: ADD and DEL, with real links."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from helpers_cni import LEASE, VERSIONS, Runtime, forward, owners, path_of, translations
from helpers_network import dumps, ip, link_in, names

from pynetstrat import Batch, NetworkNamespace, RtnetlinkSocket
from pynetstrat.wiring.egress import read_egress

BOTH = {
    "ips": [
        {"address": "10.1.0.2/24", "gateway": "10.1.0.1"},
        {"address": "fd01::2/64", "gateway": "fd01::1"},
    ],
    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}, {"dst": "192.0.2.0/24", "gw": "10.1.0.9"}],
    "dns": {"nameservers": ["10.1.0.1"]},
}
PORTS = [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]


def routes(netns: NetworkNamespace) -> list[tuple[str, str]]:
    with RtnetlinkSocket(netns) as sock:
        return [(route.destination, route.gateway) for route in sock.dump_routes()]


# ---- the result ----


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_the_result_has_the_form_of_its_version(runtime, box, ipam, version):
    ipam.answer("ADD", BOTH)
    answer = runtime.call("ADD", cniVersion=version, isGateway=True)
    bridge, host_end, end = answer["interfaces"]
    assert answer["cniVersion"] == version
    assert (bridge["name"], end["name"]) == ("br7", "eth0")
    assert end["sandbox"] == path_of(box)
    assert "sandbox" not in bridge | host_end
    with RtnetlinkSocket() as host:
        assert bridge["mac"] == host.get_link("br7").mac
        assert host_end["mac"] == host.get_link(host_end["name"]).mac
    assert end["mac"] == link_in(box).mac
    assert [entry.get("mtu") for entry in answer["interfaces"]] == [
        1500 if version == "1.1.0" else None
    ] * 3
    families = {} if version[0] == "1" else {"version": "4"}
    assert answer["ips"][0] == {
        "interface": 2,
        "address": "10.1.0.2/24",
        "gateway": "10.1.0.1",
        **families,
    }
    assert answer["ips"][1].get("version") == (None if version[0] == "1" else "6")
    assert answer["routes"] == BOTH["routes"]
    assert answer["dns"] == BOTH["dns"]
    assert ipam.calls() == ["ADD"]


def test_the_container_has_the_addresses_and_routes_of_ipam(runtime, box, ipam):
    ipam.answer("ADD", BOTH)
    runtime.call("ADD", isGateway=True)
    (end,) = (one for one in ip("address", netns=box) if one["ifname"] == "eth0")
    assert {entry["local"] for entry in end["addr_info"]} >= {"10.1.0.2", "fd01::2"}
    assert {
        ("0.0.0.0/0", "10.1.0.1"),
        ("::/0", "fd01::1"),
        ("192.0.2.0/24", "10.1.0.9"),
    } <= set(routes(box))
    (bridge,) = (one for one in ip("address") if one["ifname"] == "br7")
    assert {entry["local"] for entry in bridge["addr_info"]} >= {"10.1.0.1", "fd01::1"}
    assert owners() == ["cni:net:c1"]


def test_without_isgateway_the_bridge_has_no_address(runtime):
    runtime.call("ADD")
    (bridge,) = (one for one in ip("address") if one["ifname"] == "br7")
    assert bridge["addr_info"] == []


def test_the_default_bridge_is_cni0_and_a_new_one_has_the_mtu(runtime, box):
    runtime.call("ADD", bridge=None, mtu=1400)
    with RtnetlinkSocket() as host:
        assert host.get_link("cni0").mtu == 1400
    assert link_in(box).mtu == 1400


def test_an_existing_bridge_keeps_its_mtu(runtime, box):
    with RtnetlinkSocket() as host:
        host.ensure_bridge("br7", mtu=1600)
        runtime.call("ADD", mtu=1600)
        assert host.get_link("br7").mtu == 1600


def test_isdefaultgateway_adds_default_routes_and_the_missing_gateway(runtime, box, ipam):
    ipam.answer("ADD", {"ips": [{"address": "10.1.0.2/24"}, {"address": "fd01::2/64"}]})
    answer = runtime.call("ADD", isDefaultGateway=True)
    assert answer["routes"] == [
        {"dst": "0.0.0.0/0", "gw": "10.1.0.1"},
        {"dst": "::/0", "gw": "fd01::1"},
    ]
    assert {("0.0.0.0/0", "10.1.0.1"), ("::/0", "fd01::1")} <= set(routes(box))


def test_the_attributes_of_routes_of_version_1_1_are_set(runtime, box, ipam):
    route = {"dst": "192.0.2.0/24", "mtu": 1400, "advmss": 1300, "priority": 7, "table": 100}
    ipam.answer("ADD", {**LEASE, "routes": [route]})
    assert runtime.call("ADD", isGateway=True)["routes"] == [route]
    shown = ip("route", "show", "table", "100", netns=box)
    assert (shown[0]["dst"], shown[0]["metric"]) == ("192.0.2.0/24", 7)


def test_the_dns_of_the_configuration_comes_before_that_of_ipam(runtime, ipam):
    ipam.answer("ADD", BOTH)
    dns = {"nameservers": ["192.0.2.53"], "search": ["example.com"]}
    assert runtime.call("ADD", dns=dns)["dns"] == dns
    runtime.call("DEL")
    assert runtime.call("ADD", dns={"nameservers": []})["dns"] == BOTH["dns"]


def test_a_network_without_ipam_has_the_addresses_of_the_runtime(box):
    runtime = Runtime(netns=path_of(box))
    given = {"ips": ["10.1.0.5/24", "fd01::5/64"]}
    answer = runtime.call("ADD", runtimeConfig=given, isDefaultGateway=True)
    assert [entry["address"] for entry in answer["ips"]] == given["ips"]
    assert ("0.0.0.0/0", "10.1.0.1") in routes(box)
    runtime.call("DEL")
    assert runtime.call("ADD")["ips"] == []  # a link without addresses


@pytest.mark.parametrize(
    "environment,fields",
    [
        ({}, {"runtimeConfig": {"mac": "02:00:00:00:00:07"}}),
        ({}, {"args": {"cni": {"mac": "02:00:00:00:00:07"}}}),
        ({"CNI_ARGS": "IgnoreUnknown=1;MAC=02:00:00:00:00:07"}, {}),
    ],
)
def test_the_mac_of_the_runtime_is_set(runtime, box, environment, fields):
    answer = runtime.call("ADD", environment, **fields)
    assert link_in(box).mac == answer["interfaces"][2]["mac"] == "02:00:00:00:00:07"


def test_hairpin_isolation_sysctls_and_rates_are_set(runtime, box):
    answer = runtime.call(
        "ADD",
        hairpinMode=True,
        isolated=True,
        sysctls={"net.ipv4.conf.IFNAME.arp_notify": 1},
        runtimeConfig={
            "bandwidth": {
                "ingressRate": 8_000_000,
                "ingressBurst": 2**31 - 1,
                "egressRate": 4_000_000,
                "egressBurst": 2**31 - 1,
            }
        },
    )
    with RtnetlinkSocket() as host:
        link = host.get_link(answer["interfaces"][1]["name"])
        assert (link.hairpin, link.isolated) == (True, True)
        rates = {
            qdisc.options["rate"]
            for name in host.dump_links()
            for qdisc in host.dump_qdiscs(name)
            if qdisc.kind == "tbf"
        }
    assert rates == {8_000_000, 4_000_000}
    read = Path("/proc/sys/net/ipv4/conf/eth0/arp_notify").read_text
    assert box.call(read) == "1\n"
    runtime.call("DEL")
    assert names() == {"lo", "br7"}


def test_a_namespace_without_ipv6_gets_it_for_an_ipv6_address(runtime, box, ipam):
    def disable() -> None:
        for name in ("all", "default"):
            Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")

    box.call(disable)
    ipam.answer("ADD", BOTH)
    runtime.call("ADD", isGateway=True)
    assert ("::/0", "fd01::1") in routes(box)


# ---- prevResult ----


def test_the_result_of_an_earlier_plugin_is_kept(runtime, ipam):
    previous = {
        "cniVersion": "1.1.0",
        "interfaces": [{"name": "lo", "sandbox": "/x"}],
        "ips": [{"address": "127.0.0.1/8", "interface": 0}],
        "routes": [{"dst": "192.0.2.0/24"}],
        "dns": {"domain": "example.com"},
    }
    answer = runtime.call("ADD", prevResult=previous)
    assert [entry["name"] for entry in answer["interfaces"]][::3] == ["lo", "eth0"]
    assert answer["interfaces"][0] == previous["interfaces"][0]
    assert [entry["interface"] for entry in answer["ips"]] == [0, 3]
    assert answer["routes"] == previous["routes"]
    assert answer["dns"] == previous["dns"]


# ---- masquerading and ports ----


def test_del_takes_masquerading_and_ports_of_its_attachment_alone(runtime, ipam):
    fields = {"ipMasq": True, "isGateway": True}
    runtime.call("ADD", **fields, runtimeConfig={"portMappings": PORTS})
    ipam.answer("ADD", {"ips": [{"address": "10.1.0.3/24"}]})
    other = {"CNI_IFNAME": "eth1"}
    ports = [{"hostPort": 8081, "containerPort": 80}]
    runtime.call("ADD", other, **fields, runtimeConfig={"portMappings": ports})
    eth0, eth1 = "cni:net:c1/eth0", "cni:net:c1/eth1"
    assert translations() == [
        ("10.1.0.2/32", eth0),
        ("10.1.0.3/32", eth1),
        ("8080", eth0),
        ("8081", eth1),
    ]
    runtime.call("DEL", **fields)
    assert translations() == [("10.1.0.3/32", eth1), ("8081", eth1)]
    runtime.call("DEL", other)
    assert translations() == []
    assert owners() == []


@pytest.mark.parametrize(
    "address,published",
    [
        ("", ["8080/4", "8080/6"]),
        ("0.0.0.0", ["8080/4"]),
        ("::", ["8080/6"]),
        ("10.1.0.1", ["10.1.0.1/4"]),
        ("fd01::1", ["fd01::1/6"]),
    ],
)
def test_the_host_address_of_a_port_is_never_widened(runtime, ipam, address, published):
    ipam.answer("ADD", BOTH)
    ports = [{**PORTS[0], "hostIP": address}]
    runtime.call("ADD", isGateway=True, runtimeConfig={"portMappings": ports})
    found = [
        f"{one.address.split('/')[0] or one.port}/{6 if ':' in one.target else 4}"
        for one in read_egress()["ports"]
    ]
    assert sorted(found) == published


def test_a_taken_port_is_an_error_that_names_its_owner_and_leaves_nothing(runtime, ipam, box):
    fields = {"isGateway": True, "ipMasq": True, "runtimeConfig": {"portMappings": PORTS}}
    runtime.call("ADD", **fields)
    ipam.answer("ADD", {"ips": [{"address": "10.1.0.3/24"}]})
    ipam.calls()
    with NetworkNamespace.create() as second:
        before = dumps(), translations()
        where = {"CNI_CONTAINERID": "c2", "CNI_NETNS": path_of(second)}
        code, text = runtime.fail("ADD", where, **fields)
        assert (code, "cni:net:c1" in text) == (5, True)
        assert (dumps(), translations()) == before
        assert names(second) == {"lo"}
    assert ipam.calls() == ["ADD", "DEL"]


@pytest.mark.parametrize(
    "ports",
    [
        [{"hostPort": 80, "containerPort": 0}],
        [{"hostPort": 0, "containerPort": 80}],
        [{"hostPort": 65536, "containerPort": 80}],
        [{"hostPort": 80, "containerPort": 80, "protocol": "icmp"}],
        [{"hostPort": 80, "containerPort": 80}, {"hostPort": 80, "containerPort": 81}],
        [{"hostPort": 80, "containerPort": 80, "hostIP": "fd00::1"}],
        [{"hostPort": 80, "containerPort": 80, "hostIP": "::"}],
        [{"hostPort": 80, "containerPort": 80, "hostIP": "224.0.0.1"}],
    ],
    ids=str,
)
def test_an_invalid_port_has_code_7_and_the_address_is_released(runtime, ipam, ports):
    code, text = runtime.fail("ADD", runtimeConfig={"portMappings": ports})
    assert code == 7, text
    assert ipam.calls() == ["ADD", "DEL"]
    assert owners() == []


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"mtu": 67}, "mtu"),
        ({"sysctls": {"net.ipv4.ip_forward": "1"}}, "sysctls"),
        ({"runtimeConfig": {"mac": "02:00"}}, "mac"),
        ({"runtimeConfig": {"mac": "01:00:5e:00:00:01"}}, "mac"),
        (
            {"runtimeConfig": {"bandwidth": {"ingressRate": 8}}},
            "runtimeConfig.bandwidth.ingressRate",
        ),
        ({"runtimeConfig": {"bandwidth": {"egressRate": 8}}}, "runtimeConfig.bandwidth.egressRate"),
        ({"runtimeConfig": {"portMappings": [{"hostPort": 80}]}}, "runtimeConfig.portMappings"),
    ],
    ids=str,
)
def test_an_invalid_value_has_code_7_and_the_name_of_cni_and_nothing_is_made(
    runtime, ipam, fields, name
):
    code, text = runtime.fail("ADD", **fields)
    assert code == 7, text
    assert f": invalid {name} " in text
    assert names() == {"lo"}
    assert ipam.calls() == ["ADD", "DEL"]


@pytest.mark.parametrize("fields", [{"ipMasq": True}, {"runtimeConfig": {"portMappings": PORTS}}])
def test_a_host_that_does_not_forward_is_an_error_with_the_remedy(runtime, ipam, fields):
    forward(False)
    code, text = runtime.fail("ADD", **fields)
    assert (code, "sysctl" in text) == (7, True)
    assert ipam.calls() == ["ADD", "DEL"]
    assert owners() == []


# ---- errors ----


def test_ipam_is_not_asked_while_the_interface_exists(runtime, ipam, box):
    runtime.call("ADD")
    assert runtime.fail("ADD")[0] == 4  # the interface exists
    with NetworkNamespace.create() as again:  # the host end exists
        assert runtime.fail("ADD", {"CNI_NETNS": path_of(again)})[0] == 4
    assert ipam.calls() == ["ADD"]
    assert "eth0" in names(box)


def test_after_a_failure_of_its_own_add_ipam_is_not_asked_to_delete(runtime, ipam):
    ipam.fail("ADD", 11, "no addresses left")
    code, text = runtime.fail("ADD")
    assert (code, text) == (11, "IPAM plugin pool: no addresses left")
    assert ipam.calls() == ["ADD"]
    assert names() == {"lo"}


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "{",
        "[]",
        {"ips": 1},
        {"ips": [{"address": "10.1.0.2"}]},
        {"ips": [{}]},
        {"ips": [{"address": "10.1.0.2/24", "gateway": "x"}]},
        {"ips": [{"address": "10.1.0.2/24", "gateway": "fd00::1"}]},
        {"ips": [{"address": "fd00::2/64", "gateway": "10.1.0.1"}]},
        '{"ips": [{"address": "10.1.0.2/24"}], "dns": {"a": NaN}}',
        {"routes": []},
        {"ips": []},
        {**LEASE, "routes": [{"dst": "x"}]},
        {**LEASE, "routes": [{"dst": "0.0.0.0/0", "mtu": -1}]},
        {**LEASE, "dns": []},
    ],
    ids=str,
)
def test_an_invalid_result_of_ipam_is_an_error(runtime, ipam, answer):
    ipam.answer("ADD", answer)
    assert runtime.fail("ADD")[0] in (6, 7)
    assert ipam.calls() == ["ADD", "DEL"]
    assert owners() == []


def test_an_ipam_plugin_that_ends_without_an_error_is_reported(runtime, ipam):
    ipam.answer("ADD", "Segmentation fault", 139)
    code, text = runtime.fail("ADD")
    assert code == 102
    assert "139" in text
    assert "Segmentation fault" in text


def test_the_signal_that_killed_an_ipam_plugin_is_named(runtime, ipam):
    (ipam.folder / "pool").write_text("#!/bin/sh\nkill -KILL $$\n")
    code, text = runtime.fail("ADD")
    assert code == 102
    assert "the IPAM plugin pool ended ADD by signal 9 and without an error" in text


@pytest.mark.parametrize("message", [{}, {"msg": None}, {"msg": ""}])
def test_an_error_of_ipam_may_have_no_message(runtime, ipam, message):
    ipam.answer("ADD", {"code": 7, **message}, 1)
    assert runtime.fail("ADD") == (7, "IPAM plugin pool: ended ADD without a message")


@pytest.mark.parametrize("code", [-1, 0, 1 << 32, True, "7", None])
def test_an_error_of_ipam_without_a_valid_code_is_none(runtime, ipam, code):
    ipam.answer("ADD", {"code": code, "msg": "no"}, 1)
    assert runtime.fail("ADD")[0] == 102


def test_the_texts_of_an_error_are_texts_whatever_ipam_writes(runtime, ipam):
    ipam.answer("ADD", {"code": 7, "msg": {"a": 1}, "details": [1]}, 1)
    _, answer = runtime.try_call("ADD")
    assert answer == {
        "cniVersion": "1.1.0",
        "code": 7,
        "msg": "IPAM plugin pool: {'a': 1}",
        "details": "[1]",
    }


def test_an_ipam_plugin_starts_with_the_default_signal_actions(runtime, ipam):
    program = ipam.folder / "pool"
    program.write_text(f"#!/bin/sh\ngrep SigIgn /proc/self/status > {ipam.folder}/ignored; exit 1")
    runtime.fail("ADD")
    ignored = int((ipam.folder / "ignored").read_text().split()[1], 16)
    assert not ignored & (1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1))


def test_a_missing_ipam_plugin_is_named(runtime, ipam):
    code, text = runtime.fail("ADD", ipam={"type": "absent"})
    assert (code, "absent" in text) == (7, True)
    code, text = runtime.fail("ADD", {"CNI_PATH": ""})
    assert (code, "CNI_PATH" in text) == (4, True)


def test_a_failed_wiring_releases_the_address_and_names_a_failure_to_do_so(runtime, ipam):
    ipam.answer("ADD", {**LEASE, "routes": [{"dst": "192.0.2.0/24", "gw": "203.0.113.1"}]})
    ipam.fail("DEL", 5, "the disk is full")
    code, text = runtime.fail("ADD", isGateway=True)
    assert code == 5
    assert "the disk is full" in text
    assert ipam.calls() == ["ADD", "DEL"]
    assert names() == {"lo", "br7"}


def test_a_name_taken_by_another_kind_of_link_is_an_error(runtime, ipam):
    with RtnetlinkSocket() as host:
        host.execute(Batch().add_veth("br7", "x"))
    assert runtime.fail("ADD")[0] == 5
    assert ipam.calls() == ["ADD", "DEL"]


def test_ipam_gets_the_whole_configuration_and_the_environment(runtime, ipam):
    runtime.call("ADD", further={"a": [1]}, runtimeConfig={"ips": ["10.1.0.9"]})
    given = ipam.stdin("ADD")
    assert given["further"] == {"a": [1]}
    assert given["runtimeConfig"] == {"ips": ["10.1.0.9"]}
    assert (ipam.folder / "calls").read_text() == "ADD c1 eth0\n"


def test_a_variable_without_a_name_is_not_passed_on(runtime, ipam):
    assert runtime.call("ADD", {"": "x"})["ips"]


def test_ipam_gets_no_descriptor_and_no_ignored_signal(runtime, ipam):
    program = ipam.folder / "pool"
    lines = program.read_text().splitlines()
    shows = (
        f"ls -l /proc/$$/fd > {ipam.folder}/fds; grep SigIgn /proc/$$/status > {ipam.folder}/ign"
    )
    program.write_text("\n".join([lines[0], shows, *lines[1:]]) + "\n")
    runtime.call("ADD")
    shown = (ipam.folder / "fds").read_text()
    assert "socket:" not in shown and "net:[" not in shown, shown
    ignored = int((ipam.folder / "ign").read_text().split()[1], 16)
    assert not ignored & 1 << signal.SIGPIPE - 1


@pytest.mark.slow
def test_a_large_configuration_reaches_ipam_although_a_pipe_holds_less(runtime, ipam):
    runtime.call("ADD", further="x" * 1_000_000)
    assert len(ipam.stdin("ADD")["further"]) == 1_000_000


# ---- DEL ----


@pytest.mark.parametrize("netns", ["", "/run/netns/gone"])
def test_del_needs_no_namespace_and_can_be_repeated(runtime, ipam, box, netns):
    before = names(), names(box)
    runtime.call("ADD", isGateway=True, ipMasq=True)
    for _ in range(2):
        assert runtime.call("DEL", {"CNI_NETNS": netns}, ipMasq=True) is None
        assert (names() - {"br7"}, names(box)) == before
        assert translations() == []
    assert ipam.calls() == ["ADD", "DEL", "DEL"]


def test_del_of_an_attachment_that_never_was_succeeds(runtime, ipam):
    assert runtime.call("DEL") is None
    assert ipam.calls() == ["DEL"]


def test_del_works_after_the_interface_was_deleted_or_renamed(runtime, box):
    runtime.call("ADD", ipMasq=True)
    with RtnetlinkSocket(box) as sock:
        sock.execute(Batch().set_link("eth0", up=False, new_name="x0"))
    runtime.call("DEL")
    assert (names(box), owners()) == ({"lo"}, [])
    runtime.call("ADD", ipMasq=True)
    with RtnetlinkSocket(box) as sock:
        sock.delete_links(["eth0"])
    runtime.call("DEL")
    assert translations() == []


def test_del_leaves_the_interfaces_of_others(runtime, box):
    with RtnetlinkSocket() as host:
        host.execute(Batch().add_veth("other", "eth0", netns=box))
    runtime.call("DEL")
    assert "eth0" in names(box)


def test_an_error_of_ipam_is_reported_by_del_after_everything_is_gone(runtime, ipam):
    runtime.call("ADD")
    ipam.fail("DEL", 11, "later")
    assert runtime.fail("DEL") == (11, "IPAM plugin pool: later")
    assert owners() == []


def test_an_unsupported_field_does_not_keep_del_from_cleaning_up(runtime):
    runtime.call("ADD")
    runtime.call("DEL", vlan=5, mtu="x")
    assert owners() == []


# ---- owners ----


def test_a_long_container_id_is_hashed_in_the_owner(runtime):
    environment = {"CNI_CONTAINERID": "c" * 300}
    runtime.call("ADD", environment, ipMasq=True)
    (owner,) = owners()
    assert owner.startswith("cni:net:~")
    assert runtime.fail("ADD", {"CNI_CONTAINERID": "c" * 301})[0] == 4  # eth0 exists
    runtime.call("DEL", {"CNI_CONTAINERID": "c" * 301}, ipMasq=True)
    assert owners() == [owner]
    runtime.call("DEL", environment, ipMasq=True)
    assert (owners(), translations()) == ([], [])


def test_the_length_of_an_owner_is_counted_in_bytes(runtime):
    """The kernel takes any letter in the name of an interface."""
    environment = {"CNI_CONTAINERID": "c" * 225, "CNI_IFNAME": "\u00e9" * 7}
    runtime.call("ADD", environment, ipMasq=True)
    assert len(translations()) == 1
    runtime.call("DEL", environment, ipMasq=True)
    assert (owners(), translations()) == ([], [])


def test_two_networks_and_two_containers_do_not_touch_each_other(runtime, ipam, box):
    runtime.call("ADD", name="net.a")
    ipam.answer("ADD", {"ips": [{"address": "10.1.0.3/24"}]})
    runtime.call("ADD", {"CNI_IFNAME": "eth1"}, name="net")
    runtime.call("DEL", {"CNI_IFNAME": "eth1"}, name="net.a")
    assert sorted(owners()) == ["cni:net.a:c1", "cni:net:c1"]
    runtime.call("DEL", name="net.a")
    assert (owners(), names(box)) == (["cni:net:c1"], {"lo", "eth1"})
