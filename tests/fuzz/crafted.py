"""Netlink messages at the edges of every check of the decoders, which no kernel sends."""

from __future__ import annotations

import struct
from collections.abc import Iterator

REQUEST, ACK, DUMP = 1, 4, 0x300
NEWQDISC, GETQDISC, NEWTFILTER, GETTFILTER = 36, 38, 44, 46
INGRESS = 0xFFFF0000
NEWLINK, DELLINK, GETLINK, NEWSTATS, GETSTATS = 16, 17, 18, 92, 94
NEWADDR, GETADDR, NEWROUTE, GETROUTE, NEWNSID, GETNSID = 20, 22, 24, 26, 88, 90
ERROR, DONE = 2, 3
CAPPED, TLVS, INTERRUPTED = 0x100, 0x200, 0x10
IFNAME, STATS64, GROUP_LINK = 3, 23, 1
ADDRESS, MTU, LINK, MASTER, TXQLEN, LINKINFO, IFALIAS, GROUP = 1, 4, 5, 10, 13, 18, 20, 27
INFO_KIND, INFO_DATA = 1, 2
LINK_NETNSID, PROP_LIST, ALT_IFNAME = 37, 52, 53


def message(kind: int, payload: bytes, flags: int = 0, sequence: int = 0, port: int = 0) -> bytes:
    """A netlink message."""
    return struct.pack("=IHHII", 16 + len(payload), kind, flags, sequence, port) + payload


