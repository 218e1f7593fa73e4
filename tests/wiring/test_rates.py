"""_rates.py: `rate_in` and `rate_out` of a veth."""

from __future__ import annotations

import contextlib
import errno
import json
import socket
import subprocess

import pytest
import support
from faults_for_tests import FailingRequest, at_line
from helpers_network import LO, assert_connects, dumps, names, process_carriers, veth

from pynetstrat import (
    Batch,
    ContainerCounters,
    InvalidNetworkError,
    KernelError,
    Network,
    NetworkNamespace,
    RtnetlinkSocket,
    TeardownError,
    Veth,
    check_networks,
    discover,
    list_owned,
    set_up_networks,
    tear_down_networks,
)
from pynetstrat._native.batch import Message
from pynetstrat._native.qdiscs import NEWTFILTER, add_redirect
from pynetstrat.wiring._links import append
from pynetstrat.wiring._session import Session

pytestmark = pytest.mark.usefixtures("bridge")

IN, OUT = 8_000_000, 4_000_000


def limited(**fields: object) -> Network:
    return veth(**{"rate_in": IN, "rate_out": OUT, **fields})


def _tc(*arguments: str) -> list[dict[str, object]]:
    done = subprocess.run(["tc", "-json", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout or "[]")


def _ifbs(host: RtnetlinkSocket) -> list[str]:
    return [link.name for link in host.dump_links().values() if link.kind == "ifb"]


def _ifb(host: RtnetlinkSocket) -> str:
    (name,) = _ifbs(host)
    return name


# ---- set up ----


def test_rate_in_is_a_tbf_on_the_host_end(host, blue):
    set_up_networks([limited(rate_out=0)], netns=blue)
    (root,) = _tc("qdisc", "show", "dev", "h0")
    assert root["kind"] == "tbf"
    assert root["options"] == {"rate": IN // 8, "burst": 20_000, "lat": 50_000}
    assert _ifbs(host) == []


def test_rate_out_is_a_tbf_on_an_ifb_to_which_the_host_end_redirects(host, blue):
    set_up_networks([limited(rate_in=0)], netns=blue)
    name = _ifb(host)
    ifb = host.get_link(name)
    assert (ifb.up, ifb.alias) == (True, "pynetstrat:c1")
    (root,) = _tc("qdisc", "show", "dev", name)
    assert (root["kind"], root["options"]["rate"]) == ("tbf", OUT // 8)
    assert {qdisc.kind for qdisc in host.dump_qdiscs("h0")} == {"noqueue", "ingress"}
    *_, rule = _tc("filter", "show", "dev", "h0", "parent", "ffff:")
    assert rule["options"]["actions"][0]["to_dev"] == name


@pytest.mark.parametrize(("rate", "burst"), [(1_000_000, 20_000), (10**9, 500_000)])
def test_the_burst_holds_20_kb_and_what_the_rate_sends_in_4_ms(host, blue, rate, burst):
    set_up_networks([limited(rate_in=rate)], netns=blue)
    assert host.dump_qdiscs("h0")[0].options["burst"] == pytest.approx(burst, abs=10)


def test_the_burst_holds_a_packet_of_the_mtu(host, blue):
    made = set_up_networks([limited(bridge="", gateway="", mtu=65535)], netns=blue)
    assert host.dump_qdiscs("h0")[0].options["burst"] == 65549
    assert check_networks(made, netns=blue) == []


def test_the_ifb_has_the_same_name_each_time_and_another_for_another_network(host, blue):
    made = set_up_networks([limited()], netns=blue)
    name = _ifb(host)
    tear_down_networks(made, netns=blue)
    set_up_networks(
        [limited(), limited(name="eth1", host_interface_name="h1", **_second())], netns=blue
    )
    found = _ifbs(host)
    assert name in found
    assert len(set(found)) == 2


def _second() -> dict[str, str]:
    return {"address": "10.0.0.3/24", "gateway": ""}


def test_both_directions_pass_traffic(host, blue):
    set_up_networks([limited()], netns=blue)
    assert_connects(blue, None, "10.0.0.2")
    assert_connects(None, blue, "10.0.0.1")
    by_name = {qdisc.ifindex: qdisc for qdisc in host.dump_qdiscs() if qdisc.kind == "tbf"}
    assert len(by_name) == 2
    assert all(qdisc.packets >= 3 for qdisc in by_name.values())


# ---- what root of the container can do ----


def _sent(container: NetworkNamespace, count: int, least: int = 0) -> int:
    """How many of `count` datagrams of the container arrive at the host within 0.1 s.

    On a busy machine a softirq of the ifb may run later: it waits until `least` have arrived.
    """
    process_carriers(None, container)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("10.0.0.1", 0))
        receiver.settimeout(60)
        with container.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(count):
                sender.sendto(bytes(1400), receiver.getsockname())
        for _ in range(least):
            receiver.recv(2000)
        received = least
        receiver.settimeout(0.1)
        with contextlib.suppress(TimeoutError):
            while True:
                receiver.recv(2000)
                received += 1
        return received


def test_root_of_the_container_cannot_lift_rate_out(host, blue):
    made = set_up_networks([limited(rate_out=20_000)], netns=blue)
    with RtnetlinkSocket(blue) as container:
        (qdisc,) = [q for q in container.dump_qdiscs("eth0") if q.kind != "noqueue"] or [None]
        assert qdisc is None  # nothing of the limit is in the container
        index = container.get_link("eth0").index
        container.execute(Batch().set_link(index, up=False).set_link(index, up=True))
        container.execute(Batch().add_qdisc(index, "tbf", rate=10**9).add_qdisc(index, "ingress"))
        container.execute(Batch().set_link(index, mac="02:00:00:00:00:99", txqueuelen=5000))
        container.execute(Batch().delete_qdisc(index).delete_qdisc(index, "ingress"))
    # The burst holds 13 of them. More would take half a second each.
    assert _sent(blue, 100) < 20
    assert [text for text in check_networks(made, netns=blue) if "rate" in text] == []


def test_what_the_container_sends_is_dropped_without_the_ifb(host, blue):
    set_up_networks([limited()], netns=blue)
    name = _ifb(host)
    assert _sent(blue, 5, 5) == 5
    host.execute(Batch().set_link(name, up=False))
    assert _sent(blue, 5) == 0
    host.execute(Batch().set_link(name, up=True))
    assert _sent(blue, 5, 5) == 5
    host.execute(Batch().delete_link(name))
    assert _sent(blue, 5) == 0


def test_the_counters_include_what_the_ifb_drops(host, blue):
    set_up_networks([limited(rate_out=20_000)], netns=blue)
    assert _sent(blue, 1, 1) == 1  # the others need not wait for the neighbour
    before = host.get_stats("h0", perspective="container").tx_packets
    assert _sent(blue, 100) < 50
    assert host.get_stats("h0", perspective="container").tx_packets - before >= 100
    ifb = _ifb(host)

    def dropped() -> int:
        return sum(q.dropped for q in host.dump_qdiscs(ifb) if q.kind == "tbf")

    support.wait_until(lambda: dropped() >= 50)


# ---- tear down ----


def test_destroy_removes_the_ifb_and_may_be_repeated(host, blue):
    before = names()
    made = set_up_networks([limited()], netns=blue)
    for _ in range(2):
        tear_down_networks(made, netns=blue)
        assert names() == before


def test_a_tear_down_by_a_network_without_the_rate_removes_the_ifb(host, blue):
    set_up_networks([limited()], netns=blue)
    tear_down_networks([veth()], netns=blue)
    assert names() == {"lo", "br0"}


@pytest.mark.parametrize("fields", [{}, {"owner": ""}, {"owner": "", "host_interface_name": ""}])
def test_a_tear_down_after_the_namespace_has_ended_removes_the_ifb(host, new_namespace, fields):
    before = names()
    with NetworkNamespace.create() as namespace:
        made = set_up_networks([limited(**fields)], netns=namespace)
    support.wait_until(lambda: made[0].host_interface_name not in names())
    assert len(_ifbs(host)) == 1
    tear_down_networks(made)
    assert names() == before


def test_a_second_set_up_after_the_namespace_has_ended_replaces_the_ifb(host, blue):
    with NetworkNamespace.create() as namespace:
        set_up_networks([limited()], netns=namespace)
        old = host.get_link(_ifb(host))
    support.wait_until(lambda: "h0" not in names())
    made = set_up_networks([limited()], netns=blue)
    assert host.get_link(_ifb(host)).index != old.index
    assert check_networks(made, netns=blue) == []


def test_an_ifb_without_a_tag_is_removed_by_its_mac(host, blue):
    made = set_up_networks([limited()], netns=blue)
    host.execute(Batch().set_link(_ifb(host), alias=""))
    tear_down_networks(made, netns=blue)
    assert _ifbs(host) == []


@pytest.mark.parametrize("alias", ["", "mine", "pynetstrat:c2"])
def test_an_ifb_of_another_owner_is_left_alone(host, blue, alias):
    made = set_up_networks([limited()], netns=blue)
    name = _ifb(host)
    tear_down_networks(made, netns=blue)
    host.execute(Batch().add_link(name, "ifb", mac="02:00:00:00:00:01"))
    host.execute(Batch().set_link(name, alias=alias))
    tear_down_networks(made, netns=blue)
    assert _ifbs(host) == [name]
    before = dumps()
    with pytest.raises(KernelError, match="already in use") as caught:
        set_up_networks([limited()], netns=blue)
    assert (caught.value.errno, caught.value.interface) == (errno.EEXIST, name)
    assert dumps() == before


def test_an_ifb_whose_alias_was_changed_is_an_error_that_says_so(host, blue):
    made = set_up_networks([limited()], netns=blue)
    host.execute(Batch().set_link(_ifb(host), alias="mine"))
    with pytest.raises(TeardownError, match="its alias is 'mine'") as caught:
        tear_down_networks(made, netns=blue)
    assert caught.value.errors[0].errno == errno.EPERM


def test_a_link_of_another_kind_with_the_name_is_left_alone(host, blue):
    made = set_up_networks([limited()], netns=blue)
    name = _ifb(host)
    tear_down_networks(made, netns=blue)
    host.execute(Batch().add_bridge(name))
    with pytest.raises(KernelError, match="already in use"):
        set_up_networks([limited()], netns=blue)
    tear_down_networks(made, netns=blue)
    assert host.get_link(name).kind == "bridge"


# ---- what differs ----


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("tc qdisc del dev h0 root", "rate_in: the tbf is missing (found: noqueue)"),
        (
            "tc qdisc replace dev h0 root pfifo limit 9",
            "rate_in: the tbf is missing (found: pfifo)",
        ),
        (
            "tc qdisc replace dev h0 root tbf rate 16mbit burst 20000 latency 50ms",
            "rate_in: 16000000 bit/s, not 8000000",
        ),
        (
            "tc qdisc replace dev h0 root tbf rate 8mbit burst 40000 latency 50ms",
            "rate_in: a burst of 40000 bytes, not 20000",
        ),
        (
            "tc qdisc replace dev h0 root tbf rate 8mbit burst 20000 latency 70ms",
            "rate_in: a latency of 0.070 s, not 0.05",
        ),
        ("tc qdisc del dev h0 ingress", "rate_out: what the container sends is not redirected to"),
        (
            "tc filter del dev h0 parent ffff:",
            "rate_out: what the container sends is not redirected to",
        ),
        ("ip link delete IFB", "rate_out: the ifb IFB is missing"),
        ("ip link set IFB down", "rate_out: IFB is down"),
        ("ip link set IFB alias mine", "rate_out: IFB has the alias 'mine', not 'pynetstrat:c1'"),
        ("tc qdisc del dev IFB root", "rate_out: IFB: the tbf is missing"),
        (
            "tc qdisc replace dev IFB root tbf rate 2mbit burst 20000 latency 50ms",
            "rate_out: IFB: 2000000 bit/s, not 4000000",
        ),
    ],
)
def test_check_reports_a_change(host, blue, command, expected):
    made = set_up_networks([LO, limited()], netns=blue)
    assert check_networks(made, netns=blue) == []
    name = _ifb(host)
    words = command.replace("IFB", name).split()
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (found,) = check_networks(made, netns=blue)
    assert found.startswith(f"h0 (host): {expected.replace('IFB', name)}")


