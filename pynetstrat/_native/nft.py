"""nf_tables: a socket, transactions, and the elements of the sets of egress and published ports."""

from __future__ import annotations

from errno import EBADMSG, EINVAL, EMSGSIZE, ENFILE, ENOENT
from itertools import chain

from .._core import ffi, lib
from .._dataclass import dataclass
from ..errors import KernelError
from . import decode, encode_name, fail, kernel_error
from .prefixes import AF_INET, format_address, format_prefix, parse_prefix, to_number
from .rows import new
from .transport import Transport, new_request
from .values import encode_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

# The sets of IPv4. Those of IPv6 have the next number.
SUBNETS: int = lib.NETSTRAT_NFT_SUBNETS4
HOSTS: int = lib.NETSTRAT_NFT_HOSTS4
NEIGHBOURS: int = lib.NETSTRAT_NFT_NEIGHBOURS4
PORTS: int = lib.NETSTRAT_NFT_PORTS4
ADDRESS_PORTS: int = lib.NETSTRAT_NFT_ADDRESS_PORTS4
SETS = range(lib.NETSTRAT_NFT_SETS)
MAX_OWNER: int = lib.NETSTRAT_OWNER_SIZE - 1  # bytes
RULES: int = lib.NETSTRAT_NFT_RULES

_PER_MESSAGE = 128  # elements: with the longest owners 40 KiB, and an attribute holds 64 KiB
_SIZE = 4096  # bytes of a transaction, at first
_ELEMENTS = ffi.typeof("struct netstrat_nft_element[]")
_ELEMENT_SIZE = ffi.sizeof("struct netstrat_nft_element")
_ROOM = 64  # elements of a dump, at first
_LARGEST = 1 << 24  # bytes
_FOREIGN = (
    "another program has made sets of the table inet pynetstrat: delete it, as by nft delete table "
    "inet pynetstrat, and try again"
)


