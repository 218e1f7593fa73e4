#!/usr/bin/env python3
"""Writes seeds for the fuzz targets: replies of this kernel, and messages that no kernel sends.

    unshare -Urnm tests/fuzz/capture.py FOLDER

It must run in a network namespace of its own, which it fills with interfaces. Each seed is a file
in FOLDER/decode, /counter, /encode, /error or /socket. See README.md.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from crafted import (
    ACK,
    DONE,
    DUMP,
    ERROR,
    GETADDR,
    GETLINK,
    GETNSID,
    GETQDISC,
    GETROUTE,
    GETSTATS,
    GETTFILTER,
    GROUP_LINK,
    IFNAME,
    INGRESS,
    INTERRUPTED,
    NEWADDR,
    NEWLINK,
    NEWNSID,
    NEWQDISC,
    NEWROUTE,
    NEWSTATS,
    NFT,
    REQUEST,
    attribute,
    every_crafted,
    info,
    message,
    tc_head,
)

SOL_NETLINK, CAP_ACK, EXT_ACK = 270, 10, 11


def get(name: bytes) -> bytes:
    """Asks for a link by name."""
    return message(GETLINK, info() + attribute(IFNAME, name + b"\0"), REQUEST)


def up(name: bytes) -> bytes:
    """Sets a link up."""
    return message(NEWLINK, info(0, 1, 1) + attribute(IFNAME, name + b"\0"), REQUEST | ACK)


def stats(index: int, flags: int = REQUEST) -> bytes:
    """Asks for counters."""
    return message(GETSTATS, struct.pack("=BBHII", 0, 0, 0, index, 1), flags)


def ask(request: bytes, cap: int = 0) -> list[bytes]:
    """The kernel's answer, datagram by datagram."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        sock.setsockopt(SOL_NETLINK, EXT_ACK, 1)
        sock.setsockopt(SOL_NETLINK, CAP_ACK, cap)
        sock.settimeout(0.2)
        sock.send(request)
        datagrams = [sock.recv(65536)]
        try:
            while True:
                datagrams.append(sock.recv(65536))
        except TimeoutError:
            return datagrams


def ip(*words: str) -> None:
    """Runs ip(8)."""
    subprocess.run(["ip", *words], check=True)


def tc(*words: str) -> None:
    """Runs tc(8)."""
    subprocess.run(["tc", *words], check=True)