def test_check_reports_a_filter_that_comes_first(host, blue):
    made = set_up_networks([limited()], netns=blue)
    index, ifb = host.get_link("h0").index, host.get_link(_ifb(host)).index
    to_ifb = f"u32 match u32 0 0 action mirred egress redirect dev {_ifb(host)}"
    everything = f"protocol all prio 2 {to_ifb}"
    for filters, is_redirected in (
        ([everything], True),
        ([f"protocol ip prio 2 {to_ifb}"], False),
        (["protocol ip prio 1 u32 match ip dst 10.0.0.1 flowid 1:1", everything], False),
    ):
        _tc("filter", "del", "dev", "h0", "parent", "ffff:")
        for words in filters:
            _tc("filter", "add", "dev", "h0", "parent", "ffff:", *words.split())
        with Session(None).host as sock:
            assert (sock.dump_redirects(index)[0] == ifb) == is_redirected
        found = check_networks(made, netns=blue)
        assert any("is not redirected" in text for text in found) != is_redirected


# ---- counted, detached ----


def test_the_ifb_counts_as_no_container(host, blue):
    def count() -> tuple[int, dict[str, set[str]]]:
        with ContainerCounters() as counters:
            counters.add("blue", blue)
            interfaces = {key: set(found) for key, found in counters.read().items()}
        return len(discover().containers), interfaces

    made = set_up_networks([veth()], netns=blue)
    unlimited = count()
    tear_down_networks(made, netns=blue)
    set_up_networks([limited()], netns=blue)
    assert count() == unlimited