class Element(bytes):
    """An element of a set: the bytes of a struct netstrat_nft_element.

    So it is compared, hashed and sent as it was read. Fields that the set does not have keep their
    default value.

    Parameters:
        address: a masqueraded subnet or address, the subnet of the container's neighbours, or the
            address of the host, in CIDR.
        target: the container's address, in CIDR.
        protocol: its number, such as 6 for TCP.
        port, target_port: of the host and of the container.
        owner: the element's comment.

    An address may also be written in another way than the kernel does, and without /32 or /128.
    """

    __slots__ = ()

    def __new__(
        cls,
        address: str = "",
        target: str = "",
        protocol: int = 0,
        port: int = 0,
        target_port: int = 0,
        owner: str = "",
    ) -> Element:
        native = ffi.new("struct netstrat_nft_element *")
        if address:
            native.address = parse_prefix(address, "address")[0]
        if target:
            native.target = parse_prefix(target, "target")[0]
        native.protocol, native.port, native.target_port = protocol, port, target_port
        if owner:
            native.owner = encode_text("owner", owner, MAX_OWNER)
        return cls.from_bytes(ffi.buffer(native))

    @classmethod
    def of_prefix(cls, prefix: Any) -> Element:
        """Makes an element that has only an address, a struct netstrat_prefix."""
        return cls.from_bytes(ffi.buffer(ffi.new("struct netstrat_nft_element *", (prefix[0],))))

    @classmethod
    def from_bytes(cls, native: Any) -> Element:
        """Makes an element from the bytes of its structure."""
        return bytes.__new__(cls, native)

    def __repr__(self) -> str:
        fields = self.address, self.target, self.protocol, self.port, self.target_port, self.owner
        return f"Element{fields}"

    @property
    def _native(self) -> Any:
        return ffi.from_buffer(_ELEMENTS, self)[0]

    @property
    def address(self) -> str:
        """The parameter, as the kernel reports it."""
        return format_prefix(self._native.address)

    @property
    def target(self) -> str:
        """The parameter, as the kernel reports it."""
        return format_prefix(self._native.target)

    @property
    def protocol(self) -> int:
        """The parameter."""
        return int(self._native.protocol)

    @property
    def port(self) -> int:
        """The parameter."""
        return int(self._native.port)

    @property
    def target_port(self) -> int:
        """The parameter."""
        return int(self._native.target_port)

    @property
    def owner(self) -> str:
        """The parameter."""
        raw: bytes = ffi.string(self._native.owner)
        return raw.decode("utf-8", "surrogateescape")

    @property
    def is_end(self) -> bool:
        """Whether `address` is the one after the last of a range of addresses."""
        return bool(self._native.is_end)


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain of any table.

    Attributes:
        family: "ip", "ip6", "inet" or another, as in `nft`.
        table, name: the names of the table and of the chain.
        hook: the number of the hook that calls it; None if none does.
        drops: whether its policy is to drop.
        differs: whether it is one of our table's, but with another hook, priority or policy.
    """

    family: str
    table: str
    name: str
    hook: int | None
    drops: bool
    differs: bool


# NFPROTO_ of linux/netfilter.h, by the names of nft(8).
_FAMILIES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}
FORWARD = 2  # NF_INET_FORWARD, linux/netfilter.h


class Transaction:
    """Changes that the kernel makes all at once, or not at all.

    Parameters:
        generation: the generation of nf_tables in which the changes are valid, as `generation`
            returned it. 0: any.
    """

    def __init__(self, generation: int = 0) -> None:
        self._size = _SIZE
        self._data = new("unsigned char[]", self._size)
        self.batch = ffi.new("struct netstrat_batch *")
        lib.netstrat_batch_init(self.batch, self._data, self._size)
        self._append(lib.netstrat_batch_begin_nft, generation)

    def _append(self, encode: Callable[..., int], *arguments: object) -> Transaction:
        while (code := encode(self.batch, *arguments)) < 0:
            if code != -EMSGSIZE or self._size >= _LARGEST:
                raise kernel_error(-code, lib.NETSTRAT_OP_BATCH)
            self._size *= 4
            data = new("unsigned char[]", self._size)
            ffi.memmove(data, self._data, self.batch.used)
            self._data = self.batch.data = data
            self.batch.size = self._size
        return self

    def add_table(self) -> Transaction:
        """Adds the creation of the table."""
        return self._append(lib.netstrat_batch_add_nft_table)

    def delete_table(self) -> Transaction:
        """Adds the deletion of the table."""
        return self._append(lib.netstrat_batch_delete_nft_table)

    def add(self, set: int, elements: Sequence[Element]) -> Transaction:
        """Adds the addition of elements."""
        return self._change(lib.netstrat_batch_add_nft_elements, set, elements)

    def delete(self, set: int, elements: Sequence[Element]) -> Transaction:
        """Adds the deletion of elements."""
        return self._change(lib.netstrat_batch_delete_nft_elements, set, elements)

    def _change(
        self, encode: Callable[..., int], set: int, elements: Sequence[Element]
    ) -> Transaction:
        for at in range(0, len(elements), _PER_MESSAGE):
            part = elements[at : at + _PER_MESSAGE]
            self._append(encode, set, ffi.from_buffer(_ELEMENTS, b"".join(part)), len(part))
        return self

    def finish(self) -> Any:
        """Returns the whole struct netstrat_batch."""
        self._append(lib.netstrat_batch_end_nft)
        return self.batch


class NftSocket(Transport):
    """A socket for nf_tables in one network namespace.

    Parameters:
        netns: the namespace, as for `RtnetlinkSocket`; None: the calling thread's.
        timeout_ms: how long a call may take, in milliseconds.
    """

    __slots__ = ()

    def __init__(self, netns: object, timeout_ms: int) -> None:
        super().__init__(netns, timeout_ms, lib.NETLINK_NETFILTER)

    def transact(self, transaction: Transaction) -> None:
        """Sends a transaction. Raises KernelError if nothing was changed, or no answer arrived."""
        code = lib.netstrat_execute_atomic(self._sock, transaction.finish(), self._error)
        try:
            if code < 0:
                fail(code, self._error)
        except KernelError as error:
            # Elements are valid for our sets, which have no limit.
            if error.operation == "NFT_MSG_NEWSETELEM" and error.errno in (EINVAL, ENFILE):
                error.hint = _FOREIGN
            raise

    def generation(self) -> int:
        """Returns the generation of nf_tables, which each transaction of any program changes."""
        generation = ffi.new("uint32_t *")
        self._call(lib.netstrat_nft_generation_get, generation)
        return generation[0]  # type: ignore[no-any-return]

    def elements(self, set: int) -> list[Element]:
        """Returns the elements of a set; none if the set does not exist.

        A range of addresses that is not a subnet appears as several subnets.
        """
        try:
            raw, count = self._dump_elements(set)
        except KernelError as error:
            if error.errno == ENOENT:
                return []
            if error.errno == EBADMSG and error.operation == "NFT_MSG_GETSETELEM":
                error.hint = _FOREIGN
            raise
        ends = range(_ELEMENT_SIZE, count * _ELEMENT_SIZE + 1, _ELEMENT_SIZE)
        found = [Element.from_bytes(raw[end - _ELEMENT_SIZE : end]) for end in ends]
        if set >> 1 != SUBNETS >> 1:
            return found
        return list(chain.from_iterable(_subnets(found)))

    def _dump_elements(self, set: int) -> tuple[Any, int]:
        """Returns the elements of a set as the bytes of their structures, and their number."""
        room = _ROOM
        while True:
            native = new(_ELEMENTS, room)
            count = self._call(lib.netstrat_nft_elements_dump, set, native, room)
            if count <= room:
                return ffi.buffer(native), count
            room = count + count // 8

    def count_rules(self) -> int:
        """Returns how many rules the table has: RULES, or 0 if it does not exist."""
        try:
            return sum(1 for _ in self._dump(lib.netstrat_batch_dump_nft_rules, 0))
        except KernelError as error:
            if error.errno == ENOENT:
                return 0
            raise

    def is_dormant(self) -> bool:
        """Whether the table exists and has the flag dormant."""
        batch, _memory = new_request(lib.netstrat_batch_get_nft_table)
        answer, flags = ffi.new("struct netstrat_message *"), ffi.new("uint32_t *")
        try:
            self.query(batch, answer)
        except KernelError as error:
            if error.errno == ENOENT:
                return False
            raise
        if lib.netstrat_nft_table_decode(answer, flags) < 0:
            raise kernel_error(EBADMSG, lib.NETSTRAT_OP_REQUEST, lib.NETSTRAT_NFT_GETTABLE)
        return bool(flags[0] & lib.NETSTRAT_NFT_DORMANT)

    def tables_that_name(self, interface: str) -> set[tuple[str, str]]:
        """Returns family and name of each table with a rule that contains an interface's name."""
        name, native = encode_name(interface), ffi.new("struct netstrat_nft_chain *")
        found = set()
        for message in self._dump(lib.netstrat_batch_dump_nft_rules, 1):
            if lib.netstrat_nft_rule_decode(message, name, native) > 0:
                found.add((_family(native), decode(native.table)))
        return found

    def chains(self) -> list[Chain]:
        """Returns the chains of all tables."""
        found = []
        native = ffi.new("struct netstrat_nft_chain *")
        for message in self._dump(lib.netstrat_batch_dump_nft_chains):
            if lib.netstrat_nft_chain_decode(message, native) < 0:
                raise kernel_error(EBADMSG, lib.NETSTRAT_OP_REQUEST, lib.NETSTRAT_NFT_GETCHAIN)
            hook = native.hook if native.is_base else None
            differs = bool(lib.netstrat_nft_chain_differs(native))
            table, name = decode(native.table), decode(native.name)
            found.append(Chain(_family(native), table, name, hook, bool(native.drops), differs))
        return found


def _family(chain: Any) -> str:
    return _FAMILIES.get(chain.family, str(chain.family))


# ---- subnets ----


def _subnets(found: list[Element]) -> Iterator[Iterator[Element]]:
    """Yields the subnets of each range: its first address, and the one after its last."""
    numbers = []
    bits = 32
    for element in found:
        prefix = parse_prefix(element.address, "address")[0]
        bits = 32 if prefix.family == AF_INET else 128
        numbers.append((to_number(prefix), not element.is_end))
    numbers.sort()  # at one address an end comes before the beginning of the next range
    beginning: int | None = None
    for number, begins in [*numbers, (1 << bits, False)]:
        if begins:
            beginning = number
        elif beginning is not None:
            yield _cover(beginning, number, bits)
            beginning = None


def _cover(first: int, end: int, bits: int) -> Iterator[Element]:
    """Yields the fewest subnets that cover the addresses from `first` to before `end`."""
    while first < end:
        aligned = first & -first or 1 << bits
        size = min(aligned, 1 << (end - first).bit_length() - 1)
        text = format_address(first.to_bytes(bits // 8, "big"))
        yield Element(f"{text}/{bits - size.bit_length() + 1}")
        first += size
