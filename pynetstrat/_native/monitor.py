"""The socket of `LinkMonitor`, and what its datagrams say of links and addresses."""

from __future__ import annotations

from errno import EAFNOSUPPORT, EAGAIN, EBADMSG, ENOBUFS
from os import dup

from .._core import ffi, lib
from ..errors import KernelError
from . import encode_name, ext_ack, fail, kernel_error
from .addresses import address_fields
from .links import link_fields
from .transport import Transport, new_request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

NLMSG_ERROR: int = lib.NLMSG_ERROR
NLMSG_DONE: int = lib.NLMSG_DONE
NLM_F_MULTI: int = lib.NLM_F_MULTI
NLM_F_DUMP_INTR: int = lib.NETSTRAT_NLM_F_DUMP_INTR
RTM_NEWLINK: int = lib.RTM_NEWLINK
RTM_DELLINK: int = lib.RTM_DELLINK
RTM_GETLINK: int = lib.RTM_GETLINK
RTM_NEWADDR: int = lib.RTM_NEWADDR
RTM_DELADDR: int = lib.RTM_DELADDR
RTM_GETADDR: int = lib.RTM_GETADDR
AF_BRIDGE: int = lib.AF_BRIDGE
REPLIES = (NLMSG_ERROR, NLMSG_DONE)
OF_LINKS = (RTM_NEWLINK, RTM_DELLINK)
OF_ADDRESSES = (RTM_NEWADDR, RTM_DELADDR)
_next = lib.netstrat_message_next
_link_decode = lib.netstrat_link_decode

LOST = 0  # in place of a message's type: messages are missing here
NOTHING = object()  # the content of a message that is not about a link or an IP address
#: In place of datagrams that were lost: a struct netstrat_cursor of one that was cut off.
LOSS = ffi.new("struct netstrat_cursor *", {"missing": 1})

_QUEUE_SIZE = 8 << 20  # bytes of the receive queue: about 1,800 notifications


class Subscription(Transport):
    """A socket that receives notifications of links, and of addresses if asked to. It never waits.

    Attributes:
        port: its port, which replies to its requests carry.
    """

    __slots__ = ("_rest", "port")

    def __init__(self, netns: object, addresses: bool) -> None:
        super().__init__(netns, 0)
        sock, error = self._sock, self._error
        self._rest = ffi.new("struct netstrat_cursor *")
        # As large as allowed. If the queue overflows, a dump makes up for the loss.
        lib.netstrat_socket_set_receive_buffer(sock, _QUEUE_SIZE, ffi.NULL)
        groups = [lib.RTNLGRP_LINK]
        if addresses:
            groups += [lib.RTNLGRP_IPV4_IFADDR, lib.RTNLGRP_IPV6_IFADDR]
        for group in groups:
            code = lib.netstrat_socket_join(sock, group, error)
            if code < 0:
                fail(code, error)
        self.port: int = sock.port

    def duplicate(self) -> int:
        """Returns another descriptor of the socket."""
        return dup(self._sock.fd)

    def request(self, kind: int) -> int:
        """Requests a dump (RTM_GETLINK, RTM_GETADDR). Returns its sequence number."""
        if kind == RTM_GETLINK:
            return self._send(lib.netstrat_batch_dump_links, 0)
        return self._send(lib.netstrat_batch_dump_addresses, 0)

    def request_link(self, name: str) -> None:
        """Requests one link."""
        self._send(lib.netstrat_batch_get_link, encode_name(name))

    def _send(self, encode: Any, argument: object) -> int:
        batch, _memory = new_request(encode, argument)
        code = lib.netstrat_send(self._sock, batch, self._error)
        if code < 0:
            fail(code, self._error)
        return self._sock.sequence  # type: ignore[no-any-return]

    def receive(self) -> Any:
        """Returns the next datagram: a struct netstrat_cursor, valid until the next call.

        Returns None if the queue is empty, and LOSS if datagrams were lost.
        """
        rest = self._rest
        if rest.missing:  # the last datagram was cut off: the next may be as large
            self._set_buffer(rest.end + rest.missing)
            rest.missing = 0
        code = lib.netstrat_socket_receive(self._sock, rest, self._error)
        if code == 0:
            return rest
        if code == -EAGAIN:
            return None
        if code != -ENOBUFS:
            fail(code, self._error)
        return LOSS


def refusal(errno: int, request: int, text: str) -> KernelError:
    """Makes the error for a dump that the kernel refused; `text` is its extended ack."""
    return kernel_error(errno, lib.NETSTRAT_OP_REQUEST, request, kernel_message=text)


class Decoder:
    """Takes datagrams apart, in memory that one thread uses at a time."""

    __slots__ = ("_link", "_message")

    def __init__(self) -> None:
        self._message = ffi.new("struct netstrat_message *")
        self._link = ffi.new("struct netstrat_link *")

    def decode(self, rest: Any) -> Iterator[tuple[int, int, int, int, Any]]:
        """Decodes each message of a datagram: a struct netstrat_cursor.

        Yields:
            Type, flags, sequence number, port and content of each message. The content is, for a
            link, its family and the fields of `Link`; for an address, the fields of `Address`; for
            the end of a dump, 0 or an errno, and the extended ack; NOTHING for other messages; None
            for a malformed one. The type is LOST where further messages may be missing.
        """
        message, decode = self._message, self._decode_payload
        more = _next(rest, message)
        while more > 0 and not message.payload.missing:
            kind = message.type
            yield kind, message.flags, message.sequence, message.port, decode(kind, message)
            more = _next(rest, message)
        if more < 0 or rest.missing:
            yield LOST, 0, 0, 0, None

    def _decode_payload(self, kind: int, message: Any) -> Any:
        if kind in OF_LINKS:
            link = self._link
            if _link_decode(message, link) < 0:
                return None
            return link.family, link_fields(link)
        if kind in OF_ADDRESSES:
            address = ffi.new("struct netstrat_address *")
            code = lib.netstrat_address_decode(message, address)
            if code < 0:
                return NOTHING if code == -EAFNOSUPPORT else None
            return address_fields(address)
        if kind in REPLIES:
            error, verdict = ffi.new("struct netstrat_error *"), ffi.new("int *")
            if lib.netstrat_ack_decode(message, verdict, error) < 0:
                return EBADMSG, ""
            return -verdict[0], ext_ack(error)
        return NOTHING
