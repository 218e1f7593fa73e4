"""cni/: CHECK, GC and STATUS."""

from __future__ import annotations

from pathlib import Path

import pytest
import support
from helpers_cni import LEASE, Ipam, Runtime, forward, owners, path_of, translations
from helpers_network import containers, ip, names

from pynetstrat import Batch, Network, NetworkNamespace, RtnetlinkSocket, set_up_networks
from pynetstrat.wiring.egress import _open_session

PORTS = [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]
VALID = "cni.dev/valid-attachments"


@pytest.fixture
def attached(runtime, ipam):
    """A runtime whose container is attached, and the result, with which it calls CHECK."""
    ipam.answer(
        "ADD",
        {
            "ips": [
                {"address": "10.1.0.2/24", "gateway": "10.1.0.1"},
                {"address": "fd01::2/64", "gateway": "fd01::1"},
            ],
            "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
        },
    )
    runtime.configuration |= {
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "runtimeConfig": {"portMappings": PORTS},
    }
    runtime.configuration["prevResult"] = runtime.call("ADD")
    ipam.calls()
    return runtime


# ---- CHECK ----


def test_check_is_content_right_after_add_and_asks_ipam(attached, ipam):
    assert attached.call("CHECK") is None
    assert ipam.calls() == ["CHECK"]


@pytest.mark.parametrize("version", ["0.4.0", "1.0.0"])
def test_check_works_in_every_version_that_has_it(attached, version):
    attached.call("DEL")
    result = attached.call("ADD", cniVersion=version, prevResult=None)
    assert attached.call("CHECK", cniVersion=version, prevResult=result) is None


def test_an_older_version_ignores_the_newer_attributes_of_routes(attached, ipam):
    """ADD cannot return them, so that CHECK would not know them."""
    attached.call("DEL")
    route = {"dst": "192.0.2.0/24", "gw": "10.1.0.1"}
    ipam.answer("ADD", {**LEASE, "routes": [{**route, "mtu": 1400, "priority": 7}]})
    result = attached.call("ADD", cniVersion="1.0.0", prevResult=None)
    assert result["routes"] == [route]
    assert attached.call("CHECK", cniVersion="1.0.0", prevResult=result) is None


def test_check_compares_the_rates(runtime):
    def bandwidth(rate: int) -> dict[str, object]:
        return {"bandwidth": {"ingressRate": rate, "egressRate": 8_000_000}}

    result = runtime.call("ADD", runtimeConfig=bandwidth(16_000_000))
    given = {"prevResult": result}
    assert runtime.call("CHECK", **given, runtimeConfig=bandwidth(16_000_000)) is None
    code, text = runtime.fail("CHECK", **given, runtimeConfig=bandwidth(8_000_000))
    assert (code, "rate_in" in text) == (101, True)


def change_port(table):
    table.withdraw([6], lambda element: True)


def change_masquerading(table):
    table.withdraw([2], lambda element: True)


def change_table(_):
    support.run(["nft", "add table inet pynetstrat { flags dormant; }"])


@pytest.mark.parametrize(
    "change,text",
    [
        (Batch().set_link("eth0", up=False), "down"),
        (Batch().set_link("eth0", mac="02:00:00:00:00:99"), "MAC"),
        ("address del 10.1.0.2/24 dev eth0", "10.1.0.2/24"),
        ("address del fd01::2/64 dev eth0", "fd01::2/64"),
        ("route del default", "0.0.0.0/0"),
        (change_port, "8080/tcp"),
        (change_masquerading, "10.1.0.2/32"),
        (change_table, "the table inet pynetstrat is dormant"),
    ],
    ids=range(8),
)
def test_check_names_a_change(attached, box, change, text):
    if isinstance(change, Batch):
        with RtnetlinkSocket(box) as sock:
            sock.execute(change)
    elif isinstance(change, str):
        ip(*change.split(), netns=box)
    else:
        with _open_session(None) as session:
            change(session.nft)
    code, found = attached.fail("CHECK")
    assert code == 101
    assert text in found


