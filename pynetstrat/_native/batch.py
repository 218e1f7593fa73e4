"""struct netstrat_batch: messages that are kept until they are sent, then encoded together."""

from __future__ import annotations

from errno import EMSGSIZE, ENOBUFS

from .._core import ffi, lib
from ..errors import InvalidNetworkError
from . import Namespace, ext_ack, kernel_error, show
from .netns import to_netns_fd
from .rows import new

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from enum import Enum
    from typing import Any

REQUEST, ACK = lib.NLM_F_REQUEST, lib.NLM_F_ACK
NEWLINK, DELLINK = lib.RTM_NEWLINK, lib.RTM_DELLINK
NEWLINKPROP, DELLINKPROP = lib.NETSTRAT_RTM_NEWLINKPROP, lib.NETSTRAT_RTM_DELLINKPROP
NEWADDR, DELADDR = lib.RTM_NEWADDR, lib.RTM_DELADDR
NEWROUTE, DELROUTE = lib.RTM_NEWROUTE, lib.RTM_DELROUTE

add_link = lib.netstrat_batch_add_link
add_veth = lib.netstrat_batch_add_veth
add_macvlan = lib.netstrat_batch_add_macvlan
add_vlan = lib.netstrat_batch_add_vlan
add_ipvlan = lib.netstrat_batch_add_ipvlan
add_vxlan = lib.netstrat_batch_add_vxlan
set_link = lib.netstrat_batch_set_link
delete_link = lib.netstrat_batch_delete_link
delete_link_group = lib.netstrat_batch_delete_link_group
add_address = lib.netstrat_batch_add_address
delete_address = lib.netstrat_batch_delete_address
add_route = lib.netstrat_batch_add_route
delete_route = lib.netstrat_batch_delete_route

_REQUEST, _RECVFROM = lib.NETSTRAT_OP_REQUEST, lib.NETSTRAT_OP_RECVFROM
_TYPICAL = 256  # bytes of a message
_LARGEST = 1 << 20  # bytes; every message is smaller


if TYPE_CHECKING:

    class Pending(Enum):
        """The type of `PENDING`."""

        PENDING = 0

    PENDING = Pending.PENDING
else:  # for an Enum, `enum` would have to be loaded

    class Pending:
        """The type of `PENDING`."""

        __slots__ = ()

        def __repr__(self) -> str:
            return "PENDING"

        def __reduce__(self) -> str:
            return "PENDING"  # the global name of the only object

    #: The result of a message whose ack did not arrive: the kernel may or may not have executed it.
    PENDING = Pending()


class Message:
    """A message to encode.

    Attributes:
        type: its type, such as RTM_NEWLINK.
        encode: the encoder: a function of the core that takes the batch and `arguments`.
        link: the name or index of the link, for errors.
        subject: the destination of a route, or an address, for errors.
        lookup: the name of the link whose index is the first argument, or None if that is known.
        netns: the namespace that a link goes to, or None.
        moved_settings: the settings of that link.
        new_names: each name that the message gives to a link, and whether that link is in `netns`.
    """

    # Few messages have these.
    lookup: object = None
    netns: object = None
    moved_settings: Any = None
    new_names: Sequence[tuple[object, bool]] = ()

    def __init__(
        self,
        type: int,
        encode: Callable[..., int],
        *arguments: object,
        link: object = "",
        subject: str = "",
    ) -> None:
        self.type = type
        self.encode = encode
        self.arguments = arguments
        self.link = link
        self.subject = subject

    def about(self) -> str:
        """Returns the link as errors name it."""
        return f"index {self.link}" if isinstance(self.link, int) else show(self.link)

    def move(self, settings: Any, netns: object) -> None:
        """Sends the link with these settings to another namespace."""
        self.moved_settings, self.netns = settings, netns


