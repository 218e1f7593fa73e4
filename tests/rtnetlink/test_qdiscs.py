"""Queueing disciplines: attached, read back and detached; each message as tc(8) sends it."""

from __future__ import annotations

import errno
import json
import re
import socket
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetstrat._core import ffi

from pynetstrat import (
    Batch,
    BatchError,
    InterfaceNotFoundError,
    InvalidNetworkError,
    Qdisc,
    RtnetlinkSocket,
)
from pynetstrat._native.batch import Encoded


def _tc(*arguments: str) -> str:
    done = subprocess.run(["tc", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def index(host: RtnetlinkSocket) -> int:
    """An ifb: its index."""
    host.execute(Batch().add_link("ifbq", "ifb", up=True))
    return host.get_link("ifbq").index


def _attached(host: RtnetlinkSocket, index: int) -> list[Qdisc]:
    """The queueing disciplines that a user has attached."""
    return [qdisc for qdisc in host.dump_qdiscs(index) if qdisc.handle]


# ---- the real kernel ----


def test_a_tbf_is_as_tc_shows_it(host, index):
    host.execute(Batch().add_qdisc(index, "tbf", rate=10_000_000, burst=25_000, latency=0.02))
    (shown,) = json.loads(_tc("-json", "qdisc", "show", "dev", "ifbq"))
    assert shown["kind"] == "tbf"
    assert shown["root"] is True
    assert shown["options"] == {"rate": 1_250_000, "burst": 25_000, "lat": 20_000}


@pytest.mark.parametrize("rate", [40_000, 1_000_000, 10**9, 34_359_738_360, 1 << 40])
def test_a_tbf_is_read_back_with_its_options(host, index, rate):
    options = {"rate": rate, "burst": 1_000_000, "latency": 0.125}
    host.execute(Batch().add_qdisc(index, "tbf", handle="17:", **options))
    (found,) = _attached(host, index)
    assert (found.ifindex, found.kind, found.handle, found.parent) == (index, "tbf", "17:", "root")
    step = rate // 8 * 64 // 10**9 + 1  # bytes: the kernel counts the burst's time in 64 ns
    burst, latency = found.options["burst"], found.options["latency"]
    assert found.options["rate"] == rate
    assert abs(burst - 1_000_000) <= step
    limit = min(rate / 8 * 0.125 + 1_000_000, 0xFFFFFFFF)
    assert latency == pytest.approx((limit - burst) * 8 / rate, abs=16 / rate)


def test_a_tbf_without_settings_has_a_burst_of_at_least_20_kb_and_of_4_ms(host, index):
    host.execute(Batch().add_qdisc(index, "tbf", rate=1_000_000))
    assert host.dump_qdiscs(index)[0].options["burst"] == 20_000
    host.execute(Batch().add_qdisc(index, "tbf", rate=80_000_000, replace=True))
    assert host.dump_qdiscs(index)[0].options["burst"] == 40_000


def test_what_is_read_back_can_be_attached_again(host, index):
    def settings():
        found = _attached(host, index)  # without counters: the kernel may send by itself
        return [(qdisc.kind, qdisc.parent, qdisc.handle, qdisc.options) for qdisc in found]

    batch = Batch().add_qdisc(index, "tbf", handle="1:", rate=8_000_000)
    host.execute(batch.add_qdisc(index, "tbf", parent="1:1", handle="2:", rate=4_000_000))
    before = settings()
    assert [(parent, handle) for _, parent, handle, _ in before] == [("root", "1:"), ("1:1", "2:")]
    host.execute(Batch().delete_qdisc(index))
    assert settings() == []
    again = Batch()
    for kind, parent, handle, options in before:
        again.add_qdisc(index, kind, parent=parent, handle=handle, **options)
    host.execute(again)
    assert settings() == before


def test_the_counters_of_a_qdisc_count_what_is_sent_dropped_and_waiting(host):
    Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")  # it would send, too
    host.execute(Batch().add_veth("tx", "rx", up=True).set_link("rx", up=True))
    index = host.get_link("tx").index
    host.execute(Batch().add_qdisc(index, "tbf", rate=800, burst=2000, latency=0))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as packets:
        packets.bind(("tx", 0))
        frame = b"\xff" * 6 + b"\x02" + bytes(5) + b"\x88\xb5" + bytes(986)
        for _ in range(4):  # the burst holds two, and the queue two more
            packets.send(frame)
        with pytest.raises(OSError, match="No buffer space"):
            packets.send(frame)
    (qdisc,) = host.dump_qdiscs("tx")
    assert (qdisc.bytes, qdisc.packets, qdisc.dropped) == (2000, 2, 1)
    assert (qdisc.backlog, qdisc.queued) == (2000, 2)
    assert qdisc.overlimits > 0


def test_every_link_is_dumped_without_a_name(host, index):
    host.execute(Batch().add_qdisc(index, "tbf", rate=8000))
    host.execute(Batch().add_link("ifbr", "ifb", up=True))
    found = {qdisc.ifindex for qdisc in host.dump_qdiscs()}
    assert found >= {index, host.get_link("ifbr").index}
    assert {qdisc.ifindex for qdisc in host.dump_qdiscs("ifbq")} == {index}
    with pytest.raises(InterfaceNotFoundError):
        host.dump_qdiscs("missing")


def test_a_second_qdisc_must_replace_the_first(host, index):
    host.execute(Batch().add_qdisc(index, "tbf", rate=8000))
    with pytest.raises(BatchError, match="already has a queueing discipline") as caught:
        host.execute(Batch().add_qdisc(index, "tbf", rate=16000))
    assert (caught.value.errno, caught.value.operation) == (errno.EEXIST, "RTM_NEWQDISC")
    host.execute(Batch().add_qdisc(index, "tbf", rate=16000, replace=True))
    assert host.dump_qdiscs(index)[0].options["rate"] == 16000


def test_a_missing_qdisc_cannot_be_deleted(host, index):
    for parent in ("root", "ingress", "1:1"):
        with pytest.raises(BatchError, match="RTM_DELQDISC"):
            host.execute(Batch().delete_qdisc(index, parent))


def test_ingress_is_attached_and_detached(host, index):
    host.execute(Batch().add_qdisc(index, "ingress"))
    (found,) = [qdisc for qdisc in host.dump_qdiscs(index) if qdisc.parent == "ingress"]
    assert (found.kind, found.handle, found.options) == ("ingress", "ffff:", {})
    host.execute(Batch().delete_qdisc(index, "ingress"))
    assert all(qdisc.parent == "root" for qdisc in host.dump_qdiscs(index))


def test_a_kind_that_the_kernel_lacks_is_an_error_that_says_so(host, index):
    with pytest.raises(BatchError, match="a module such as sch_tbf may be missing") as caught:
        host.execute(Batch().add_qdisc(index, "netem", delay=0.1))
    assert caught.value.errno == errno.ENOENT


# ---- as tc sends them ----


def _sent_by_tc(tmp_path: Path, *arguments: str) -> bytes:
    """The last message that tc sends, without its sequence number, whether the kernel takes it."""
    trace = tmp_path / "trace"
    command = ["strace", "-o", str(trace), "-e", "trace=sendmsg", "-e", "write=all", "tc"]
    subprocess.run([*command, *arguments], capture_output=True, check=False)
    messages: list[bytes] = []
    for line in trace.read_text().splitlines():
        if line.startswith(" * "):
            messages.append(b"")
        elif found := re.match(r" \| ([0-9a-f]{5})  ((?:[0-9a-f]{2} +)+)", line):
            messages[-1] += bytes.fromhex(found[2])
    return _without_sequence(messages[-1])


def _without_sequence(message: bytes) -> bytes:
    return message[:8] + bytes(4) + message[12:]


def _encoded(batch: Batch) -> bytes:
    encoded = Encoded(batch.messages)
    return ffi.buffer(encoded.batch.data, encoded.batch.used)[:]


@pytest.mark.parametrize(
    ("words", "kind", "options"),
    [
        ("netem delay 10ms", "netem", {"delay": 0.01}),
        ("netem delay 100ms 30ms", "netem", {"delay": 0.1, "jitter": 0.03}),
        ("netem loss 2%", "netem", {"loss": 0.02}),
        ("netem loss 100%", "netem", {"loss": 1}),
        ("netem loss 0.3% duplicate 1%", "netem", {"loss": 0.003, "duplicate": 0.01}),
        ("netem rate 10mbit", "netem", {"rate": 10_000_000}),
        ("netem rate 100gbit limit 5", "netem", {"rate": 10**11, "limit": 5}),
        ("netem", "netem", {}),
        ("fq_codel", "fq_codel", {}),
        ("fq_codel limit 1000 ecn", "fq_codel", {"limit": 1000, "ecn": True}),
        ("fq_codel quantum 300 noecn", "fq_codel", {"quantum": 300, "ecn": False}),
        ("fq_codel target 4ms interval 80ms", "fq_codel", {"target": 0.004, "interval": 0.08}),
    ],
)
def test_the_message_has_the_bytes_that_tc_sends(host, index, tmp_path, words, kind, options):
    sent = _sent_by_tc(tmp_path, "qdisc", "add", "dev", "ifbq", "root", *words.split())
    assert _encoded(Batch().add_qdisc(index, kind, **options)) == sent


def test_handles_parents_and_deletions_have_the_bytes_that_tc_sends(host, index, tmp_path):
    words = ["qdisc", "replace", "dev", "ifbq", "parent", "1:1", "handle", "2a:", "fq_codel"]
    sent = _sent_by_tc(tmp_path, *words)
    batch = Batch().add_qdisc(index, "fq_codel", parent="1:1", handle="2a:", replace=True)
    assert _encoded(batch) == sent
    sent = _sent_by_tc(tmp_path, "qdisc", "del", "dev", "ifbq", "root")
    assert _encoded(Batch().delete_qdisc(index)) == sent
    sent = _sent_by_tc(tmp_path, "qdisc", "add", "dev", "ifbq", "ingress")
    assert _encoded(Batch().add_qdisc(index, "ingress")) == sent


# ---- arguments ----


@pytest.mark.parametrize(
    ("field", "kind", "arguments"),
    [
        ("kind", "htb", {}),
        ("kind", None, {}),
        ("ceil", "tbf", {"rate": 8, "ceil": 9}),
        ("limit", "tbf", {"rate": 8, "limit": 9}),
        ("rate", "ingress", {"rate": 9}),
        ("rate", "tbf", {}),
        ("rate", "tbf", {"rate": 7}),
        ("rate", "tbf", {"rate": True}),
        ("rate", "tbf", {"rate": 8.0}),
        ("rate", "netem", {"rate": 0}),
        ("burst", "tbf", {"rate": 8, "burst": 0}),
        ("burst", "tbf", {"rate": 8, "burst": 1 << 32}),
        ("latency", "tbf", {"rate": 8, "latency": -1}),
        ("latency", "tbf", {"rate": 8, "latency": float("nan")}),
        ("delay", "netem", {"delay": 275}),
        ("delay", "netem", {"delay": "10ms"}),
        ("jitter", "netem", {"jitter": float("inf")}),
        ("loss", "netem", {"loss": 2}),
        ("duplicate", "netem", {"duplicate": False}),
        ("limit", "netem", {"limit": 0}),
        ("target", "fq_codel", {"target": 0}),
        ("quantum", "fq_codel", {"quantum": -1}),
        ("ecn", "fq_codel", {"ecn": 1}),
        ("parent", "tbf", {"rate": 8, "parent": "ingress"}),
        ("parent", "tbf", {"rate": 8, "parent": "1"}),
        ("parent", "tbf", {"rate": 8, "parent": "0:"}),
        ("parent", "tbf", {"rate": 8, "parent": "12345:"}),
        ("parent", "tbf", {"rate": 8, "parent": "0x1:1"}),
        ("parent", "tbf", {"rate": 8, "parent": 1}),
        ("parent", "ingress", {"parent": "1:1"}),
        ("handle", "tbf", {"rate": 8, "handle": "1:1"}),
        ("handle", "tbf", {"rate": 8, "handle": 1}),
        ("handle", "ingress", {"handle": "1:"}),
        ("replace", "tbf", {"rate": 8, "replace": 1}),
    ],
)
def test_an_invalid_argument_is_named(field, kind, arguments):
    batch = Batch()
    with pytest.raises(InvalidNetworkError) as caught:
        batch.add_qdisc(7, kind, **arguments)
    assert caught.value.field == field
    assert len(batch) == 0


def test_an_unknown_option_or_kind_lists_the_known_ones():
    with pytest.raises(InvalidNetworkError, match="the options of tbf are rate, burst, latency"):
        Batch().add_qdisc(7, "tbf", bandwidth=9)
    with pytest.raises(InvalidNetworkError, match="one of tbf, netem, fq_codel, ingress"):
        Batch().add_qdisc(7, "htb")
    with pytest.raises(InvalidNetworkError, match="ingress has none"):
        Batch().add_qdisc(7, "ingress", rate=8)


@pytest.mark.parametrize("index", [0, -1, 1 << 31, True, "lo"])
def test_an_invalid_index_is_refused(index):
    for add in (lambda b: b.add_qdisc(index, "ingress"), lambda b: b.delete_qdisc(index)):
        with pytest.raises(InvalidNetworkError) as caught:
            add(Batch())
        assert caught.value.field == "index"


@given(st.floats(0, 274), st.floats(0, 1), st.integers(8, 1 << 60), st.integers(1, (1 << 32) - 1))
def test_any_valid_option_can_be_encoded(seconds, probability, rate, count):
    batch = Batch().add_qdisc(7, "netem", delay=seconds, loss=probability, rate=rate, limit=count)
    batch.add_qdisc(7, "tbf", rate=rate, burst=count, latency=seconds)
    batch.add_qdisc(7, "tbf", rate=rate)
    assert len(_encoded(batch)) % 4 == 0