def attribute(kind: int, value: bytes) -> bytes:
    """An attribute, padded."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def info(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    """A struct ifinfomsg."""
    return struct.pack("=BBHiII", 0, 0, 0, index, flags, change)


def tc_head(index: int, parent: int, information: int = 0) -> bytes:
    """A struct tcmsg."""
    return struct.pack("=BBHiIII", 0, 0, 0, index, 0, parent, information)


def crafted() -> Iterator[tuple[str, bytes]]:
    """Messages at the edges of every check of the decoders."""
    counters = struct.pack("=8Q", *range(1, 9))
    link = info(7, 1)
    name = attribute(IFNAME, b"eth0\0")
    request = struct.pack("=IHHII", 28, GETLINK, REQUEST, 1, 1)
    text = attribute(1, b"no such thing\0")
    yield "empty", b""
    yield "header-cut", bytes(15)
    # Longer than what is left, and not longer than the datagram.
    yield "length-beyond", message(DONE, bytes(12)) + struct.pack("=IHHII", 40, DONE, 0, 0, 0)
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


def crafted_links() -> Iterator[tuple[str, bytes]]:
    """What netstrat_link_decode reads beyond the name, and every way in which it is malformed."""
    head = info(7, 1) + attribute(IFNAME, b"eth0\0")
    number = struct.pack("=I", 1500)
    for kind in (MTU, LINK, MASTER, TXQLEN, GROUP, LINK_NETNSID):
        yield f"link-number-{kind}", message(NEWLINK, head + attribute(kind, number))
        yield f"link-number-{kind}-short", message(NEWLINK, head + attribute(kind, number[:3]))
    yield "link-mac", message(NEWLINK, head + attribute(ADDRESS, bytes(6)))
    yield "link-mac-longest", message(NEWLINK, head + attribute(ADDRESS, bytes(32)))
    yield "link-mac-too-long", message(NEWLINK, head + attribute(ADDRESS, bytes(33)))
    yield "link-mac-permanent", message(NEWLINK, head + attribute(54, bytes(6)))
    yield "link-alias", message(NEWLINK, head + attribute(IFALIAS, b"an alias\0"))
    yield "link-alias-unended", message(NEWLINK, head + attribute(IFALIAS, b"an alias"))
    yield "link-alias-long", message(NEWLINK, head + attribute(IFALIAS, b"x" * 256 + b"\0"))

    def kinds(*nested: bytes) -> bytes:
        return message(NEWLINK, head + attribute(LINKINFO, b"".join(nested)))

    bridge, slave = attribute(1, b"bridge\0"), attribute(4, b"bridge\0")
    yield "kind", kinds(attribute(1, b"veth\0"))
    there = attribute(46, bytes(4)) + attribute(5, struct.pack("=i", 9)) + attribute(37, bytes(4))
    veth = attribute(LINKINFO, attribute(1, b"veth\0"))
    yield "link-there", message(NEWLINK, head + there + veth)
    macvlan = attribute(LINKINFO, attribute(1, b"macvlan\0"))
    yield "link-there-macvlan", message(NEWLINK, head + there + macvlan)
    yield "link-there-loopback", message(NEWLINK, info(1, 8) + attribute(IFNAME, b"lo\0") + there)
    yield "link-there-short", message(NEWLINK, head + attribute(46, b"\1"))
    yield "kind-unended", kinds(attribute(1, b"veth"))
    yield "kind-cut", kinds(attribute(1, b"veth\0"), b"\1")
    yield "bridge-id", kinds(bridge, attribute(2, attribute(11, bytes(8)) + attribute(1, bytes(4))))
    yield "bridge-id-short", kinds(bridge, attribute(2, attribute(11, bytes(7))))
    yield "bridge-malformed", kinds(bridge, attribute(2, b"\1\2\3"))
    yield "data-of-others", kinds(attribute(1, b"veth\0"), attribute(2, b"\1\2\3"))
    yield "port", kinds(slave, attribute(5, attribute(4, b"\1")))
    yield "port-off", kinds(slave, attribute(5, attribute(4, b"\0") + attribute(1, b"\3")))
    yield "port-empty", kinds(slave, attribute(5, attribute(4, b"")))
    yield "port-malformed", kinds(slave, attribute(5, b"\1"))
    yield "port-of-others", kinds(attribute(4, b"bond\0"), attribute(5, b"\1"))
    for family in (7, 10):
        port = bytes([family]) + head[1:] + attribute(12, attribute(4, b"\1"))
        yield f"port-of-family-{family}", message(NEWLINK, port)
    yield "wireless", message(NEWLINK, head + attribute(11, bytes(8)))
    yield "port-kind-unended", kinds(attribute(4, b"bond"))
    names = attribute(ALT_IFNAME, b"x" * 127 + b"\0") + attribute(1, b"?")
    names += attribute(ALT_IFNAME, b"x" * 128 + b"\0") + attribute(ALT_IFNAME, b"with space\0")
    yield "altnames", message(NEWLINK, head + attribute(PROP_LIST, names))
    yield "altnames-malformed", message(NEWLINK, head + attribute(PROP_LIST, names[:9]))


def crafted_qdiscs() -> Iterator[tuple[str, bytes]]:
    """Queueing disciplines and filters at the edges of the checks."""
    large = struct.pack("=Q", 0x123456789A)
    head = tc_head(7, 0xFFFFFFFF)
    parts = {
        "tbf": (b"", {1: bytes(8) + struct.pack("=I", 9) + bytes(24), 4: large, 9: b""}),
        "netem": (
            bytes(24),
            {6: struct.pack("=4I", 9, 0, 0, 0), 8: large, 10: large, 11: large, 1: b""},
        ),
        "fq_codel": (b"", {kind: bytes(4) for kind in (1, 2, 3, 4, 5, 6)}),
        "noqueue": (b"", {1: b""}),
    }
    for kind, (start, settings) in parts.items():
        named = head + attribute(1, kind.encode() + b"\0")
        for number, value in settings.items():
            for name, end in (("", None), ("-short", -1)):
                options = start + attribute(number, value[:end])
                yield (
                    f"qdisc-{kind}-{number}{name}",
                    message(NEWQDISC, named + attribute(2, options)),
                )
        together = start + b"".join(attribute(*one) for one in settings.items())
        yield f"qdisc-{kind}", message(NEWQDISC, named + attribute(2, together))
        again = start + b"".join(attribute(*one) for one in reversed(settings.items()))
        yield f"qdisc-{kind}-reversed", message(NEWQDISC, named + attribute(2, again))
        for name, options in {"cut": start + b"\1", "short": start[:-1]}.items():
            yield f"qdisc-{kind}-{name}", message(NEWQDISC, named + attribute(2, options))
    yield (
        "qdisc-ecn",
        message(
            NEWQDISC, head + attribute(1, b"fq_codel\0") + attribute(2, attribute(4, b"\1\0\0\0"))
        ),
    )
    named = head + attribute(1, b"noqueue\0")
    for number, value in {1: bytes(12), 3: bytes(20), 4: b""}.items():
        for size in (len(value), 8, 3):
            counters = attribute(number, value[:size])
            yield (
                f"qdisc-counters-{number}-{size}",
                message(NEWQDISC, named + attribute(7, counters)),
            )
    yield "qdisc-counters-cut", message(NEWQDISC, named + attribute(7, b"\1"))
    for name, payload in {
        "nameless": head,
        "long": head + attribute(1, b"a-kind-of-16-byte"),
        "index-0": tc_head(0, 0) + attribute(1, b"tbf\0"),
        "short": head[:19],
        "cut": head + b"\1",
        "other": named + attribute(99, b""),
    }.items():
        yield f"qdisc-{name}", message(NEWQDISC, payload)
        yield f"filter-{name}", message(NEWTFILTER, payload)
    yield "qdisc-deleted", message(NEWQDISC + 1, named)
    yield "filter-deleted", message(NEWTFILTER + 1, named)
    yield from crafted_filters()


def crafted_filters() -> Iterator[tuple[str, bytes]]:
    """Filters of the kind u32, and another."""
    head = tc_head(7, INGRESS, 0x10300)
    selector = b"\1\0\1".ljust(16, b"\0") + bytes(16)

    def action(kind: bytes, parameters: bytes, number: int = 1) -> bytes:
        options = attribute(2, attribute(9, b"") + attribute(2, parameters))
        return attribute(7, attribute(number, attribute(1, kind + b"\0") + options))

    def mirred(what: int, outcome: int, target: int) -> bytes:
        return struct.pack("=IIiiiiI", 0, 0, outcome, 0, 0, what, target)

    redirect = mirred(1, 4, 9)
    options = {
        "redirect": attribute(5, selector) + action(b"mirred", redirect),
        "mirror": attribute(5, selector) + action(b"mirred", mirred(2, 4, 9)),
        "piped": attribute(5, selector) + action(b"mirred", mirred(1, 3, 9)),
        "no-index": attribute(5, selector) + action(b"mirred", mirred(1, 4, 1 << 31)),
        "second": attribute(5, selector) + action(b"mirred", redirect, 2),
        "other-action": attribute(5, selector) + action(b"gact", redirect),
        "long-action": action(b"an-action-of-16b", redirect),
        "short-action": action(b"mirred", redirect[:-1]),
        "cut-action": attribute(7, b"\1"),
        "cut-parameters": attribute(
            7, attribute(1, attribute(1, b"mirred\0") + attribute(2, b"\1"))
        ),
        "cut-inner": attribute(7, attribute(1, b"\1")),
        "some": attribute(5, selector[:16] + b"\xff" + selector[17:]),
        "not-terminal": attribute(5, b"\0" + selector[1:]),
        "short-key": attribute(5, selector[:-1]),
        "short-selector": attribute(5, selector[:15]),
        "table": attribute(4, bytes(4)),
        "cut-options": b"\1",
    }
    for name, value in options.items():
        for kind in (b"u32", b"bpf"):
            payload = head + attribute(1, kind + b"\0") + attribute(2, value)
            yield f"filter-{kind.decode()}-{name}", message(NEWTFILTER, payload)


NFT = 10 << 8  # NFNL_SUBSYS_NFTABLES, with NFT_MSG_ below
NEST = 0x8000


def nft(kind: int, *attributes: bytes, family: int = 1) -> bytes:
    """A message of nf_tables."""
    return message(NFT | kind, struct.pack("=BBH", family, 0, 0) + b"".join(attributes))


def crafted_nft() -> Iterator[tuple[str, bytes]]:
    """Elements, chains, rules and generations of nf_tables at the edges of the checks."""
    number = bytes(3) + b"\1"
    yield "nft-generation", nft(15, attribute(2, number), attribute(1, number))
    for name, parts in {
        "0": attribute(1, bytes(4)),
        "short": attribute(1, b"\1"),
        "none": b"",
        "cut": attribute(1, number) + b"\1",
    }.items():
        yield f"nft-generation-{name}", nft(15, parts)
    for name, parts in {
        "": attribute(1, b"pynetstrat\0") + attribute(2, number),
        "cut": attribute(2, number) + b"\1",
        "short": attribute(2, b"\1"),
    }.items():
        yield f"nft-table-{name}", nft(0, parts)
    yield "nft-fixed", message(NFT | 15, b"\1")
    yield "nft-elements-none", nft(12, attribute(1, b"pynetstrat\0"))
    yield "nft-elements-cut", nft(12, b"\1")

    def value(kind: int, octets: bytes) -> bytes:
        return attribute(NEST | kind, attribute(1, octets))

    def elements(*items: bytes) -> bytes:
        return nft(12, attribute(NEST | 3, b"".join(attribute(NEST | 1, one) for one in items)))

    comment = attribute(6, b"\0\4web\0")
    for width in (4, 16):
        one, two = bytes(range(1, width + 1)), bytes(width - 1) + b"\xff"
        data = value(2, two + b"\0\x50\0\0")
        keys = {
            "host": (value(1, one), comment),
            "end": (value(1, one), attribute(3, number)),
            "start": (value(1, one), attribute(3, bytes(4))),
            "neighbours": (value(1, one + two), value(10, one[:-1] + b"\x0f" + two)),
            "neighbour": (value(1, one + two), value(10, one + two)),
            "neighbours-half": (value(1, one + two),),
            "port": (value(1, b"\6\0\0\0\1\2\0\0"), data, comment),
            "address-port": (value(1, one + b"\6\0\0\0\1\2\0\0"), data, comment),
            "no-data": (value(1, b"\6\0\0\0\1\2\0\0"),),
            "no-key": (data,),
            "odd-data": (value(1, one), value(2, b"x")),
            "flags": (value(1, one), attribute(3, b"\1")),
            "other": (value(1, one), attribute(9, b"\1")),
            "key-empty": (attribute(NEST | 1, b""),),
            "key-kind": (attribute(NEST | 1, attribute(2, one)),),
            "key-cut": (value(1, one), b"\1"),
        }
        for name, parts in keys.items():
            yield f"nft-{name}-{width}", elements(b"".join(parts))
        for name, octets in {
            "after": b"\1\4\1\0\0\0\0\4web\0",
            "no-nul": b"\0\3web",
            "empty": b"\0\0",
            "nothing": b"\0\1\0",
            "long": b"\0\xfa" + b"x" * 249 + b"\0",
            "longest": b"\0\xf5" + b"x" * 244 + b"\0",
            "cut": b"\0\x09web",
            "one": b"\0",
        }.items():
            yield f"nft-comment-{name}-{width}", elements(value(1, one) + attribute(6, octets))
        yield f"nft-two-{width}", elements(value(1, one), value(1, two), b"")
    yield "nft-list-cut", nft(12, attribute(NEST | 3, b"\1"))
    table, chain = attribute(1, b"filter\0"), attribute(3, b"FORWARD\0")
    hook = attribute(1, bytes(3) + b"\2"), attribute(2, bytes(4))
    ours, output = attribute(1, b"pynetstrat\0"), attribute(1, bytes(3) + b"\3")
    priority = attribute(2, b"\xff\xff\xff\x9c")
    made = attribute(3, b"output\0") + attribute(NEST | 4, output + priority)
    for name, parts in {
        "": table + chain + attribute(NEST | 4, b"".join(hook)) + attribute(5, bytes(4)),
        "accept": table + chain + attribute(NEST | 4, b"".join(hook)) + attribute(5, number),
        "plain": table + chain + attribute(6, number),
        "ours-other": ours + chain,
        "ours-plain": ours + attribute(3, b"published\0"),
        "ours-not-base": ours + attribute(3, b"output\0"),
        "ours-hook": ours + attribute(3, b"output\0") + attribute(NEST | 4, b""),
        "ours-priority": ours + attribute(3, b"output\0") + attribute(NEST | 4, output),
        "ours-drop": ours + made + attribute(5, bytes(4)),
        "ours": ours + made,
        "policy": attribute(5, b"\1"),
        "name": attribute(3, b""),
        "table": attribute(1, b"x" * 256),
        "hook": attribute(NEST | 4, attribute(1, b"\1")),
        "priority": attribute(NEST | 4, attribute(2, b"\1")),
        "hook-other": attribute(NEST | 4, attribute(3, b"eth0\0")),
        "hook-cut": attribute(NEST | 4, b"\1"),
        "cut": table + b"\1",
    }.items():
        yield f"nft-chain-{name}", nft(3, parts)
    yield "nft-chain-ip", nft(3, ours + made, family=2)
    chain = attribute(2, b"FORWARD\0")
    for name, octets in {
        "named": b"\0\0eth0\0\0",
        "longer": b"eth01\0",
        "end": b"xxeth0",
        "part": b"eth\0",
        "none": b"",
    }.items():
        yield f"nft-rule-{name}", nft(6, table, chain, attribute(NEST | 4, octets))
    yield "nft-rule-other", nft(6, table, chain, attribute(3, bytes(8)))
    yield "nft-rule-table", nft(6, attribute(1, b""))
    yield "nft-rule-chain", nft(6, attribute(2, b"x"))
    yield "nft-rule-cut", nft(6, table, b"\1")


def crafted_rest() -> Iterator[tuple[str, bytes]]:
    """Addresses, routes and ids at the edges of the checks."""
    four = bytes([192, 0, 2, 1])
    for family, own in ((2, four), (10, bytes(16)), (7, four)):
        head = struct.pack("=BBBBI", family, 24, 0, 0, 7)
        both = attribute(1, own) + attribute(2, own)
        yield f"address-{family}", message(NEWADDR, head + both)
        yield f"address-{family}-alone", message(NEWADDR, head + attribute(1, own))
        yield f"address-{family}-local", message(NEWADDR, head + attribute(2, own))
        yield f"address-{family}-cut", message(NEWADDR, head + both[:6])
    head = struct.pack("=BBBBI", 2, 24, 0, 0, 7)
    local = attribute(2, four)
    peer = attribute(1, bytes([192, 0, 2, 2]))
    yield "address-deleted", message(NEWADDR + 1, head + local + peer)
    yield "address-none", message(NEWADDR, head)
    yield "address-short", message(NEWADDR, head[:7])
    yield "address-index-0", message(NEWADDR, head[:4] + bytes(4) + local)
    yield "address-index-large", message(NEWADDR, head[:4] + b"\xff" * 4 + local)
    yield "address-length", message(NEWADDR, struct.pack("=BBBBI", 2, 33, 0, 0, 7) + local)
    yield "address-with-other", message(NEWADDR, head + local + attribute(77, four))
    more = {3: b"eth0:1\0", 4: four, 6: bytes(16), 8: bytes(4), 9: bytes(4), 11: b"\3"}
    for kind, value in more.items():
        yield f"address-with-{kind}", message(NEWADDR, head + local + attribute(kind, value))
        short = attribute(kind, value[:-1])
        yield f"address-with-{kind}-short", message(NEWADDR, head + local + short)
    for family, own in ((2, four), (10, bytes(16)), (7, four)):
        head = struct.pack("=BBBBBBBBI", family, 24, 0, 0, 254, 3, 0, 1, 0)
        yield f"route-{family}", message(NEWROUTE, head + attribute(1, own))
        yield f"route-{family}-deleted", message(NEWROUTE + 1, head + attribute(1, own))
        yield f"route-{family}-no-destination", message(NEWROUTE, head)
    head = struct.pack("=BBBBBBBBI", 2, 0, 0, 0, 254, 3, 0, 1, 0)
    yield "route-short", message(NEWROUTE, head[:11])
    yield "route-default", message(NEWROUTE, head)
    yield "route-cut", message(NEWROUTE, head + b"\1")
    parts = {5: four, 7: four, 4: bytes(4), 6: bytes(4), 15: bytes(4), 8: bytes(8), 30: b"\2"}
    for kind, value in parts.items():
        yield f"route-with-{kind}", message(NEWROUTE, head + attribute(kind, value))
        yield f"route-with-{kind}-short", message(NEWROUTE, head + attribute(kind, value[:-1]))
    for family, size in ((2, 4), (10, 16), (10, 15), (7, 4)):
        via = attribute(18, struct.pack("=H", family) + bytes(size))
        yield f"route-via-{family}-{size}", message(NEWROUTE, head + via)
    yield "route-via-short", message(NEWROUTE, head + attribute(18, b"\2"))
    # Next hops (struct rtnexthop): whole, shorter than they say, of length 0.
    hop = struct.pack("=HBBi", 8, 0x11, 0, 7)
    hops = {"": hop + hop, "-cut": hop + hop[:5], "-empty": bytes(8) + hop, "-none": b""}
    long_hop = struct.pack("=HBBi", 16, 0, 0, 7) + attribute(5, four)
    for family in (2, 10):
        unicast = struct.pack("=BBBBBBBBI", family, 0, 0, 0, 254, 3, 0, 1, 0)
        for name, value in {**hops, "-long": long_hop}.items():
            yield f"route-hops-{family}{name}", message(NEWROUTE, unicast + attribute(9, value))
    # What the kernel knows of a route (struct rta_cacheinfo): whether it expires.
    for name, cache in {"lasting": bytes(32), "expiring": bytes(8) + b"\5" + bytes(23)}.items():
        yield f"route-{name}", message(NEWROUTE, head + attribute(12, cache))
        yield f"route-{name}-short", message(NEWROUTE, head + attribute(12, cache[:-1]))
    metrics = {
        "mtu": attribute(2, four),
        "advmss": attribute(8, four),
        "other": attribute(10, four),
    }
    metrics |= {"mtu-short": attribute(2, four[:3]), "advmss-short": attribute(8, b"")}
    for name, value in {**metrics, "all": b"".join(metrics.values())}.items():
        yield f"route-metrics-{name}", message(NEWROUTE, head + attribute(8, value))
    for size in (3, 4):
        mode = attribute(2, bytes(2)) + attribute(1, bytes(size))
        data = attribute(INFO_KIND, b"macvlan\0") + attribute(INFO_DATA, mode)
        link = info(7, 1) + attribute(IFNAME, b"eth0\0") + attribute(LINKINFO, data)
        yield f"macvlan-mode-{size}", message(NEWLINK, link)
    for protocol in (2, 4):  # the kernel's own, and any other
        refusing = struct.pack("=BBBBBBBBI", 2, 0, 0, 0, 254, protocol, 0, 6, 0)
        yield f"route-blackhole-{protocol}", message(NEWROUTE, refusing)
    for kind in (NEWNSID, NEWNSID + 1):
        yield f"nsid-{kind}", message(kind, bytes(4) + attribute(1, struct.pack("=i", -1)))
    yield "nsid-short", message(NEWNSID, b"")
    yield "nsid-none", message(NEWNSID, bytes(4) + attribute(2, bytes(4)))
    yield "nsid-number-short", message(NEWNSID, bytes(4) + attribute(1, bytes(3)))
    yield "nsid-malformed", message(NEWNSID, bytes(4) + b"\1")


def every_crafted() -> dict[str, bytes]:
    """Returns every message of this module, by the name of its seed."""
    found: dict[str, bytes] = {}
    for messages in (crafted, crafted_links, crafted_rest, crafted_qdiscs, crafted_nft):
        found |= dict(messages())
    return found