def test_check_names_a_gateway_that_the_bridge_has_lost(runtime, ipam):
    answer = {"ips": [*LEASE["ips"], {"address": "fd01::0002/64"}]}
    ipam.answer("ADD", answer)
    result = runtime.call("ADD", isGateway=True)
    assert runtime.call("CHECK", isGateway=True, prevResult=result) is None
    ip("address", "del", "10.1.0.1/24", "dev", "br7")
    ip("address", "add", "10.1.0.1/16", "dev", "br7")  # another length is the administrator's
    assert runtime.call("CHECK", isGateway=True, prevResult=result) is None
    ip("address", "flush", "dev", "br7", "scope", "global")
    _, text = runtime.fail("CHECK", isGateway=True, prevResult=result)
    for gateway in ("10.1.0.1/24", "fd01::1/64"):
        assert f"br7: the address {gateway} is missing" in text
    assert runtime.call("CHECK", isGateway=False, prevResult=result) is None
    ip("link", "del", "br7")
    assert (
        "the bridge br7 is missing" in runtime.fail("CHECK", isGateway=True, prevResult=result)[1]
    )


def test_check_reports_a_missing_host_end_and_an_error_of_ipam(attached, ipam):
    ipam.fail("CHECK", 7, "no lease")
    assert attached.fail("CHECK") == (7, "IPAM plugin pool: no lease")
    attached.call("DEL")
    assert attached.fail("CHECK")[0] == 101


def test_check_accepts_a_mac_that_a_later_plugin_set(attached, box):
    with RtnetlinkSocket(box) as sock:
        sock.execute(Batch().set_link("eth0", mac="02:00:00:00:00:99"))
    attached.configuration["prevResult"]["interfaces"][2]["mac"] = "02:00:00:00:00:99"
    assert attached.call("CHECK") is None


@pytest.mark.parametrize(
    "previous,code",
    [(None, 7), ({}, 7), ({"interfaces": [{"name": "eth0"}]}, 7), ({"ips": 1}, 6)],
)
def test_check_needs_the_result_of_add(attached, previous, code):
    found, text = attached.fail("CHECK", prevResult=previous)
    assert (found, "prevResult" in text) == (code, True)


def test_the_default_route_of_the_first_network_counts(attached, box, ipam):
    other = {"CNI_IFNAME": "eth1"}
    ipam.answer("ADD", {"ips": [{"address": "10.2.0.2/24"}], "routes": [{"dst": "0.0.0.0/0"}]})
    fields = {"name": "second", "bridge": "br8", "runtimeConfig": None}
    result = attached.call("ADD", other, **fields, prevResult=None)
    shown = ip("route", "show", "default", netns=box)
    assert [route["dev"] for route in shown] == ["eth0"]
    assert attached.call("CHECK", other, **fields, prevResult=result) is None
    assert attached.call("CHECK") is None
    attached.call("DEL", other, **fields)
    assert attached.call("CHECK") is None


# ---- GC ----


def attach(namespaces: list[NetworkNamespace], ipam: Ipam) -> None:
    """Attaches containers c0, c1 and so on; two of them with a rate, and so with an ifb."""
    for number, netns in enumerate(namespaces):
        ipam.answer("ADD", {"ips": [{"address": f"10.1.0.{number + 2}/24"}]})
        given = {
            "portMappings": [{"hostPort": 8000 + number, "containerPort": 80}],
            "bandwidth": {"egressRate": 8_000_000} if number < 2 else {},
        }
        runtime = Runtime(ipam, path_of(netns), f"c{number}")
        runtime.call("ADD", ipMasq=True, isGateway=True, runtimeConfig=given)


