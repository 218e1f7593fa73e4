"""Datagrams as they come, and what the kernel says in them of links and addresses."""

from __future__ import annotations

from errno import EAFNOSUPPORT, EAGAIN, EBADMSG, ENOBUFS
from os import dup

from .._core import ffi, lib
from ..errors import KernelError
from . import encode_name, ext_ack, fail, kernel_error
from .addresses import address_fields
from .rows import new
from .socket import Socket, link_fields, new_request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

# linux/netlink.h, linux/rtnetlink.h
NLMSG_ERROR, NLMSG_DONE = 2, 3
RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
NLM_F_MULTI, NLM_F_DUMP_INTR = 2, 16
_RTNLGRP_LINK, _RTNLGRP_IPV4_IFADDR, _RTNLGRP_IPV6_IFADDR = 1, 5, 9

AF_BRIDGE = 7  # linux/socket.h

LOST = 0  # in place of a type: here messages are missing
NOTHING = object()  # what a message says that is not about a link or an IP address
#: A datagram in place of those that were lost.
LOSS = (b"", 1)

_BUFFER_SIZE = 8 << 20  # of the receive queue: some 1,800 notifications
_ANSWERS = (NLMSG_ERROR, NLMSG_DONE)
_OF_LINKS = (RTM_NEWLINK, RTM_DELLINK)
_OF_ADDRESSES = (RTM_NEWADDR, RTM_DELADDR)


class Subscription(Socket):
    """A socket that hears of links, and of addresses if it is to; it waits for nothing.

    Attributes:
        port: its own port, which the replies to its requests carry.
    """

    __slots__ = ("_rest", "port")

    def __init__(self, netns: object, addresses: bool) -> None:
        super().__init__(netns, 0)
        sock, error = self._sock, self._error
        self._rest = ffi.new("struct netstrat_cursor *")
        # As large as it is allowed to be: what does not fit is made up for by a dump.
        lib.netstrat_socket_set_receive_buffer(sock, _BUFFER_SIZE, ffi.NULL)
        groups = [_RTNLGRP_LINK]
        if addresses:
            groups += [_RTNLGRP_IPV4_IFADDR, _RTNLGRP_IPV6_IFADDR]
        for group in groups:
            code = lib.netstrat_socket_join(sock, group, error)
            if code < 0:
                fail(code, error)
        self.port: int = sock.port

    def duplicate(self) -> int:
        """Another descriptor of the socket."""
        return dup(self._sock.fd)

    def request(self, kind: int) -> int:
        """Asks for a dump (RTM_GETLINK, RTM_GETADDR): the sequence number of its replies."""
        if kind == RTM_GETLINK:
            return self._send(lib.netstrat_batch_dump_links, 0)
        return self._send(lib.netstrat_batch_dump_addresses, 0)

    def request_link(self, name: str) -> None:
        """Asks for one link."""
        self._send(lib.netstrat_batch_get_link, encode_name(name))

    def _send(self, encode: Any, argument: object) -> int:
        batch, _memory = new_request(encode, argument)
        code = lib.netstrat_send(self._sock, batch, self._error)
        if code < 0:
            fail(code, self._error)
        return self._sock.sequence  # type: ignore[no-any-return]

    def receive(self) -> tuple[bytes, int] | None:
        """The next datagram and how many of its bytes were cut off; None: there is none now."""
        rest = self._rest
        code = lib.netstrat_socket_receive(self._sock, rest, self._error)
        if code == 0:
            datagram = ffi.buffer(rest.data, rest.end)[:]
            if rest.missing:
                self._widen(rest.end + rest.missing)
            return datagram, rest.missing
        if code == -EAGAIN:
            return None
        if code != -ENOBUFS:
            fail(code, self._error)
        return LOSS

    def _widen(self, size: int) -> None:
        sock = self._sock
        self._buffers[sock] = sock.buffer = new("unsigned char[]", size)
        sock.buffer_size = size


def refusal(errno: int, request: int, words: str) -> KernelError:
    """The error for a dump that the kernel refused."""
    return kernel_error(errno, lib.NETSTRAT_OP_REQUEST, request, kernel_message=words)


def decode(datagram: bytes, missing: int = 0) -> Iterator[tuple[int, int, int, int, Any]]:
    """Each message of a datagram of which `missing` bytes were cut off.

    Yields:
        Type, flags, sequence number, port, and what it says: of a link its family and the fields of
        `Link`; of an address the fields of `Address`; of the end of a dump the kernel's verdict,
        0 or an errno, and its words; NOTHING of something else; None where it is malformed.
        The type is LOST where it can't be known what else there was.
    """
    memory = ffi.from_buffer(datagram)
    rest = ffi.new("struct netstrat_cursor *", (memory, 0, len(datagram), missing))
    message = ffi.new("struct netstrat_message *")
    more = lib.netstrat_message_next(rest, message)
    while more > 0 and not message.payload.missing:
        yield message.type, message.flags, message.sequence, message.port, _decode_payload(message)
        more = lib.netstrat_message_next(rest, message)
    if more < 0 or missing:
        yield LOST, 0, 0, 0, None


def _decode_payload(message: Any) -> Any:
    kind = message.type
    if kind in _OF_LINKS:
        link = ffi.new("struct netstrat_link *")
        if lib.netstrat_link_decode(message, link) < 0:
            return None
        family = message.payload.data[message.payload.at]  # struct ifinfomsg begins with it
        return family, link_fields(link)
    if kind in _OF_ADDRESSES:
        address = ffi.new("struct netstrat_address *")
        code = lib.netstrat_address_decode(message, address)
        if code < 0:
            return NOTHING if code == -EAFNOSUPPORT else None
        return address_fields(address)
    if kind in _ANSWERS:
        error, verdict = ffi.new("struct netstrat_error *"), ffi.new("int *")
        if lib.netstrat_ack_decode(message, verdict, error) < 0:
            return EBADMSG, ""
        return -verdict[0], ext_ack(error)
    return NOTHING