@pytest.mark.parametrize(
    "fields", [{}, {"bridge": "", "address": "10.9.0.2/24", "gateway": "10.9.0.1"}]
)
def test_detach_and_attach_keep_the_limits(host, blue, fields):
    made = set_up_networks([limited(**fields)], netns=blue)
    Veth().detach(made[0])
    Veth().attach(made[0])
    assert [text for text in check_networks(made, netns=blue) if "rate" in text] == []


# ---- refused ----


@pytest.mark.parametrize("field", ["rate_in", "rate_out"])
@pytest.mark.parametrize("rate", [1, 12_111, (1 << 40) + 1, -1, 8e6, True, "8mbit"])
def test_an_invalid_rate_is_refused_before_anything_is_made(host, blue, field, rate):
    with pytest.raises(InvalidNetworkError) as caught:
        set_up_networks([veth(**{field: rate})], netns=blue)
    assert caught.value.field == field
    assert "h0" not in names()


def test_one_packet_per_second_is_the_lowest_rate(host, blue):
    made = set_up_networks([limited(rate_in=12_112, rate_out=12_112)], netns=blue)
    assert check_networks(made, netns=blue) == []
    tear_down_networks(made, netns=blue)
    with pytest.raises(InvalidNetworkError, match="at least 72112, which is one packet"):
        set_up_networks([limited(rate_in=70_000, mtu=9000)], netns=blue)
    made = set_up_networks([limited(rate_in=1 << 40, rate_out=1 << 40)], netns=blue)
    assert check_networks(made, netns=blue) == []