@pytest.mark.slow
def test_gc_keeps_exactly_the_valid_attachments(box, ipam):
    with containers(5) as (foreign, *namespaces):
        attach(namespaces, ipam)
        ipam.answer("ADD", {"ips": [{"address": "10.1.0.99/24"}]})
        Runtime(ipam, path_of(box), "c0").call("ADD", name="net.b", ipMasq=True)
        network = Network("veth", name="eth0", bridge="br7", owner="somebody")
        set_up_networks([network], netns=foreign)
        ipam.calls()
        runtime = Runtime(ipam)
        valid = [
            {"containerID": "c1", "ifname": "eth0"},
            {"containerID": "c2", "ifname": "eth1"},  # its eth0 is not valid
        ]
        assert runtime.call("GC", **{VALID: valid}) is None
        assert sorted(owners()) == ["cni:net.b:c0", "cni:net:c1", "cni:net:c1", "somebody"]
        assert {owner for _, owner in translations()} == {"cni:net:c1/eth0", "cni:net.b:c0/eth0"}
        assert ipam.calls() == ["GC"]
        assert ipam.stdin("GC")[VALID] == valid
        runtime.call("GC", **{VALID: []})
        assert sorted(owners()) == ["cni:net.b:c0", "somebody"]
        assert not any(name.startswith("ifb") for name in names())


def test_gc_takes_the_older_name_of_the_list_and_refuses_none(attached):
    assert attached.fail("GC")[0] == 7
    assert owners() == ["cni:net:c1"]
    keep = [{"containerID": "c1", "ifname": "eth0"}]
    attached.call("GC", **{"cni.dev/attachments": keep})
    assert owners() == ["cni:net:c1"]
    attached.call("GC", **{"cni.dev/attachments": []})
    assert (owners(), translations()) == ([], [])


@pytest.mark.parametrize(
    "valid",
    [
        *({}, "x", [1], [{}], [{"containerID": 1}], [{"containerID": ""}], [{"containerID": "c1"}]),
        *([{"containerID": "c1", "ifname": name}] for name in (1, "../x", "x" * 16, "\ud800")),
    ],
    ids=ascii,
)
def test_gc_with_an_invalid_list_deletes_nothing(attached, valid):
    code, text = attached.fail("GC", **{VALID: valid})
    assert (code, VALID in text) == (7, True)
    assert owners() == ["cni:net:c1"]


@pytest.mark.parametrize("code,is_error", [(1, False), (3, False), (4, False), (5, True)])
def test_an_ipam_plugin_that_does_not_know_gc_or_status_is_no_error(runtime, ipam, code, is_error):
    ipam.fail("GC", code)
    ipam.fail("STATUS", code)
    assert runtime.try_call("GC", **{VALID: []})[0] == is_error
    assert runtime.try_call("STATUS")[0] == is_error
    assert ipam.calls() == ["GC", "STATUS"]


# ---- STATUS ----


def test_status_is_content_with_a_host_that_forwards(runtime):
    assert runtime.call("STATUS", ipMasq=True) is None


@pytest.mark.slow
@pytest.mark.parametrize("bridge", ["br7", "lan"])
def test_a_bridge_that_forwards_is_enough_also_under_an_alternative_name(runtime, bridge):
    forward(False)
    with RtnetlinkSocket() as host:
        host.ensure_bridge("br7")
        host.execute(Batch().add_altname("br7", "lan").add_link("up0", "ifb"))
    for name in ("br7", "up0"):
        Path(f"/proc/sys/net/ipv4/conf/{name}/forwarding").write_text("1")
    runtime.configuration |= {"bridge": bridge, "ipMasq": True}
    assert runtime.call("STATUS") is None
    result = runtime.call("ADD")
    assert runtime.call("CHECK", prevResult=result) is None
    runtime.call("DEL")


def test_status_has_code_50_if_add_cannot_work(runtime):
    assert runtime.fail("STATUS", ipam={"type": "absent"})[0] == 50
    assert runtime.fail("STATUS", {"CNI_PATH": ""})[0] == 50
    assert runtime.fail("STATUS", bridge="lo")[0] == 50
    forward(False)
    code, text = runtime.fail("STATUS", ipMasq=True)
    assert (code, "sysctl" in text) == (50, True)
    assert runtime.call("STATUS") is None


def test_status_passes_the_error_of_ipam_on(runtime, ipam):
    ipam.fail("STATUS", 51, "the pool is empty")
    assert runtime.fail("STATUS") == (51, "IPAM plugin pool: the pool is empty")