def put_altname(batch: Any, index: int, type: int, name: bytes) -> int:
    """Encodes a message that gives a link an alternative name or takes it away."""
    added = lib.NLM_F_CREATE | lib.NLM_F_EXCL if type == NEWLINKPROP else 0
    info = ffi.new("struct ifinfomsg *", {"ifi_index": index})
    lib.netstrat_batch_begin(batch, type, REQUEST | ACK | added)
    lib.netstrat_batch_append(batch, info, ffi.sizeof(info[0]))
    nest = lib.netstrat_batch_nest(batch, lib.NETSTRAT_IFLA_PROP_LIST)
    lib.netstrat_batch_put_string(batch, lib.NETSTRAT_IFLA_ALT_IFNAME, name)
    lib.netstrat_batch_nest_end(batch, nest)
    return lib.netstrat_batch_finish(batch)  # type: ignore[no-any-return]


def add_message(batch: Any, type: int, flags: int, body: bytes) -> int:
    """Encodes a message whose payload the caller has built."""
    lib.netstrat_batch_begin(batch, type, flags)
    lib.netstrat_batch_append(batch, body, len(body))
    return lib.netstrat_batch_finish(batch)  # type: ignore[no-any-return]


class Encoded:
    """Messages encoded in a struct netstrat_batch, which keeps the namespaces they name open.

    Parameters:
        find: returns the index of a link by its name.

    Attributes:
        broken: if the exchange failed, the number of the first message without an ack.
    """

    def __init__(
        self, messages: Sequence[Message], find: Callable[[Any], int] | None = None
    ) -> None:
        self.messages = messages
        self.broken: int | None = None
        self.namespaces: dict[int, Namespace] = {}
        size = _TYPICAL * (len(messages) + 1)
        self._data = new("unsigned char[]", size)
        self.batch = batch = ffi.new("struct netstrat_batch *")
        lib.netstrat_batch_init(batch, self._data, size)
        for message in messages:
            arguments = message.arguments
            if message.netns is not None:
                message.moved_settings.netns = self.open(message).fd
            if message.lookup is not None:
                assert find is not None
                arguments = (find(message.lookup), *arguments[1:])
            while (code := message.encode(batch, *arguments)) < 0:
                if code != -EMSGSIZE or batch.size - batch.used > _LARGEST:
                    reason = "the message can't be encoded"
                    raise InvalidNetworkError("message", message.about(), reason)
                self._grow()

    def open(self, message: Message) -> Namespace:
        """Opens the namespace that a message names, once for all messages."""
        netns = message.netns
        if type(netns) is Namespace:  # a session's, which is known to be one
            return netns
        found = self.namespaces.get(id(netns))
        if found is None:
            found = self.namespaces[id(netns)] = to_netns_fd(Namespace(netns, message.about()))
        return found

    def _grow(self) -> None:
        batch, size = self.batch, 2 * self.batch.size
        data = new("unsigned char[]", size)
        ffi.memmove(data, self._data, batch.used)
        self._data = batch.data = data
        batch.size = size

    def outcomes(self, code: int, results: list[int], error: Any) -> list[Any]:
        """Returns the result of each message: None, its KernelError, or PENDING.

        If the exchange failed (by a timeout, for example) that error becomes the result of the
        first message without an ack, and `broken` the number of that message.

        Parameters:
            code, results, error: what netstrat_execute returned and filled in.
        """
        outcomes: list[Any] = []
        described = error.operation == _REQUEST  # `error` describes the first refused message
        for message, result in zip(self.messages, results, strict=True):
            if result == 0:
                outcomes.append(None)
            elif result == lib.NETSTRAT_PENDING:
                outcomes.append(PENDING)
            else:
                text = ext_ack(error) if described else ""
                about = message.type, message.about(), text, None, message.subject
                outcomes.append(kernel_error(-result, _REQUEST, *about))
                described = False
        if PENDING in outcomes:
            # If a message was refused `error` describes that, and lost acks show only as PENDING.
            lost = error.operation == _REQUEST
            errno, operation = (ENOBUFS, _RECVFROM) if lost else (-code, error.operation)
            self.broken = outcomes.index(PENDING)
            name = self.messages[self.broken].about()
            outcomes[self.broken] = kernel_error(errno, operation, 0, name)
        return outcomes
