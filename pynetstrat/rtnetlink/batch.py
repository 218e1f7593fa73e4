"""Batches of rtnetlink messages: built first, then sent at once by `RtnetlinkSocket.execute`."""

from __future__ import annotations

import os

from .._native import batch as native
from .._native.addresses import add_copy, new_address, new_route
from .._native.batch import PENDING as PENDING
from .._native.batch import Pending
from .._native.values import INT_MAX, UINT_MAX, check_bool, check_integer, encode_text
from ..errors import InvalidNetworkError, KernelError
from .links import IFA_F_NODAD, IFA_F_NOPREFIXROUTE, Address, Route

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .._native.addresses import RouteCopy
    from .._native.socket import Socket
    from ..types import Name, Netns

MACVLAN_MODES = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8}  # linux/if_link.h


_ETHERNET_MTU = (68, 65535)  # ETH_MIN_MTU and ETH_MAX_MTU, linux/if_ether.h


def _if_true(up: bool) -> bool | None:
    """None in place of False: a new link is down in any case."""
    return None if up is False else up


def _parse_mac(mac: object) -> bytes | None:
    return None if mac is None else native.parse_mac(mac)


def _parse_ethernet_mac(field: str, mac: object) -> bytes | None:
    return None if mac is None else native.parse_ethernet_mac(mac, field)


class BatchError(KernelError):
    """A message of a batch failed; those before and after it may have been carried out.

    Attributes:
        item: the number of the first message that failed, from 0.
        results: for each message None, its `KernelError`, or `PENDING` if its ack did not arrive.
            If the exchange itself failed (a timeout), that error is the result of the first message
            without an ack.
    The other attributes are those of the first failure. If a message was refused before the
    exchange failed, the text has both.
    """

    def __init__(
        self,
        errno: int,
        operation: str,
        interface: str = "",
        kernel_message: str = "",
        hint: str = "",
        filename: str | None = None,
        item: int = 0,
        results: Sequence[KernelError | Pending | None] = (),
    ) -> None:
        super().__init__(errno, operation, interface, kernel_message, hint, filename)
        self.item = item
        self.results = list(results)

    def __str__(self) -> str:
        text = super().__str__()
        count = len(self.results)
        return f"message {self.item + 1} of {count}: {text}" if count > 1 else text

    def __reduce__(self) -> tuple[Any, ...]:
        kind, arguments = super().__reduce__()
        return kind, (*arguments, self.item, self.results)


def _shown(link: Name | int) -> str:
    if type(link) is str:
        return link
    return f"index {link}" if isinstance(link, int) else os.fsdecode(link)


