"""struct netstrat_batch: messages that are kept until they are sent, then encoded and executed."""

from __future__ import annotations

from enum import Enum
from errno import EMSGSIZE, ENOBUFS
from itertools import compress, repeat
from operator import is_not

from .._core import ffi, lib
from ..errors import InvalidInterfaceNameError, InvalidNetworkError
from . import Namespace, encode_name, ext_ack, invalid_name, kernel_error
from .netns import to_netns_fd
from .rows import new
from .values import INT_MAX, UINT_MAX, check_bool, check_integer, encode_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

NEWLINK, DELLINK = 16, 17  # RTM_, linux/rtnetlink.h
NEWADDR, DELADDR, NEWROUTE, DELROUTE = 20, 21, 24, 25

add_link = lib.netstrat_batch_add_link
add_veth = lib.netstrat_batch_add_veth
add_macvlan = lib.netstrat_batch_add_macvlan
set_link = lib.netstrat_batch_set_link
delete_link = lib.netstrat_batch_delete_link
delete_link_group = lib.netstrat_batch_delete_link_group
add_address = lib.netstrat_batch_add_address
delete_address = lib.netstrat_batch_delete_address
add_route = lib.netstrat_batch_add_route
delete_route = lib.netstrat_batch_delete_route

_NAME, _MAC = lib.NETSTRAT_LINK_NAME, lib.NETSTRAT_LINK_MAC
_NETNS, _ALIAS = lib.NETSTRAT_LINK_NETNS, lib.NETSTRAT_LINK_ALIAS
#: Each setting that is an integer: its name, its bit, its least and its largest value.
_INTEGERS = (
    ("index", lib.NETSTRAT_LINK_INDEX, 1, INT_MAX),
    ("mtu", lib.NETSTRAT_LINK_MTU, 0, INT_MAX),
    ("txqueuelen", lib.NETSTRAT_LINK_TXQUEUELEN, 0, UINT_MAX),
    ("master", lib.NETSTRAT_LINK_MASTER, 0, INT_MAX),
    ("group", lib.NETSTRAT_LINK_GROUP, 0, UINT_MAX),
    # rtnl_create_link, Linux net/core/rtnetlink.c
    ("queues", lib.NETSTRAT_LINK_QUEUES, 1, 4096),
)
_UP, _HAIRPIN = lib.NETSTRAT_LINK_UP, lib.NETSTRAT_LINK_HAIRPIN

_SETTINGS = ffi.typeof("struct netstrat_link_settings *")
_REQUEST, _RECVFROM = lib.NETSTRAT_OP_REQUEST, lib.NETSTRAT_OP_RECVFROM
_TYPICAL = 256  # bytes of a message
_LARGEST = 1 << 20  # no one message takes as much


class Pending(Enum):
    """The type of `PENDING`."""

    PENDING = 0

    def __repr__(self) -> str:
        return "PENDING"


#: The result of a message whose ack did not come: it may or may not have been carried out.
PENDING = Pending.PENDING


class Lookup:
    """An index that a message needs of a link whose name is given: found when it is encoded."""

    __slots__ = ("name",)

    def __init__(self, name: object) -> None:
        self.name = name


class Message:
    """A message that is to be encoded.

    Attributes:
        type: RTM_NEWLINK or another.
        encode: the encoder of the core, and `arguments` what it takes behind the batch.
        name: whom it is about, for errors.
        moved_settings: the settings of the link that goes to the namespace `netns`, or None.
        netns: that namespace.
        new_names: the names that it gives to links, and of each whether that is in `netns`.
    """

    __slots__ = ("arguments", "encode", "moved_settings", "name", "netns", "new_names", "type")

    def __init__(
        self,
        type: int,
        encode: Callable[..., int],
        *arguments: object,
        name: str = "",
        moved_settings: Any = None,
        netns: object = None,
        new_names: Sequence[tuple[str, bool]] = (),
    ) -> None:
        self.type = type
        self.encode = encode
        self.arguments = arguments
        self.name = name
        self.moved_settings = moved_settings
        self.netns = netns
        self.new_names = new_names


# sysctl_dev_name_is_allowed, Linux net/ipv4/devinet.c: /proc/sys/net uses them for settings.
_RESERVED_NAMES = (b"all", b"default")


def check_name(name: object) -> bytes:
    """Converts the name of a link to bytes.

    Raises:
        InvalidInterfaceNameError: no link can have it; an alternative name does not count.
    """
    encoded = encode_name(name, lib.NETSTRAT_OP_LINK_NAME)
    if lib.netstrat_name_check(encoded) != 0:
        raise invalid_name(name, lib.NETSTRAT_OP_LINK_NAME)
    if encoded in _RESERVED_NAMES:
        reason = 'the kernel reserves "all" and "default" for its settings under /proc/sys/net'
        raise InvalidInterfaceNameError(name, reason)
    return encoded


def parse_mac(text: object, field: str = "mac") -> bytes:
    """A hardware address, from "02:00:5e:10:00:01"."""
    try:
        mac = bytes.fromhex(text.replace(":", " "))  # type: ignore[attr-defined]
        if text.lower() == mac.hex(":") and 1 < len(mac) <= lib.NETSTRAT_MAC_SIZE:  # type: ignore[attr-defined]
            return mac
    except (AttributeError, TypeError, ValueError):
        pass
    raise InvalidNetworkError(field, text, 'must be a hardware address like "02:00:5e:10:00:01"')