@pytest.mark.parametrize("kind", ["tbf", "ingress"])
def test_a_kernel_without_a_queueing_discipline_is_an_error_that_names_it(
    host, blue, monkeypatch, kind
):
    original = Batch.add_qdisc

    def add_qdisc(self, index, requested, **options):
        if requested != kind:
            return original(self, index, requested, **options)
        return original(self, index, "netem")  # which this kernel lacks

    monkeypatch.setattr(Batch, "add_qdisc", add_qdisc)
    before = dumps(), dumps(blue)
    with pytest.raises(KernelError, match=rf"need a kernel that has .* {kind} \(sch_{kind}\)"):
        set_up_networks([limited()], netns=blue)
    assert (dumps(), dumps(blue)) == before


def test_a_kernel_without_ifb_is_an_error_that_names_it(host, blue, monkeypatch):
    original = Batch.add_link

    def add_link(self, name, kind, **settings):
        return original(self, name, "dummy", **settings)  # which this kernel lacks

    monkeypatch.setattr(Batch, "add_link", add_link)
    before = dumps(), dumps(blue)
    with pytest.raises(KernelError, match="need a kernel that has links of the kind ifb"):
        set_up_networks([limited()], netns=blue)
    assert (dumps(), dumps(blue)) == before


@pytest.mark.parametrize("is_executed", [False, True])
def test_after_the_failure_of_any_request_nothing_is_left(host, blue, monkeypatch, is_executed):
    before, target = (dumps(), dumps(blue)), 0
    while True:
        with monkeypatch.context() as patch:
            request = FailingRequest(patch, target, is_executed=is_executed, queries=("get_link",))
            with contextlib.suppress(KernelError):
                made = set_up_networks([limited(hairpin_mode=True)], netns=blue)
        if not request.has_failed:
            break
        assert (names(), names(blue)) == ({"lo", "br0"}, {"lo"}), f"request {target}"
        target += 1
    assert target > 10
    tear_down_networks(made, netns=blue)
    assert (dumps(), dumps(blue)) == before