class Batch:
    """Messages under construction. Every method appends one and returns the batch.

    The kernel carries messages out in order and goes on after one that fails: a batch is not a
    transaction, but `execute` reports each result. Namespaces (`netns`) are opened when the batch
    is executed, and not held. None as an argument leaves the kernel's choice. A batch can be
    executed again and by other sockets, but not by two threads at once.

    Raises (every method):
        InvalidInterfaceNameError: a name that the kernel would not take for a new link.
        InvalidNetworkError: an argument that no message can carry.
    """

    __slots__ = ("messages",)

    def __init__(self) -> None:
        self.messages: list[native.Message] = []

    def __len__(self) -> int:
        return len(self.messages)

    def __repr__(self) -> str:
        return f"<Batch of {len(self)} messages>"

    def _append(self, message: native.Message) -> Batch:
        self.messages.append(message)
        return self

    # ---- links ----

    def add_veth(
        self,
        name: Name,
        peer: Name,
        *,
        netns: Netns | None = None,
        mtu: int | None = None,
        txqueuelen: int | None = None,
        mac: str | None = None,
        peer_mac: str | None = None,
        master: int | None = None,
        up: bool = False,
        index: int | None = None,
        peer_index: int | None = None,
        queues: int | None = None,
    ) -> Batch:
        """Makes a veth pair, both ends at once.

        Parameters:
            name, peer: the names of the two ends.
            netns: the namespace in which the peer is made; None: here.
            mtu: of both ends, bytes: 68 to 65535.
            txqueuelen: of both ends, packets.
            mac, peer_mac: their addresses.
            master: the index of the bridge that this end becomes a port of.
            up: whether this end is brought up. (The kernel does not do that for the peer.)
            index, peer_index: their indexes; the peer's only together with the own one.
            queues: of both ends, so many for each direction. None: on Linux 5.15 and newer one for
                each processor, with all but the first out of use (until `ethtool -L`); older: one.
        """
        if peer_index is not None and index is None:
            reason = "must come with index: the kernel takes it only together"
            raise InvalidNetworkError("peer_index", peer_index, reason)
        if peer_index is not None:
            check_integer("peer_index", peer_index, 1, INT_MAX)
        if mtu is not None:
            check_integer("mtu", mtu, *_ETHERNET_MTU)
        own = native.new_settings(
            name=name,
            index=index,
            up=_if_true(up),
            mtu=mtu,
            txqueuelen=txqueuelen,
            mac=_parse_ethernet_mac("mac", mac),
            master=master,
            queues=queues,
        )
        other = native.new_settings(
            name=peer,
            index=peer_index,
            mtu=mtu,
            txqueuelen=txqueuelen,
            mac=_parse_ethernet_mac("peer_mac", peer_mac),
            queues=queues,
            moves=netns is not None,
        )
        return self._append(
            native.Message(
                native.NEWLINK,
                native.add_veth,
                own,
                other,
                name=_shown(name),
                moved_settings=None if netns is None else other,
                netns=netns,
                new_names=((_shown(name), False), (_shown(peer), netns is not None)),
            )
        )

    def add_bridge(
        self, name: Name, *, mac: str | None = None, mtu: int | None = None, up: bool = False
    ) -> Batch:
        """Makes a bridge. One with a `mac` keeps it, whatever its ports have."""
        if mtu is not None:
            check_integer("mtu", mtu, *_ETHERNET_MTU)
        _parse_ethernet_mac("mac", mac)
        return self.add_link(name, "bridge", mac=mac, mtu=mtu, up=up)

    def add_macvlan(
        self,
        name: Name,
        link: Name | int,
        *,
        mode: str = "bridge",
        netns: Netns | None = None,
        mac: str | None = None,
        mtu: int | None = None,
        up: bool = False,
    ) -> Batch:
        """Makes a macvlan on a link.

        Parameters:
            link: its name, alternative name or index. (A name is looked up before the batch is
                sent, so that it must not be that of a link which the same batch makes.)
            mode: "private", "vepa", "bridge" or "passthru".
            netns: the namespace in which it is made; None: here.
            mac, mtu, up: as in `add_veth`.
        """
        if not isinstance(mode, str) or mode not in MACVLAN_MODES:
            raise InvalidNetworkError("mode", mode, "must be one of " + ", ".join(MACVLAN_MODES))
        moves = netns is not None
        parsed = _parse_ethernet_mac("mac", mac)
        settings = native.new_settings(
            name=name, mac=parsed, mtu=mtu, up=None if up is False else up, moves=moves
        )
        parent, _ = native.new_target(link, by_index=True)
        arguments = (parent, MACVLAN_MODES[mode], settings)
        return self._append(
            native.Message(
                native.NEWLINK,
                native.add_macvlan,
                *arguments,
                name=_shown(name),
                moved_settings=settings if moves else None,
                netns=netns,
                new_names=((_shown(name), moves),),
            )
        )

    def add_link(
        self,
        name: Name,
        kind: str,
        *,
        mac: str | None = None,
        mtu: int | None = None,
        up: bool = False,
    ) -> Batch:
        """Makes a link of a kind that needs no more than that: "bridge", "ifb", "dummy" ..."""
        settings = native.new_settings(
            name=name, mac=_parse_mac(mac), mtu=mtu, up=None if up is False else up
        )
        encoded = encode_text("kind", kind)
        if not encoded:
            reason = "must be the name of a kind of link, such as bridge"
            raise InvalidNetworkError("kind", kind, reason)
        return self._append(
            native.Message(
                native.NEWLINK,
                native.add_link,
                encoded,
                settings,
                name=_shown(name),
                new_names=((_shown(name), False),),
            )
        )

    def set_link(
        self,
        link: Name | int,
        *,
        up: bool | None = None,
        mtu: int | None = None,
        txqueuelen: int | None = None,
        mac: str | None = None,
        master: int | None = None,
        hairpin: bool | None = None,
        netns: Netns | None = None,
        new_name: Name | None = None,
        new_index: int | None = None,
        alias: str | None = None,
    ) -> Batch:
        """Changes a link.

        The kernel does it part by part (hairpin, namespace, MAC, MTU, name, alias, up, master,
        queue length), stops at the first that fails, and keeps what it did.

        Parameters:
            link: its name, alternative name or index. (To rename it, the kernel needs the index: a
                name is then looked up before the batch is sent.)
            master: the index of the bridge that it becomes a port of; 0 takes it off.
            hairpin: of a link that is the port of a bridge already.
            netns, new_index: the namespace that it moves to, and its index there.
            new_name: its new name, in which one `%d` stands for a number of the kernel's choice.
            alias: "" takes it off.
        """
        moves = netns is not None
        if new_index is not None and not moves:
            reason = "must come with netns: an index changes only with the namespace"
            raise InvalidNetworkError("new_index", new_index, reason)
        if new_index is not None:
            check_integer("new_index", new_index, 1, INT_MAX)
        given = new_name or (link if moves and not isinstance(link, int) else None)
        settings = native.new_settings(
            name=new_name,
            index=new_index,
            up=up,
            mtu=mtu,
            txqueuelen=txqueuelen,
            mac=_parse_mac(mac),
            master=master,
            hairpin=hairpin,
            alias=alias,
            moves=moves,
        )
        return self._append(
            native.Message(
                native.NEWLINK,
                native.set_link,
                *native.new_target(link, by_index=new_name is not None),
                settings,
                name=_shown(link),
                moved_settings=settings if moves else None,
                netns=netns,
                new_names=() if given is None else ((_shown(given), moves),),
            )
        )

    def delete_link(self, link: Name | int) -> Batch:
        """Deletes a link, by its name, alternative name or index; of a veth both ends."""
        target = native.new_target(link)
        return self._append(
            native.Message(native.DELLINK, native.delete_link, *target, name=_shown(link))
        )

    def set_group(self, index: int, group: int) -> Batch:
        """Puts a link into a group."""
        check_integer("index", index, 1, INT_MAX)
        check_integer("group", group, 0, UINT_MAX)
        settings = native.new_settings(group=group)
        target = native.new_target(index)
        return self._append(
            native.Message(native.NEWLINK, native.set_link, *target, settings, name=_shown(index))
        )

    def delete_group(self, group: int) -> Batch:
        """Deletes all links of a group at once, or none where one of them can't be deleted.

        Parameters:
            group: its number. Not 0, the group of every link that was put into no other.
        """
        check_integer("group", group, 1, UINT_MAX)
        name = f"group {group}"
        return self._append(
            native.Message(native.DELLINK, native.delete_link_group, group, name=name)
        )

    # ---- addresses and routes ----

    def add_address(
        self,
        index: int,
        address: str | Address,
        *,
        broadcast: str | None = None,
        label: str | None = None,
        nodad: bool = True,
        noprefixroute: bool = False,
        replace: bool = False,
    ) -> Batch:
        """Adds an address to a link.

        Parameters:
            index: of the link.
            address: "192.0.2.1/24", "2001:db8::1/64", or an `Address` with all that it has.
            broadcast: IPv4's broadcast address.
            label: IPv4's label, which begins with the link's name.
            nodad: IPv6 without duplicate address detection: it can be used at once.
            noprefixroute: no route to its subnet comes with it.
            replace: also where it is there already; its settings then change.
        """
        check_integer("index", index, 1, INT_MAX)
        if not type(nodad) is type(noprefixroute) is type(replace) is bool:
            check_bool("nodad", nodad)
            check_bool("noprefixroute", noprefixroute)
            check_bool("replace", replace)
        if not isinstance(address, Address):
            flags = IFA_F_NODAD * bool(nodad) | IFA_F_NOPREFIXROUTE * bool(noprefixroute)
            address = Address(
                index,
                address,
                broadcast="" if broadcast is None else broadcast,
                label="" if label is None else label,
                flags=flags,
            )
        elif address.valid == 0:
            raise InvalidNetworkError("valid", 0, "must be a lifetime of at least one second")
        encoded = new_address(index, address)
        return self._append(
            native.Message(native.NEWADDR, native.add_address, encoded, replace, name=_shown(index))
        )

    def delete_address(self, index: int, address: str | Address) -> Batch:
        """Deletes an address of a link."""
        check_integer("index", index, 1, INT_MAX)
        if not isinstance(address, Address):
            address = Address(index, address)
        encoded = new_address(index, address)
        return self._append(
            native.Message(native.DELADDR, native.delete_address, encoded, name=_shown(index))
        )

    def add_route(self, route: Route) -> Batch:
        """Adds a route; EEXIST where destination, metric and table are another's."""
        return self._append(
            native.Message(
                native.NEWROUTE, native.add_route, _encode_route(route), name=_shown(route.ifindex)
            )
        )

    def add_copy(self, route: RouteCopy) -> Batch:
        """Adds a route as it was (`RtnetlinkSocket.copy_routes`)."""
        name = f"route to {route.destination}"
        return self._append(native.Message(native.NEWROUTE, add_copy, route, name=name))

    def delete_route(self, route: Route) -> Batch:
        """Deletes a route."""
        return self._append(
            native.Message(
                native.DELROUTE,
                native.delete_route,
                _encode_route(route),
                name=_shown(route.ifindex),
            )
        )


def _encode_route(route: object) -> Any:
    if not isinstance(route, Route):
        raise InvalidNetworkError("route", route, "must be a Route")
    return new_route(route)


def execute(sock: Socket, encoded: native.Encoded) -> None:
    """Sends the messages and raises BatchError if one of them failed."""
    outcomes = sock.execute(encoded)
    if not any(outcomes):
        return
    for item, outcome in enumerate(outcomes):
        if isinstance(outcome, KernelError):
            hint, broken = outcome.hint, encoded.broken
            if broken is not None and broken > item:
                hint = f"{hint}; message {broken + 1}: {outcomes[broken]}".lstrip("; ")
            raise BatchError(
                outcome.errno or 0,
                outcome.operation,
                outcome.interface,
                outcome.kernel_message,
                hint,
                outcome.filename,
                item,
                outcomes,
            )
