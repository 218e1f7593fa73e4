"""Batches of rtnetlink messages: built first, then sent together by `RtnetlinkSocket.execute`."""

from __future__ import annotations

from .._native import batch as native
from .._native import qdiscs as native_qdiscs
from .._native.addresses import IFA_F_NODAD, IFA_F_NOPREFIXROUTE, new_address
from .._native.batch import PENDING as PENDING
from .._native.links import (
    IPVLAN_FLAGS,
    IPVLAN_MODES,
    MACVLAN_MODES,
    VLAN_PROTOCOLS,
    check_altname,
    new_peer_settings,
    new_settings,
    new_target,
    new_vxlan,
    parse_mac,
)
from .._native.routes import new_route
from .._native.values import INT_MAX, UINT_MAX, check_bool, check_integer, encode_text
from ..errors import BatchError, InvalidNetworkError, KernelError
from .links import Address, Route

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .._native.transport import Transport
    from ..types import Name, Netns

ETHERNET_MTU = (68, 65535)  # ETH_MIN_MTU and ETH_MAX_MTU, linux/if_ether.h
_LARGEST_BODY = 65536  # bytes; no message of rtnetlink is longer


def _choose(field: str, value: object, numbers: dict[str, int]) -> int:
    """Returns the number that stands for a word."""
    if not isinstance(value, str) or value not in numbers:
        raise InvalidNetworkError(field, value, "must be one of " + ", ".join(numbers))
    return numbers[value]


def _if_true(up: bool) -> bool | None:
    """Returns None instead of False: a new link is down anyway."""
    return None if up is False else up


def _parse_mac(mac: object, field: str = "mac", *, ethernet: bool = False) -> bytes | None:
    return None if mac is None else parse_mac(mac, field, ethernet=ethernet)