def captured() -> Iterator[tuple[str, bytes]]:
    """Datagrams of the real kernel."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as watch:
        watch.bind((0, GROUP_LINK))
        watch.settimeout(0.2)
        ip("link", "add", "va", "type", "veth", "peer", "name", "vb")
        ip("link", "set", "va", "up")
        ip("link", "set", "va", "name", "vc")
        ip("link", "del", "vb")
        try:
            for number in range(100):
                yield f"notification-{number}", watch.recv(65536)
        except TimeoutError:
            pass
    ip("link", "add", "va", "type", "veth", "peer", "name", "vb")
    ip("link", "property", "add", "dev", "va", "altname", "an-alternative-name-of-va")
    ip("link", "add", "name", "br0", "type", "bridge")
    ip("link", "set", "va", "master", "br0", "alias", "one end")
    ip("link", "set", "va", "type", "bridge_slave", "hairpin", "on")
    ip("address", "add", "192.0.2.1", "peer", "192.0.2.2/24", "dev", "vb", "label", "vb:1")
    ip("address", "add", "2001:db8::1/64", "dev", "vb", "valid_lft", "900", "preferred_lft", "600")
    ip("link", "set", "vb", "up")
    ip("route", "add", "198.51.100.0/24", "via", "192.0.2.2", "dev", "vb", "metric", "7", "onlink")
    tc(
        "qdisc",
        "add",
        "dev",
        "va",
        "root",
        "tbf",
        "rate",
        "1mbit",
        "burst",
        "20kb",
        "latency",
        "1s",
    )
    tc("qdisc", "add", "dev", "va", "ingress")
    match = (
        "filter",
        "add",
        "dev",
        "va",
        "parent",
        "ffff:",
        "protocol",
        "all",
        "u32",
        "match",
        "u32",
    )
    tc(*match, "0", "0", "action", "mirred", "egress", "redirect", "dev", "vb")
    index = socket.if_nametoindex("va")
    requests = {
        "dump-qdiscs": message(GETQDISC, tc_head(0, 0), REQUEST | DUMP),
        "dump-filters": message(GETTFILTER, tc_head(index, INGRESS), REQUEST | DUMP),
        "link": get(b"lo"),
        "link-veth": get(b"va"),
        "link-missing": get(b"nothing"),
        "up": up(b"lo"),
        "up-missing": up(b"nothing"),
        "stats": stats(1),
        "stats-missing": stats(999),
        "stats-no-filter": message(GETSTATS, bytes(12), REQUEST),
        "dump-links": message(GETLINK, info() + attribute(29, b"\x08\0\0\0"), REQUEST | DUMP),
        "dump-links-with-counters": message(GETLINK, info(), REQUEST | DUMP),
        "dump-stats": stats(0, REQUEST | DUMP),
        "dump-stats-no-filter": message(GETSTATS, bytes(12), REQUEST | DUMP),
        "link-bridge": get(b"br0"),
        "dump-addresses": message(GETADDR, bytes(8), REQUEST | DUMP),
        "dump-routes": message(GETROUTE, bytes(12), REQUEST | DUMP),
        "nsid": message(GETNSID, bytes(4) + attribute(2, struct.pack("=I", os.getpid())), REQUEST),
        "unknown-kind": message(
            NEWLINK,
            info() + attribute(IFNAME, b"x\0") + attribute(18, attribute(1, b"none")),
            REQUEST | ACK | 0x400,
        ),
    }
    for name, request in requests.items():
        for cap in (0, 1):
            for number, datagram in enumerate(ask(request, cap)):
                yield f"{name}-{'capped-' * cap}{number}", datagram


def cut() -> Iterator[tuple[str, bytes]]:
    """Datagrams that did not fit the buffer: how much is missing, and what there is."""
    link = message(NEWLINK, info(7, 1) + attribute(IFNAME, b"eth0\0") + bytes(400))
    ack = message(ERROR, struct.pack("=i", -22) + bytes(400))
    row = message(NEWSTATS, struct.pack("=BBHII", 0, 0, 0, 7, 1) + attribute(1, bytes(64)))
    one = message(77, b"xxxx")
    for name, whole in {"link": link, "ack": ack, "row": row, "second": one + link}.items():
        for left in (8, 16, 24, 36, 60):
            yield f"cut-{name}-{left}", struct.pack("<H", len(whole) - left) + whole[:left]
    for kind, fixed in ((NEWADDR, 8), (NEWROUTE, 12), (NEWNSID, 4), (NEWQDISC, 20), (NFT | 12, 4)):
        whole = message(kind, b"\2" + bytes(fixed + 40))
        yield f"cut-{kind}", struct.pack("<H", 20) + whole[:-20]
    yield "cut-more-than-that", struct.pack("<H", 10) + link[:20]


def counters() -> Iterator[tuple[str, bytes]]:
    """Texts of counters."""
    yield "sysfs", Path("/sys/class/net/lo/statistics/rx_bytes").read_bytes()
    texts = ["", " ", "-1", "+1", "0", "007", "1 2", "0x10", "18446744073709551615", "12a\n"]
    texts += [
        "18446744073709551616",
        "99999999999999999999",
        "100000000000000000000",
        "\v\f\r\t 5\n",
    ]
    texts += ["0" * 40 + "1", "1" * 30 + "x", "12\0", "\0"]
    for number, text in enumerate(texts):
        yield f"text-{number}", text.encode()
    addresses = ["192.0.2.1", "192.0.2.1/24", "192.0.2.1/0", "0.0.0.0/0", "::1/128", "2001:db8::/9"]
    addresses += ["192.0.2.1/33", "192.0.2.1/", "192.0.2.1/024", "192.0.2.1/1x", "192.0.2.1/1000"]
    addresses += ["192.0.2", "::g", "::/129", "1" * 60, "10.0.0.1/-1", "::1/5"]
    for number, text in enumerate(addresses):
        yield f"address-{number}", text.encode()


def requests() -> Iterator[tuple[str, bytes]]:
    """Batches for the encoders: room, then kind, length and name of each."""

    def one(kind: int, name: bytes) -> bytes:
        return bytes([kind, len(name)]) + name

    names = [b"lo", b"eth0", b"", b".", b"..", b"a/b", b"a:b", b"a b", b"caf\xc3\xa0", b"x" * 15]
    names += [b"x" * 16, b"x" * 127, b"x" * 128, b"x" * 16 + b"\xa0", b"tab\t", b"a\1"]
    yield "names", b"\3\xff" + b"".join(one(i % 2, name) for i, name in enumerate(names))
    yield "every-kind", b"\3\xff" + b"".join(one(kind, b"lo\0\1") for kind in range(5))
    yield "dump-with-counters", b"\3\xff" + one(3, b"\1")
    for room in (0, 15, 27, 28, 31, 39, 40, 41):
        yield f"room-{room}", bytes([0, room]) + b"".join(one(kind, b"lo") for kind in range(5))

    begin, append, put, string, u8, u32, nest, end, refuse, finish, much, big, check = range(5, 18)
    number = struct.pack("<I", 0x00050010)  # RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK
    parts = [one(append, b"xyz"), one(append, b""), one(put, b"\3\0\0\0"), one(put, b"")]
    parts += [one(string, b"text"), one(u8, b"\7"), one(u32, b"1234")]
    nested = [one(nest, b"\22"), *parts, one(nest, b"\2"), *parts, one(end, b""), one(end, b"")]
    whole = [one(begin, number), *parts, *nested, one(finish, b"")]
    for room in (0, 10, 16, 17, 20, 30, 40, 60, 100, 0x3FF):
        yield f"parts-{room}", struct.pack(">H", room) + b"".join(whole * 2)
    wide = struct.pack(">H", 0xFFFF)
    yield "refused", wide + b"".join([*whole[:3], one(refuse, b"\1"), *whole[3:], *whole])
    yield "not-begun", wide + one(finish, b"") + one(append, b"x") + one(finish, b"")
    yield "begun-twice", wide + b"".join([*whole[:4], *whole])
    for name, length in (("fits", 65000), ("too-long", 65532), ("longest", 65531)):
        size = one(big, struct.pack("<I", length))
        yield f"value-{name}", wide + b"".join([whole[0], size, one(finish, b"")])
        size = one(much, struct.pack("<I", length))
        nested = [one(nest, b"\22"), size, one(end, b""), one(refuse, b"\1"), one(finish, b"")]
        yield f"nest-{name}", wide + b"".join([whole[0], *nested])

    def batch(count: int, *messages: bytes) -> bytes:
        return b"\0\x40" + one(check, bytes([count]) + b"".join(messages))

    good = message(NEWLINK, bytes(16), REQUEST | ACK)
    yield "check", batch(2, good, good)
    yield "check-none", batch(0)
    yield "check-too-few", batch(1, good, good)
    yield "check-too-many", batch(2, good)
    yield "check-cut", batch(2, good, good[:15])
    yield "check-no-ack", batch(2, good, message(NEWLINK, bytes(16), REQUEST))
    yield "check-dump", batch(1, message(GETLINK, bytes(16), REQUEST | ACK | DUMP))
    yield "check-get", batch(1, message(GETLINK, bytes(16), REQUEST | ACK))
    yield "check-replace", batch(1, message(NEWLINK, bytes(16), REQUEST | ACK | DUMP))
    for length in (0, 15, 17, 18, 36, 1 << 31):
        yield f"check-length-{length:x}", batch(1, struct.pack("=I", length) + good[4:])
    yield from settings(one)


def packed(name: str, calls: list[bytes]) -> Iterator[tuple[str, bytes]]:
    """Calls on a batch with room for all of them, as many in a seed as a fuzzer likes."""
    while calls:
        seed = b"\x80\xff"
        while calls and len(seed) + len(calls[0]) < 2048:
            seed += calls.pop(0)
        yield f"{name}-{len(calls)}", seed


def settings(one: Callable[[int, bytes], bytes]) -> Iterator[tuple[str, bytes]]:
    """Links, addresses and routes with every setting, one at a time and together."""

    def link(chosen: int, name: bytes = b"eth0", mac: int = 6, up: int = 1) -> bytes:
        # Up to the name; the alias would not fit a call's 255 bytes.
        head = struct.pack("=IiIIII", chosen, 9, up, 1500, 1000, mac) + bytes(range(32))
        return head + struct.pack("=iiIII", 3, 4, 1, 5, 1) + name.ljust(16, b"\0") + b"alias\0"

    for kind in range(18, 22):
        size = len(link(0))
        links = [link(1 << bit) for bit in range(12)]
        links += [struct.pack("=I", 1).ljust(size, b"\0") + link(1 << bit) for bit in range(12)]
        links += [link(0xDFF), link(4, up=0), link(1, b"a/b"), link(1, b"x" * 16)]
        links += [link(32, mac=0), link(32, mac=33), link(256).ljust(255, b"\0")]
        for chosen in (0, 1, 2, 0x82, 1 << 8, 1 << 9, 1 << 10, 0x3FF):
            # By name and by index; the settings stand in the second half.
            for which in (b"lo", b"\x87", b"\x87\0\0\x80"):
                links.append(which.ljust(8, b"\0") + struct.pack("=Ii", chosen, 7))
        yield from packed(f"links-{kind}", [one(kind, settings) for settings in links])

    ports = [one(21, b"\x87".ljust(8, b"\0") + struct.pack("=Ii", 1 << bit, 7)) for bit in (12, 13)]
    yield "links-port", b"\x80\xff" + b"".join(ports)
    calls = [one(22, name) for name in (b"lo", b"x" * 16, b"a/b", b"\x87", b"\x87\0\0\x80")]
    calls += [one(28, bytes([number, 7])) for number in range(3)]
    calls += [one(23, b"\5"), one(28, b"\2\0\0\x80")]
    calls.append(one(26, b"\2\0" + bytes(54) + struct.pack("=IIi", 0, 1000, 0)))
    for family, length in ((2, 24), (10, 64), (2, 33), (0, 0), (7, 8)):
        prefix = bytes([family, length]) + bytes(range(16))
        tail = struct.pack("=IIII", 0x82, 5, 600, 300) + b"\0\3" + b"eth0:1"
        for extra in (b"\0\0", bytes([family, length]), b"\2\x20", b"\2\x21", b"\x0a\x80"):
            other = extra + bytes(16)
            for index in (-1, 0, 7):
                start = struct.pack("=i", index) + prefix
                address = start + other + bytes(18) + b"\0\0" + tail
                calls += [one(kind, address) for kind in (24, 25)]
                calls.append(one(24, start + bytes(18) + other + b"\0\0" + tail))
                route = struct.pack("=IIi", 7, 254, index) + b"\0\1\3\0" + bytes(4)
                whole = prefix + other + bytes(18) + b"\0\0" + route
                calls += [one(kind, whole) for kind in (26, 27)]
                calls.append(one(26, prefix + bytes(18) + other + b"\0\0" + route))
        start = struct.pack("=i", 7) + prefix + bytes(38)
        calls.append(one(24, start + b"\xff" * 16 + b"\0\0" + b"x" * 20))
        calls.append(one(24, start + b"\0" * 8 + b"\xff" * 8))
        calls.append(one(24, start + b"\0" * 8 + b"\xff" * 4))
    yield from packed("calls", calls)
    # A VLAN, an ipvlan and a VXLAN by the length modulo 3; the VXLAN's struct stands in the second
    # quarter, the settings of the link in the second half.
    stacked = []
    for parent, number, family, vni, ttl in (
        *((-1, 1, 0, 1, 0), (0, 1, 2, 1, 5), (7, 4094, 10, (1 << 24) - 1, 5)),
        *((7, 4095, 7, 1, 0), (7, 0, 0, 1 << 24, 0)),
    ):
        end = bytes([family, 32]) + bytes(range(16))
        vxlan = struct.pack("=I", vni) + end * 2 + struct.pack("=HBB", 4789, number & 1, ttl)
        for size in (180, 181, 182):
            numbers = struct.pack("=iHH", parent, number, 1).ljust(size // 4, b"\0")
            stacked.append(one(31, (numbers + vxlan).ljust(size, b"\0")))
    yield from packed("stacked", stacked)
    forever = struct.pack("=i", 7) + bytes([2, 24]) + bytes(range(16)) + bytes(60)
    yield "address-forever", b"\x80\xff" + one(24, forever)
    prefix = bytes([2, 24]) + bytes(range(16)) + bytes(38)
    for mtu, advmss in ((1400, 0), (0, 1360), (1400, 1360)):
        route = prefix + struct.pack("=IIi8xII", 7, 254, 7, mtu, advmss)
        yield f"route-metrics-{mtu}-{advmss}", b"\x80\xff" + one(26, route) + one(27, route)
    yield from packed("nft", [one(29, call) for call in nft_calls()])
    yield "nft-table", b"\xbf\xff" + one(29, b"\7") * 2
    yield "nft-table-room", b"\x0f\xff" + one(29, b"\7")
    yield from packed("qdiscs", [one(30, call) for call in qdisc_calls()])
    ids = [number << 6 | sign << 30 for number in range(4) for sign in range(4)]
    ids = [number + -number % 3 for number in ids]  # those of the kind that are about ids
    yield "ids", b"\x80\xff" + b"".join(one(28, struct.pack("<I", number)) for number in ids)


def qdisc_calls() -> Iterator[bytes]:
    """The arguments of calls about queueing disciplines and filters."""

    def qdisc(kind: bytes, index: int = 7, rate: int = 9, **settings: int) -> bytes:
        given = {"limit": 9, "burst": 9, "delay": 640, "quantum": 9, "ecn": 0, **settings}
        head = struct.pack("=iII", index, 0, settings.get("parent", 0)) + kind.ljust(16, b"\0")
        sizes = struct.pack("=IQI4x", given["limit"], rate, given["burst"])
        times = struct.pack("=QQQII", 0, given["delay"], 64, 1, 2)
        flows = struct.pack("=IIIB3x", 3, 4, given["quantum"], given["ecn"])
        return head + sizes + times + flows

    for kind in (b"tbf", b"netem", b"fq_codel", b"ingress", b"htb", b"x" * 16):
        for index in (7, 15, -1):
            yield qdisc(kind, index)
        yield qdisc(kind, rate=0x123456789A, parent=0x10001)
        yield qdisc(kind, rate=0)
        yield qdisc(kind, limit=0)
        yield qdisc(kind, burst=0)
        yield qdisc(kind, delay=1 << 40, quantum=0)
        for ecn in (1, 2):
            yield qdisc(kind, ecn=ecn)
    for call in range(4):
        yield from (struct.pack("<I", call | 7 << 8 | 9 << 16), struct.pack("<I", call | 0x80))


def nft_calls() -> Iterator[bytes]:
    """The arguments of calls about nf_tables: the call, the set, and an element."""

    def prefix(family: int, length: int, last: bytes = b"") -> bytes:
        return bytes([family, length]) + (last or bytes(range(16)))

    for call in (0, 1, 2, 4):
        yield from (bytes([call, each, 0, 0]) for each in range(12))
    yield bytes(4)
    numbers = struct.pack("=HHBB", 8080, 80, 6, 0)
    for each in range(11):
        family = 10 if each & 1 else 2
        width = 128 if each & 1 else 32
        for call in (3, 5):
            head = bytes([call, each, 1, 0])
            for length in (0, 1, 8, 23, width, width + 1):
                element = prefix(family, length) + prefix(family, width) + numbers
                yield head + element
                yield head + element + b"web-1"
            yield head + prefix(family, 8, b"\xff" * 16) + prefix(family, width) + numbers
            yield head + prefix(family ^ 8, 8) + prefix(family, 8) + numbers
            yield head + prefix(family, 8) + prefix(family ^ 8, 8) + numbers
            yield (head + prefix(family, 8) + prefix(family, 8) + numbers).ljust(255, b"x")
            yield (head + prefix(family, 8) + prefix(family, 8) + numbers).ljust(250, b"x")
        yield bytes([5, each, 0, 0])


def failures() -> Iterator[tuple[str, bytes]]:
    """Failures to put into a sentence."""

    def failure(
        operation: int, request: int, errno: int, name: bytes = b"", text: bytes = b""
    ) -> bytes:
        return struct.pack("<HHHB", operation, request, errno, len(name)) + name + text

    for operation in range(0, 36, 5):
        yield f"operation-{operation}", failure(operation, 0, 1)
    for errno in (0, 1, 19, 24, 9999):
        yield f"errno-{errno}", failure(5, 16, errno, b"eth0", b"the kernel's words")
        yield f"errno-{errno}-socket", failure(6, 0, errno)
    for request in (0, 16, 94, 110, 65535):
        yield f"request-{request}", failure(5, request, 22, b"lo")
    yield "not-a-counter", failure(3, 0, 74, b"eth0", b"12\n\x1b[31m\0x")
    yield "name", failure(1, 0, 22, b"\xff\x1b" * 60)


def exchanges(datagrams: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Queues for the socket layer: the call, options, events."""
    kernel, answer, stranger, cut, failure, short, group = range(7)

    def event(kind: int, data: bytes) -> bytes:
        return bytes([kind]) + struct.pack("<H", len(data)) + data

    def ack(item: int, errno: int = 0, port: int = 0) -> bytes:
        return message(ERROR, struct.pack("=i", errno) + bytes(16), 0, item, port)

    def call(kind: int, *events: bytes, count: int = 1, options: int = 0, fate: int = 0) -> bytes:
        return bytes([kind, count, options, fate]) + b"".join(events)

    link = event(answer, message(NEWLINK, datagrams["link-0"][16:]))
    watched = event(answer, message(NEWLINK, datagrams["link-0"][16:], 0, 0, 77))
    row = message(NEWSTATS, struct.pack("=BBHII", 0, 0, 0, 7, 1) + attribute(1, bytes(range(64))))
    done = message(DONE, bytes(4))
    torn = message(DONE, bytes(4), INTERRUPTED)
    yield "up", call(6, event(answer, ack(0)))
    yield "up-refused-but-up", call(6, event(answer, ack(0, -1)), link)
    yield "up-ack-lost", call(6, event(failure, b"\1"), event(answer, ack(0)))
    yield "up-silence", call(6)
    three = b"".join(ack(item) for item in (2, 0, 1))
    yield "batch", call(0, event(answer, three), count=3)
    yield "batch-failing", call(0, event(answer, ack(0) + ack(1, -19) + ack(2, -1)), count=3)
    yield "batch-twice", call(0, event(answer, ack(0) + ack(0, -1)), event(answer, ack(1)), count=2)
    yield "batch-watching", call(0, watched, event(answer, ack(0, 0, 77)), options=1)
    yield (
        "batch-torn",
        call(0, event(answer, ack(1, -1)), event(answer, message(ERROR, b"")), count=2),
    )
    yield "query", call(1, event(stranger, datagrams["link-0"]), event(kernel, b"x"), link)
    yield "query-cut", call(1, event(cut, b""))
    yield "query-short-sender", call(1, event(short, b""), link)
    yield "query-beside-a-group", call(1, event(group, watched[3:]), watched, options=1)
    yield "query-echoed", call(1, event(group, datagrams["link-0"]))
    yield "query-interrupted", call(1, event(failure, b"\0"), link, options=2)
    yield "link", call(2, event(failure, b"\0"), link)
    yield "link-sent-again", call(2, event(failure, b"\1"), link, fate=3)
    yield "stats", call(3, event(answer, row))
    yield "stats-refused", call(3, event(answer, ack(0, -95)))
    yield "stats-not-sent", call(3, fate=4)
    yield "sent-in-part", call(3, fate=5)
    yield "dump-links", call(4, link, event(answer, done))
    yield "dump-stats", call(5, event(answer, row * 5), event(answer, done))
    yield "dump-torn", call(5, event(answer, row + torn), event(answer, row + done))
    yield "dump-refused", call(5, event(answer, ack(0, -95)), link, event(answer, done))
    yield "dump-lost", call(5, event(failure, b"\1"), event(answer, row + done), options=4)
    yield "dump-always-torn", call(5, *[event(answer, torn)] * 17)
    whole = event(answer, message(NEWLINK, datagrams["link-0"][16:])) + event(answer, done)
    refused = event(answer, ack(0, -95))
    for kind in range(17):
        yield f"call-{kind}-{1 << kind % 8}", call(kind, whole, count=3, options=1 << kind % 8)
        yield f"call-{kind}-refused", call(kind, refused, whole)
        yield f"call-{kind}-cut", call(kind, event(cut, datagrams["link-0"][:60]), whole, count=4)
        yield f"call-{kind}-lost", call(kind, event(failure, b"\1"), whole, count=200)
    fields = attribute(IFNAME, b"eth0\0") + attribute(5, struct.pack("=i", 42))
    fields += attribute(37, bytes(4)) + attribute(18, attribute(1, b"veth\0"))
    fields += attribute(23, bytes(range(200)))
    own = message(NEWLINK, info(7, 1) + fields)
    far = message(NEWLINK, info(7, 1) + attribute(46, struct.pack("=i", 5)) + fields)
    loopback = message(NEWLINK, info(7, 9) + attribute(46, struct.pack("=i", 5)) + fields)
    restless = [event(answer, far + torn)] * 3
    for number, rows in enumerate((own, far, own, far)):
        yield f"ends-{number}", call(14, event(answer, rows), event(answer, done), count=number)
    yield "ends-many", call(14, event(answer, far * 6), event(answer, done), count=1)
    yield "ends-loopback", call(14, event(answer, far + loopback), event(answer, done), count=1)
    yield "ends-restless", call(14, *restless, event(answer, far + done), count=1)
    yield "ends-elsewhere", call(14, event(answer, own), event(answer, done), count=1)
    yield "end-elsewhere", call(14, event(answer, own), count=3)
    yield "end-loopback", call(14, event(answer, loopback), count=3)
    yield "end-gone", call(14, event(answer, ack(0, -19)), count=3)
    yield (
        "end-of-another",
        call(14, event(answer, far.replace(b"\7\0\0\0\1", b"\6\0\0\0\1")), count=3),
    )
    bridge = message(NEWLINK, info(7, 1) + fields.replace(b"veth", b"vlan"))
    yield "pairs", call(15, event(answer, own * 6 + bridge + link[3:]), event(answer, done))
    deleted = message(17, info(7, 1) + fields)
    port = message(17, b"\7" + info(7, 1)[1:] + fields)
    ended = [message(89, bytes(4) + attribute(1, struct.pack("=i", n))) for n in range(4)]
    came = message(NEWNSID, bytes(4) + attribute(1, bytes(4)))
    for what, notes in enumerate(([came, *ended], [own, deleted, port, *ended], [own, far, port])):
        heard = [event(group, note) for note in notes]
        for times in (1, 2, 4):
            yield f"notes-{what}-{times}", call(16, *heard * times, count=what)
        yield f"notes-{what}-lost", call(16, event(failure, b"\1"), *heard, count=what)
        yield f"notes-{what}-cut", call(16, event(cut, notes[0][:20]), *heard, count=what)
        bad = event(group, message(17, b"") + message(89, b""))
        yield f"notes-{what}-malformed", call(16, bad, *heard, count=what, options=16)
    yield "batch-in-parts", call(0, event(answer, ack(0, 0, 77)) * 4, count=4, options=129)
    yield "copy", call(13, link * 3, event(answer, done), count=255)
    yield "up-gone", call(6, event(answer, ack(0, -1)), event(answer, ack(0, -19)))
    yield (
        "dump-notified",
        call(
            4, event(kernel, datagrams["notification-0"]), watched, event(answer, done), options=1
        ),
    )


def main() -> None:
    """Writes them all."""
    datagrams = dict(captured())
    whole = {**datagrams, **every_crafted()}
    seeds = {
        "decode": {**{name: b"\0\0" + data for name, data in whole.items()}, **dict(cut())},
        "counter": dict(counters()),
        "encode": dict(requests()),
        "error": dict(failures()),
        "socket": dict(exchanges(datagrams)),
    }
    for target, files in seeds.items():
        folder = Path(sys.argv[1], target)
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)


if __name__ == "__main__":  # it works in the namespace that it is started in
    main()
