"""Interfaces to measure on: veth pairs, made and deleted by raw rtnetlink.

As a program it makes and deletes pairs in a loop until its standard input is closed. That
simulates the other containers of a busy host. It prints a line once it has begun, and at the end
the number of pairs.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import sys
import time

_RTM_NEWLINK, _RTM_DELLINK = 16, 17
_REQUEST, _ACK, _EXCLUSIVE, _CREATE = 1, 4, 0x200, 0x400
_IFLA_IFNAME, _IFLA_LINKINFO, _IFLA_INFO_KIND, _IFLA_INFO_DATA, _VETH_INFO_PEER = 3, 18, 1, 2, 1
_IFLA_IFALIAS = 20
_IFF_UP = 1


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _link(name: str, flags: int = 0) -> bytes:
    header = struct.pack("=BxHiII", 0, 0, 0, flags, flags)
    return header + _attribute(_IFLA_IFNAME, name.encode() + b"\0")


class Maker:
    """Makes and deletes veth pairs in the calling thread's namespace."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)

    def __enter__(self) -> Maker:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _ask(self, kind: int, flags: int, body: bytes) -> None:
        self._socket.send(
            struct.pack("=IHHII", 16 + len(body), kind, _REQUEST | _ACK | flags, 0, 0) + body
        )
        (code,) = struct.unpack_from("=i", self._socket.recv(4096), 16)
        if code:
            raise OSError(-code, "veth pair")

    def add(self, name: str, peer: str) -> None:
        """Makes a pair."""
        data = _attribute(_IFLA_INFO_DATA, _attribute(_VETH_INFO_PEER, _link(peer)))
        info = _attribute(_IFLA_LINKINFO, _attribute(_IFLA_INFO_KIND, b"veth") + data)
        self._ask(_RTM_NEWLINK, _CREATE | _EXCLUSIVE, _link(name) + info)

    def set_up(self, name: str) -> None:
        """Brings an interface up. The request that makes a pair cannot do that."""
        self._ask(_RTM_NEWLINK, 0, _link(name, _IFF_UP))

    def note_time(self, name: str) -> None:
        """Sets the alias of an interface to the current time in nanoseconds."""
        alias = b"at:%d" % time.perf_counter_ns()
        self._ask(_RTM_NEWLINK, 0, _link(name) + _attribute(_IFLA_IFALIAS, alias))

    def delete(self, name: str) -> None:
        """Deletes the pair of an interface."""
        self._ask(_RTM_DELLINK, 0, _link(name))


def fill(interfaces: int) -> None:
    """Makes pairs bench0 and peer0, bench1 and peer1, ..., up to a number of interfaces."""
    with Maker() as maker:
        for pair in range((len(socket.if_nameindex()) - 1) // 2, (interfaces - 1) // 2):
            maker.add(f"bench{pair}", f"peer{pair}")
            maker.set_up(f"bench{pair}")
            maker.set_up(f"peer{pair}")


def main() -> None:
    name, peer = f"churn{os.getpid()}", f"nruhc{os.getpid()}"
    rounds = 0
    with Maker() as maker:
        while not select.select([sys.stdin], [], [], 0)[0]:
            maker.add(name, peer)
            maker.delete(name)
            rounds += 1
            if rounds == 1:
                print("begun", flush=True)
    print(rounds)


if __name__ == "__main__":
    main()
