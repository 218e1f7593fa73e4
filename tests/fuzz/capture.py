#!/usr/bin/env python3
"""Writes seeds for the fuzz targets: what this kernel really says, and what none should say.

    unshare -Urnm tests/fuzz/capture.py FOLDER

Run in a network namespace of its own, which it fills with interfaces. Each seed is a file in
FOLDER/decode, /counter, /encode or /socket, named after what it holds. See README.md.
"""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

REQUEST, ACK, DUMP = 1, 4, 0x300
NEWLINK, DELLINK, GETLINK, NEWSTATS, GETSTATS = 16, 17, 18, 92, 94
ERROR, DONE = 2, 3
CAPPED, TLVS, INTERRUPTED = 0x100, 0x200, 0x10
SOL_NETLINK, CAP_ACK, EXT_ACK = 270, 10, 11
IFNAME, STATS64, GROUP_LINK = 3, 23, 1


def message(kind: int, payload: bytes, flags: int = 0, sequence: int = 0, port: int = 0) -> bytes:
    """A netlink message."""
    return struct.pack("=IHHII", 16 + len(payload), kind, flags, sequence, port) + payload


def attribute(kind: int, value: bytes) -> bytes:
    """An attribute, padded."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def info(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    """A struct ifinfomsg."""
    return struct.pack("=BBHiII", 0, 0, 0, index, flags, change)


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
    requests = {
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


def crafted() -> Iterator[tuple[str, bytes]]:
    """Messages at the edges of every check of the decoders."""
    counters = struct.pack("=8Q", *range(1, 9))
    link = info(7, 1)
    name = attribute(IFNAME, b"eth0\0")
    request = struct.pack("=IHHII", 28, GETLINK, REQUEST, 1, 1)
    text = attribute(1, b"no such thing\0")
    yield "empty", b""
    yield "header-cut", bytes(15)
    yield "length-short", struct.pack("=IHHII", 15, ERROR, 0, 0, 0)
    yield "length-long", struct.pack("=IHHII", 17, ERROR, 0, 0, 0)
    yield "no-padding", message(77, b"x")
    for errno in (0, -1, -4095, -4096, 1):
        yield f"done-{errno}", message(DONE, struct.pack("=i", errno))
    yield "done-short", message(DONE, b"\0\0\0")
    yield "done-text", message(DONE, struct.pack("=i", -22) + text, TLVS)
    yield "error-no-request", message(ERROR, struct.pack("=i", -22) + bytes(15))
    yield "error-capped", message(ERROR, struct.pack("=i", -22) + request + text, CAPPED | TLVS)
    yield "error-capped-no-text", message(ERROR, struct.pack("=i", -22) + request, CAPPED | TLVS)
    yield "error-whole", message(ERROR, struct.pack("=i", -22) + request + bytes(12) + text, TLVS)
    yield "error-request-cut", message(ERROR, struct.pack("=i", -22) + request, TLVS)
    yield (
        "error-request-short",
        message(ERROR, struct.pack("=iIHHII", -22, 15, GETLINK, 0, 1, 1) + text, TLVS),
    )
    tail = struct.pack("=i", -22) + request
    yield "text-cut", message(ERROR, tail + text[:9], CAPPED | TLVS)
    yield "text-after-others", message(ERROR, tail + attribute(2, bytes(4)) + text, CAPPED | TLVS)
    yield "text-absent", message(ERROR, tail + attribute(2, bytes(4)), CAPPED | TLVS)
    yield "text-long", message(ERROR, tail + attribute(1, b"x" * 200), CAPPED | TLVS)
    yield "link-short", message(NEWLINK, bytes(15))
    yield "link-index-0", message(NEWLINK, info(0) + name)
    yield "link-index-negative", message(NEWLINK, info(-1) + name)
    yield "link-no-name", message(NEWLINK, link + attribute(9, b"xxxx"))
    yield "link-name-late", message(NEWLINK, link + attribute(9, b"xxxx") + name)
    yield "link-name-empty", message(NEWLINK, link + attribute(IFNAME, b"\0"))
    yield "link-name-none", message(NEWLINK, link + attribute(IFNAME, b""))
    yield "link-name-unended", message(NEWLINK, link + attribute(IFNAME, b"eth0"))
    yield "link-name-long", message(NEWLINK, link + attribute(IFNAME, b"x" * 16 + b"\0"))
    yield "link-name-nested", message(NEWLINK, link + attribute(0xC000 | IFNAME, b"eth0\0"))
    yield "link-attribute-short", message(NEWLINK, link + b"\3\0\3\0")
    yield "link-attribute-long", message(NEWLINK, link + b"\x09\0\3\0aaaa")
    yield "link-attribute-cut", message(NEWLINK, link + name + b"\4\0\3")
    yield "link-counters", message(NEWLINK, link + name + attribute(STATS64, counters))
    yield "link-counters-grown", message(NEWLINK, link + name + attribute(STATS64, counters * 4))
    yield "link-counters-short", message(NEWLINK, link + name + attribute(STATS64, counters[:63]))
    yield "link-counters-first", message(NEWLINK, link + attribute(STATS64, counters) + name)
    yield "link-gone", message(DELLINK, link + name)
    yield "link-gone-from-bridge", message(DELLINK, b"\7" + link[1:] + name)
    yield "stats-short", message(NEWSTATS, bytes(11))
    yield "stats-index-0", message(NEWSTATS, bytes(12) + attribute(1, counters))
    for index in (1, 0x7FFFFFFF, 0x80000000):
        head = struct.pack("=BBHII", 0, 0, 0, index, 1)
        yield f"stats-{index:x}", message(NEWSTATS, head + attribute(1, counters))
    yield "stats-none", message(NEWSTATS, head[:4] + b"\1\0\0\0\1\0\0\0")
    yield "stats-other", message(NEWSTATS, head[:4] + b"\1\0\0\0\1\0\0\0" + attribute(2, counters))


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


def requests() -> Iterator[tuple[str, bytes]]:
    """Batches for the encoders: room, then kind, length and name of each."""

    def one(kind: int, name: bytes) -> bytes:
        return bytes([kind, len(name)]) + name

    names = [b"lo", b"eth0", b"", b".", b"..", b"a/b", b"a:b", b"a b", b"caf\xc3\xa0", b"x" * 15]
    names += [b"x" * 16, b"x" * 127, b"x" * 128, b"x" * 16 + b"\xa0", b"tab\t", b"a\1"]
    yield "names", b"\3\xff" + b"".join(one(i % 2, name) for i, name in enumerate(names))
    yield "every-kind", b"\3\xff" + b"".join(one(kind, b"lo\0\1") for kind in range(5))
    for room in (0, 15, 27, 28, 31, 39, 40, 41):
        yield f"room-{room}", bytes([0, room]) + b"".join(one(kind, b"lo") for kind in range(5))


def exchanges(datagrams: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Queues for the socket layer: the call, options, events."""
    kernel, answer, stranger, cut, failure, short = range(6)

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
    yield (
        "dump-notified",
        call(
            4, event(kernel, datagrams["notification-0"]), watched, event(answer, done), options=1
        ),
    )


def main() -> None:
    """Writes them all."""
    datagrams = dict(captured())
    seeds = {
        "decode": {**datagrams, **dict(crafted())},
        "counter": dict(counters()),
        "encode": dict(requests()),
        "socket": dict(exchanges(datagrams)),
    }
    for target, files in seeds.items():
        folder = Path(sys.argv[1], target)
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)


main()