def parse_ethernet_mac(text: object, field: str) -> bytes:
    """The hardware address of an Ethernet link (is_valid_ether_addr, linux/etherdevice.h)."""
    mac = parse_mac(text, field)
    if len(mac) != 6 or mac[0] & 1 or mac == b"\0\0\0\0\0\0":
        raise InvalidNetworkError(field, text, "must be a unicast address of six bytes, not all 0")
    return mac


def new_settings(
    *,
    name: object = None,
    index: int | None = None,
    up: bool | None = None,
    mtu: int | None = None,
    txqueuelen: int | None = None,
    mac: bytes | None = None,
    master: int | None = None,
    hairpin: bool | None = None,
    alias: str | None = None,
    group: int | None = None,
    queues: int | None = None,
    moves: bool = False,
) -> Any:
    """A struct netstrat_link_settings. None leaves a setting alone.

    Parameters:
        moves: `netns` is filled in when the message is encoded.

    Raises:
        InvalidNetworkError: a value that no message can carry.
    """
    fields: dict[str, Any] = {}
    bits = 0
    if name is not None:
        fields["name"] = check_name(name)
        bits = _NAME
    numbers = index, mtu, txqueuelen, master, group, queues
    given = compress(zip(_INTEGERS, numbers, strict=True), map(is_not, numbers, repeat(None)))
    for (field, bit, least, most), number in given:
        if type(number) is not int or not least <= number <= most:  # inlined: most pass
            check_integer(field, number, least, most)
        fields[field] = number
        bits |= bit
    if up is not None:
        check_bool("up", up)
        fields["up"] = up
        bits |= _UP
    if hairpin is not None:
        check_bool("hairpin", hairpin)
        fields["hairpin"] = hairpin
        bits |= _HAIRPIN
    if mac is not None:
        fields["mac"] = mac
        fields["mac_length"] = len(mac)
        bits |= _MAC
    if alias is not None:
        fields["alias"] = encode_text("alias", alias, lib.NETSTRAT_ALIAS_SIZE - 1)
        bits |= _ALIAS
    fields["set"] = bits | _NETNS if moves else bits
    return ffi.new(_SETTINGS, fields)


def new_target(link: object, *, by_index: bool = False) -> tuple[int | Lookup, object]:
    """The link that a message goes to: the index and the name, of which one counts.

    Parameters:
        by_index: the message needs the index, whatever is given.
    """
    if isinstance(link, int) and not isinstance(link, bool):
        if not 0 < link < 1 << 31:
            raise InvalidNetworkError("link", link, "must be an index from 1 to 2147483647")
        return link, ffi.NULL
    encoded = encode_name(link)
    if lib.netstrat_name_check(encoded) < 0:
        raise invalid_name(link)
    return (Lookup(link), ffi.NULL) if by_index else (0, ffi.new("char[]", encoded))


class Encoded:
    """Messages in one struct netstrat_batch, the namespaces that they name open for as long.

    Parameters:
        find: the index of a link by its name.

    Attributes:
        broken: the number of the first message without an ack, once the exchange has failed there.
    """

    def __init__(
        self, messages: Sequence[Message], find: Callable[[Any], int] | None = None
    ) -> None:
        self.messages = messages
        self.broken: int | None = None
        self.namespaces: dict[int, Namespace] = {}
        self._size = _TYPICAL * (len(messages) + 1)
        self._data = new("unsigned char[]", self._size)
        self.batch = ffi.new("struct netstrat_batch *")
        lib.netstrat_batch_init(self.batch, self._data, self._size)
        for message in messages:
            if message.moved_settings is not None:
                message.moved_settings.netns = self.open(message.netns, message.name).fd
            arguments = message.arguments
            if find is not None and type(arguments[0]) is Lookup:
                arguments = (find(arguments[0].name), *arguments[1:])
            while (code := message.encode(self.batch, *arguments)) < 0:
                if code != -EMSGSIZE or self._size - self.batch.used > _LARGEST:
                    raise InvalidNetworkError(
                        "message", message.name, "the message can't be encoded"
                    )
                self._grow()

    def open(self, netns: object, name: str) -> Namespace:
        """The namespace that a message names."""
        found = self.namespaces.get(id(netns))
        if found is None:
            found = self.namespaces[id(netns)] = to_netns_fd(Namespace(netns, name))
        return found

    def _grow(self) -> None:
        self._size *= 2
        data = new("unsigned char[]", self._size)
        ffi.memmove(data, self._data, self.batch.used)
        self._data = self.batch.data = data
        self.batch.size = self._size

    def outcomes(self, code: int, results: list[int], error: Any) -> list[Any]:
        """The result of each message: None, its KernelError, or PENDING.

        What broke the exchange (a timeout, say) stands at the first message without an ack, and
        `broken` is the number of that message.

        Parameters:
            code, error: what netstrat_execute returned and filled in.
        """
        outcomes: list[Any] = []
        described = error.step == _REQUEST  # `error` describes the first message that was refused
        for message, result in zip(self.messages, results, strict=True):
            if result == 0:
                outcomes.append(None)
            elif result == lib.NETSTRAT_PENDING:
                outcomes.append(PENDING)
            else:
                words = ext_ack(error) if described else ""
                outcomes.append(kernel_error(-result, _REQUEST, message.type, message.name, words))
                described = False
        if PENDING in outcomes:
            # After a refusal the core reports that acks were lost by leaving their results pending.
            lost = error.step == _REQUEST
            errno, step = (ENOBUFS, _RECVFROM) if lost else (-code, error.step)
            self.broken = outcomes.index(PENDING)
            outcomes[self.broken] = kernel_error(errno, step, 0, self.messages[self.broken].name)
        return outcomes