class Batch:
    """A list of rtnetlink messages for `RtnetlinkSocket.execute`.

    Each method appends one message and returns the batch. An argument of None leaves the choice to
    the kernel. The kernel executes messages in order and continues after one that fails: a batch is
    not a transaction, but `BatchError` reports each result. Namespaces (`netns`) are opened while
    the batch is executed. A batch may be executed again and by other sockets, but not by two
    threads at once.

    Each method raises:

    - InvalidInterfaceNameError: the kernel would refuse the name;
    - InvalidNetworkError: no message can carry an argument.

    Example:
        >>> batch = Batch().add_bridge("br0", up=True).add_veth("veth0", "eth0", netns="blue")
        >>> with RtnetlinkSocket() as rtnetlink:
        ...     rtnetlink.execute(batch)
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
        """Makes a veth pair.

        Parameters:
            name, peer: the names of its two ends.
            netns: the namespace in which the peer is made; None: the socket's.
            mtu: of both ends, in bytes: 68 to 65535.
            txqueuelen: of both ends, in packets.
            mac, peer_mac: the hardware addresses of `name` and `peer`.
            master: the index of the bridge that `name` becomes a port of.
            up: whether `name` is brought up. The kernel can't bring the peer up in this message.
            index, peer_index: the indexes of `name` and `peer`. `peer_index` requires `index`.
            queues: how many queues both ends have in each direction. None: one before Linux 5.15;
                since then one for each processor, of which only the first is used until
                `ethtool -L` says otherwise.
        """
        if peer_index is not None and index is None:
            reason = "must be given together with index"
            raise InvalidNetworkError("peer_index", peer_index, reason)
        if mtu is not None:
            check_integer("mtu", mtu, *ETHERNET_MTU)
        own = new_settings(
            name=name,
            index=index,
            up=_if_true(up),
            mtu=mtu,
            txqueuelen=txqueuelen,
            mac=_parse_mac(mac, ethernet=True),
            master=master,
            queues=queues,
        )
        moves = netns is not None
        other = new_peer_settings(
            own,
            name=peer,
            index=peer_index,
            mac=_parse_mac(peer_mac, "peer_mac", ethernet=True),
            moves=moves,
        )
        message = native.Message(native.NEWLINK, native.add_veth, own, other, link=name)
        message.new_names = (name, False), (peer, moves)
        if moves:
            message.move(other, netns)
        return self._append(message)

    def add_bridge(
        self, name: Name, *, mac: str | None = None, mtu: int | None = None, up: bool = False
    ) -> Batch:
        """Makes a bridge.

        Parameters:
            name: its name.
            mac: its hardware address. Without one it takes that of a port.
            mtu: in bytes: 68 to 65535.
            up: whether it is brought up.
        """
        if mtu is not None:
            check_integer("mtu", mtu, *ETHERNET_MTU)
        _parse_mac(mac, ethernet=True)
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
        index: int | None = None,
    ) -> Batch:
        """Makes a macvlan.

        Parameters:
            name: its name.
            link: the parent's name, alternative name or index. A name is looked up before the batch
                is sent, so a parent made by the same batch must be given by its index.
            mode: "private", "vepa", "bridge" or "passthru".
            netns: the namespace in which it is made; None: the socket's.
            mac: its hardware address.
            mtu: in bytes.
            up: whether it is brought up.
            index: its index.
        """
        number = _choose("mode", mode, MACVLAN_MODES)
        return self._add_stacked(
            native.add_macvlan,
            name,
            link,
            number,
            netns=netns,
            mac=mac,
            mtu=mtu,
            up=up,
            index=index,
        )

    def add_vlan(
        self,
        name: Name,
        link: Name | int,
        id: int,
        *,
        protocol: str = "802.1Q",
        netns: Netns | None = None,
        mac: str | None = None,
        mtu: int | None = None,
        up: bool = False,
    ) -> Batch:
        """Makes a VLAN.

        Parameters:
            name: its name.
            link: the parent, as for `add_macvlan`.
            id: the VLAN id, 0 to 4094.
            protocol: "802.1Q" or "802.1ad".
            netns: the namespace in which it is made; None: the socket's.
            mac: its hardware address; None: the parent's.
            mtu: in bytes.
            up: whether it is brought up.
        """
        check_integer("id", id, 0, 4094)
        number = _choose("protocol", protocol, VLAN_PROTOCOLS)
        return self._add_stacked(
            native.add_vlan, name, link, id, number, netns=netns, mac=mac, mtu=mtu, up=up
        )

    def add_ipvlan(
        self,
        name: Name,
        link: Name | int,
        *,
        mode: str = "l3",
        flag: str = "bridge",
        netns: Netns | None = None,
        mtu: int | None = None,
        up: bool = False,
    ) -> Batch:
        """Makes an ipvlan, which has the parent's hardware address (Linux 3.19).

        Parameters:
            name: its name.
            link: the parent, as for `add_macvlan`.
            mode: "l2", "l3" or "l3s". Every ipvlan of one parent has the same mode.
            flag: "bridge", "private" or "vepa".
            netns: the namespace in which it is made; None: the socket's.
            mtu: in bytes.
            up: whether it is brought up.
        """
        numbers = _choose("mode", mode, IPVLAN_MODES), _choose("flag", flag, IPVLAN_FLAGS)
        return self._add_stacked(
            native.add_ipvlan, name, link, *numbers, netns=netns, mac=None, mtu=mtu, up=up
        )

    def add_vxlan(
        self,
        name: Name,
        id: int,
        *,
        remote: str | None = None,
        local: str | None = None,
        link: Name | int | None = None,
        port: int = 4789,
        learning: bool = True,
        ttl: int | None = None,
        netns: Netns | None = None,
        mac: str | None = None,
        mtu: int | None = None,
        up: bool = False,
    ) -> Batch:
        """Makes a VXLAN.

        Parameters:
            name: its name.
            id: the network identifier (VNI), 0 to 16777215.
            remote: the address of the other end, or a multicast group, which requires `link`.
            local: the source address of its packets.
            link: the link that it sends on, as for `add_macvlan`; None: any.
            port: the UDP port of the other end.
            learning: whether it learns which MAC address is behind which end.
            ttl: of its packets, 1 to 255.
            netns: the namespace in which it is made; None: the socket's. It sends and receives its
                packets in the socket's namespace in any case.
            mac: its hardware address.
            mtu: in bytes.
            up: whether it is brought up.
        """
        vxlan = new_vxlan(id, remote, local, port, learning, ttl)
        return self._add_stacked(
            native.add_vxlan, name, link, vxlan, netns=netns, mac=mac, mtu=mtu, up=up
        )

    def _add_stacked(
        self,
        encode: Callable[..., int],
        name: Name,
        link: Name | int | None,
        *arguments: object,
        netns: Netns | None,
        mac: str | None,
        mtu: int | None,
        up: bool,
        index: int | None = None,
    ) -> Batch:
        """Makes a link on top of another one.

        Parameters:
            encode: takes the batch, the parent's index, `arguments` and the settings.
        """
        moves = netns is not None
        parsed = _parse_mac(mac, ethernet=True)
        settings = new_settings(
            name=name, mac=parsed, mtu=mtu, up=_if_true(up), index=index, moves=moves
        )
        index = 0 if link is None else new_target(link, by_index=True)[0]
        message = native.Message(native.NEWLINK, encode, index, *arguments, settings, link=name)
        message.lookup = None if index else link
        message.new_names = ((name, moves),)
        if moves:
            message.move(settings, netns)
        return self._append(message)

    def add_link(
        self,
        name: Name,
        kind: str,
        *,
        mac: str | None = None,
        mtu: int | None = None,
        up: bool = False,
    ) -> Batch:
        """Makes a link of a kind that needs no further settings.

        Parameters:
            name: its name.
            kind: the kind, such as "bridge", "ifb" or "dummy".
            mac: its hardware address.
            mtu: in bytes.
            up: whether it is brought up.
        """
        settings = new_settings(name=name, mac=_parse_mac(mac), mtu=mtu, up=_if_true(up))
        encoded = encode_text("kind", kind)
        if not encoded:
            reason = "must be a kind of link, such as bridge"
            raise InvalidNetworkError("kind", kind, reason)
        message = native.Message(native.NEWLINK, native.add_link, encoded, settings, link=name)
        message.new_names = ((name, False),)
        return self._append(message)

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
        isolated: bool | None = None,
        learning: bool | None = None,
    ) -> Batch:
        """Changes settings of a link.

        The kernel applies the settings in this order: hairpin, learning and isolated, namespace,
        MAC address, MTU, name, alias, up, master, queue length. It stops at the first that fails
        and keeps the ones before.

        Parameters:
            link: its name, alternative name or index. With `new_name` a name is looked up before
                the batch is sent, since the kernel then requires the index.
            up: True brings it up, False takes it down.
            mtu: in bytes.
            txqueuelen: in packets.
            mac: the hardware address.
            master: the index of the bridge that it becomes a port of; 0 removes it from its bridge.
            hairpin: whether the bridge may send a frame back out of this port. The link must be a
                port already.
            netns: the namespace that it moves to.
            new_name: its new name. The kernel replaces one `%d` in it by a number.
            new_index: its index in `netns`, which must be given.
            alias: its alias; "" removes it.
            isolated: whether this port of a bridge exchanges no frames with other isolated ports
                (Linux 4.18). The link must be a port already.
            learning: whether the bridge learns MAC addresses from this port. The link must be a
                port already.
        """
        moves = netns is not None
        if new_index is not None and not moves:
            reason = "must be given together with netns: an index changes only with the namespace"
            raise InvalidNetworkError("new_index", new_index, reason)
        if new_index is not None:
            check_integer("new_index", new_index, 1, INT_MAX)
        given = new_name or (link if moves and not isinstance(link, int) else None)
        settings = new_settings(
            name=new_name,
            index=new_index,
            up=up,
            mtu=mtu,
            txqueuelen=txqueuelen,
            mac=_parse_mac(mac),
            master=master,
            hairpin=hairpin,
            isolated=isolated,
            learning=learning,
            alias=alias,
            moves=moves,
        )
        by_index = new_name is not None
        index, target = new_target(link, by_index=by_index)
        message = native.Message(
            native.NEWLINK, native.set_link, index, target, settings, link=link
        )
        if by_index and not index:
            message.lookup = link
        if given is not None:
            message.new_names = ((given, moves),)
        if moves:
            message.move(settings, netns)
        return self._append(message)

    def delete_link(self, link: Name | int) -> Batch:
        """Deletes a link. A veth's peer is deleted too.

        Parameters:
            link: its name, alternative name or index.
        """
        target = new_target(link)
        return self._append(native.Message(native.DELLINK, native.delete_link, *target, link=link))

    def add_altname(self, link: Name | int, name: Name) -> Batch:
        """Gives a link an alternative name (Linux 5.5).

        Parameters:
            link: its name, alternative name or index. A name is looked up before the batch is sent.
            name: the alternative name, 1 to 127 bytes, that no link of the namespace has.
        """
        return self._change_altname(native.NEWLINKPROP, link, name)

    def delete_altname(self, link: Name | int, name: Name) -> Batch:
        """Takes an alternative name from a link (Linux 5.5).

        Parameters:
            link: its name, alternative name or index. A name is looked up before the batch is sent.
            name: the alternative name.
        """
        return self._change_altname(native.DELLINKPROP, link, name)

    def _change_altname(self, type: int, link: Name | int, name: Name) -> Batch:
        index, _ = new_target(link, by_index=True)
        encoded = check_altname(name)
        message = native.Message(type, native.put_altname, index, type, encoded, link=link)
        message.lookup = None if index else link
        if type == native.NEWLINKPROP:
            message.new_names = ((name, False),)
        return self._append(message)

    def set_group(self, index: int, group: int) -> Batch:
        """Puts a link into a group.

        Parameters:
            index: the index of the link.
            group: the number of the group, 0 to 4294967295.
        """
        check_integer("index", index, 1, INT_MAX)
        check_integer("group", group, 0, UINT_MAX)
        settings = new_settings(group=group)
        target = new_target(index)
        return self._append(
            native.Message(native.NEWLINK, native.set_link, *target, settings, link=index)
        )

    def delete_group(self, group: int) -> Batch:
        """Deletes all links of a group, or none of them if one can't be deleted.

        Parameters:
            group: its number, at least 1. (Group 0 is the default group of all links.)
        """
        check_integer("group", group, 1, UINT_MAX)
        name = f"group {group}"
        return self._append(
            native.Message(native.DELLINK, native.delete_link_group, group, link=name)
        )

    # ---- other messages ----

    def add_message(self, type: int, flags: int, body: bytes) -> Batch:
        """Appends a message for which this class has no method.

        Parameters:
            type: the message type, such as 28 for RTM_NEWNEIGH (linux/rtnetlink.h). It must be a
                change: the replies to queries and dumps are not returned.
            flags: NLM_F_ of linux/netlink.h, such as NLM_F_CREATE | NLM_F_EXCL (0x600).
                NLM_F_REQUEST and NLM_F_ACK are added.
            body: what follows the header: the fixed part, then the attributes, each padded to four
                bytes.

        Example:
            >>> fixed = struct.pack("=BxxxiHBB", AF_INET, index, NUD_PERMANENT, 0, 0)
            >>> body = fixed + struct.pack("=HH4s", 8, NDA_DST, inet_aton("192.0.2.9"))
            >>> Batch().add_message(RTM_NEWNEIGH, NLM_F_CREATE, body)
        """
        check_integer("type", type, 16, 0xFFFF)
        check_integer("flags", flags, 0, 0xFFFF)
        if type <= 0xFF and type % 4 == 2:
            raise InvalidNetworkError("type", type, "must be a change, not a query (RTM_GET...)")
        if not isinstance(body, (bytes, bytearray, memoryview)):
            raise InvalidNetworkError("body", body, "must be bytes")
        payload = bytes(body)
        if len(payload) > _LARGEST_BODY:
            reason = f"must be at most {_LARGEST_BODY} bytes long"
            raise InvalidNetworkError("body", f"{len(payload)} bytes", reason)
        flags |= native.REQUEST | native.ACK
        name = f"message type {type}"
        return self._append(
            native.Message(type, native.add_message, type, flags, payload, link=name)
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
        """Adds an IP address to a link.

        Parameters:
            index: the index of the link.
            address: "192.0.2.1/24", "2001:db8::1/64", or an `Address`, all of whose fields but
                `ifindex` apply; the parameters `broadcast` to `noprefixroute` are then ignored.
            broadcast: the broadcast address (IPv4); "+": as for `Address`.
            label: the label (IPv4), which must begin with the link's name.
            nodad: whether IPv6 skips duplicate address detection, which takes a second or two. The
                host can then use the address once a worker of the kernel has added its local route,
                usually within milliseconds.
            noprefixroute: whether the kernel adds no route to the subnet.
            replace: whether an existing address gets these settings. Otherwise it is an error.
        """
        check_integer("index", index, 1, INT_MAX)
        check_bool("replace", replace)
        if not isinstance(address, Address):
            check_bool("nodad", nodad)
            check_bool("noprefixroute", noprefixroute)
            flags = IFA_F_NODAD * nodad | IFA_F_NOPREFIXROUTE * noprefixroute
            address = Address(
                index,
                address,
                broadcast="" if broadcast is None else broadcast,
                label="" if label is None else label,
                flags=flags,
            )
        elif address.valid == 0:
            raise InvalidNetworkError("valid", 0, "must be at least 1 second")
        encoded = new_address(index, address)
        return self._append(
            native.Message(
                *(native.NEWADDR, native.add_address, encoded, replace),
                link=index,
                subject=address.address,
            )
        )

    def delete_address(self, index: int, address: str | Address) -> Batch:
        """Deletes an IP address from a link.

        Parameters:
            index: the index of the link.
            address: the address with its prefix length, or an `Address`.
        """
        check_integer("index", index, 1, INT_MAX)
        if not isinstance(address, Address):
            address = Address(index, address)
        encoded = new_address(index, address)
        return self._append(
            native.Message(
                *(native.DELADDR, native.delete_address, encoded),
                link=index,
                subject=address.address,
            )
        )

    def add_route(self, route: Route) -> Batch:
        """Adds a route.

        It is an error (EEXIST) if a route with the same destination, metric and table exists.

        Parameters:
            route: the route. Its `ifindex` may be 0 if it has a gateway.
        """
        return self._append(
            native.Message(
                *(native.NEWROUTE, native.add_route, _encode_route(route)),
                link=route.ifindex,
                subject=route.destination,
            )
        )

    def delete_route(self, route: Route) -> Batch:
        """Deletes a route.

        Parameters:
            route: the route, which the kernel finds by all of its fields.
        """
        return self._append(
            native.Message(
                *(native.DELROUTE, native.delete_route, _encode_route(route)),
                link=route.ifindex,
                subject=route.destination,
            )
        )

    # ---- queueing disciplines ----

    def add_qdisc(
        self,
        index: int,
        kind: str,
        *,
        parent: str = "root",
        handle: str | None = None,
        replace: bool = False,
        **options: Any,
    ) -> Batch:
        """Attaches a queueing discipline, which delays or drops what a link sends (tc(8)).

        Parameters:
            index: the index of the link.
            kind: "tbf", "netem", "fq_codel" or "ingress".
            parent: "root" replaces the kernel's default one. A handle of a class such as "1:1", in
                hexadecimal, attaches it below another one: the class of a tbf with the handle "1:"
                is "1:1". The kind ingress is always attached to "ingress".
            handle: its own handle, such as "1:". None: the kernel chooses one.
            replace: whether it may replace one that was attached before. Otherwise that is an error
                (EEXIST).
            options: the settings of the kind. None leaves one to its default.

                tbf limits the rate (tc-tbf(8)): `rate`, in bits per second, which must be given;
                `burst`, the bytes that may pass at once, by default 20,000 or what the rate sends
                in 4 ms, whichever is more (with less than 20,000 a TCP sender does not reach the
                rate); `latency`, the seconds that a packet may wait, by default 0.05.

                netem makes a link worse (tc-netem(8)): `delay` and `jitter`, in seconds; `loss` and
                `duplicate`, probabilities from 0 to 1; `rate`, in bits per second; `limit`, the
                packets that may wait, by default 1,000.

                fq_codel shares the link between flows (tc-fq_codel(8)): `limit`, in packets;
                `target` and `interval`, in seconds; `quantum`, in bytes; `ecn`, whether packets are
                marked instead of dropped.

                ingress has none: filters on it see what the link receives.

        Example:
            >>> batch = Batch().add_qdisc(7, "netem", delay=0.05, loss=0.01)
        """
        check_bool("replace", replace)
        qdisc = native_qdiscs.new_qdisc(index, kind, parent, handle, options)
        return self._append(
            native.Message(
                native_qdiscs.NEWQDISC, native_qdiscs.add_qdisc, qdisc, replace, link=index
            )
        )

    def delete_qdisc(self, index: int, parent: str = "root") -> Batch:
        """Detaches a queueing discipline, and those below it.

        Parameters:
            index: the index of the link.
            parent: what it is attached to: "root", "ingress", or the handle of a class.
        """
        check_integer("index", index, 1, INT_MAX)
        arguments = index, native_qdiscs.parse_parent(parent)
        return self._append(
            native.Message(
                native_qdiscs.DELQDISC, native_qdiscs.delete_qdisc, *arguments, link=index
            )
        )


def _encode_route(route: object) -> Any:
    if not isinstance(route, Route):
        raise InvalidNetworkError("route", route, "must be a Route")
    return new_route(route)


def execute(sock: Transport, encoded: native.Encoded) -> None:
    """Sends messages. Raises BatchError if one of them failed."""
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
                outcome.subject,
            )