@pytest.mark.slow
def test_after_an_interrupt_at_any_line_nothing_is_left(host, blue):
    def interrupt() -> None:
        raise KeyboardInterrupt

    before = names(), names(blue)

    for at in range(1, 10_000):
        try:
            with at_line(at, ("_rates.py",), interrupt) as line:
                made = set_up_networks([limited()], netns=blue)
        except KeyboardInterrupt:
            assert (names(), names(blue)) == before, at
            continue
        assert not line.is_reached
        break
    assert at > 30
    assert check_networks(made, netns=blue) == []


def test_a_later_failure_removes_the_ifb(host, blue):
    before = dumps(), dumps(blue)
    second = veth(name="eth1", host_interface_name="br0", **_second())  # a name that is taken
    with pytest.raises(KernelError, match="br0"):
        set_up_networks([limited(), second], netns=blue)
    assert (dumps(), dumps(blue)) == before


def test_list_owned_shows_the_ifb(host, blue):
    set_up_networks([limited()], netns=blue)
    found = [(owned.owner, owned.link.name) for owned in list_owned("c1")]
    assert sorted(found) == [("c1", "h0"), ("c1", _ifb(host))]


def test_the_ifb_is_deleted_although_the_pair_could_not_be(host, blue, monkeypatch):
    made = set_up_networks([limited()], netns=blue)
    name = _ifb(host)

    def refuse(*_: object) -> None:
        raise KernelError(errno.EBUSY, "RTM_DELLINK", "h0")

    with monkeypatch.context() as patch:
        patch.setattr("pynetstrat.wiring.veth.delete_counted", refuse)
        with pytest.raises(TeardownError, match="h0"):
            tear_down_networks(made, netns=blue)
        assert _ifbs(host) == []  # what the container sends is dropped from now on
        host.execute(Batch().add_link(name, "ifb"))
        host.execute(Batch().set_link(name, alias="pynetstrat:c1"))
        patch.setattr("pynetstrat.wiring._rates.delete_by_index", refuse)
        with pytest.raises(TeardownError) as caught:
            tear_down_networks(made, netns=blue)
    (both,) = caught.value.errors
    assert isinstance(both, TeardownError)
    assert len(both.errors) == 2
    tear_down_networks(made, netns=blue)
    assert names() == {"lo", "br0"}


# ---- the filter that redirects ----


@pytest.fixture
def session_socket():
    """A socket of a session, and the indexes of two ifbs: ifbq, ifbr."""
    with Session(None).host as sock:
        sock.execute(Batch().add_link("ifbq", "ifb", up=True).add_link("ifbr", "ifb", up=True))
        yield sock, sock.get_link("ifbq").index, sock.get_link("ifbr").index


def test_a_redirect_is_the_filter_that_tc_shows(session_socket):
    host, index, other = session_socket
    append(
        batch := Batch().add_qdisc(index, "ingress"),
        Message(NEWTFILTER, add_redirect, index, other, link="ifbq"),
    )
    host.execute(batch)
    assert host.dump_redirects(index) == [other]
    shown = _tc("filter", "show", "dev", "ifbq", "parent", "ffff:")
    (action,) = shown[-1]["options"]["actions"]
    assert (action["kind"], action["mirred_action"]) == ("mirred", "redirect")
    assert (action["direction"], action["to_dev"]) == ("egress", "ifbr")
    assert shown[-1]["protocol"] == "all"


def test_a_filter_of_tc_is_read(session_socket):
    host, index, other = session_socket
    host.execute(Batch().add_qdisc(index, "ingress"))
    redirect = ("action", "mirred", "egress", "redirect", "dev", "ifbr")
    rows = [
        ("all", ("u32", "0", "0"), other),
        ("ip", ("u32", "0", "0"), 0),
        ("all", ("ip", "dst", "192.0.2.1"), 0),
    ]
    for protocol, match, target in rows:
        words = ("filter", "add", "dev", "ifbq", "parent", "ffff:", "protocol", protocol)
        _tc(*words, "prio", "1", "u32", "match", *match, *redirect)
        assert host.dump_redirects(index) == [target]
        _tc("filter", "del", "dev", "ifbq", "parent", "ffff:")
