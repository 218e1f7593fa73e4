"""Links, addresses, routes, queueing disciplines, and the events of `LinkMonitor`."""

from __future__ import annotations

from .._dataclass import dataclass, field
from .._native.addresses import IFA_F_DADFAILED, IFA_F_PERMANENT, IFA_F_TENTATIVE
from .._native.addresses import IFA_F_NODAD as IFA_F_NODAD
from .._native.routes import MAIN_TABLE as MAIN_TABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Literal

ALIAS_TAG = "pynetstrat:"  # begins the alias of the host end of a veth pair; the owner follows


def owner_in_alias(alias: str) -> str | None:
    """Returns the owner in the alias tag of a link. None if the alias is no tag."""
    return alias[len(ALIAS_TAG) :] if alias.startswith(ALIAS_TAG) else None


@dataclass(slots=True)
class Link:
    """A link (a network interface) as RTM_NEWLINK describes it.

    `RtnetlinkSocket.get_link` and `dump_links` return one, and `LinkMonitor` reports them.

    Attributes:
        index: its index in its namespace.
        name: its name.
        kind: "veth", "bridge" and so on; "" for a physical device or `lo`.
        up: whether it is up by configuration (IFF_UP).
        running: whether it can carry traffic (IFF_RUNNING).
        mtu: the largest packet, in bytes.
        txqueuelen: the length of the transmit queue, in packets.
        mac: the hardware address, as "aa:bb:cc:dd:ee:ff"; "" if it has none.
        master: the index of the bridge (or bond, or the like) that it is a port of, or None.
        link_index: the index of a veth's peer or of a macvlan's parent (IFLA_LINK), or None.
        link_nsid: the nsid of the namespace in which `link_index` counts (IFLA_LINK_NETNSID); None
            if that is the link's own namespace.
        alias: the text set by `ip link set alias`, or "".
        altnames: its alternative names.
        hairpin: of a bridge port, whether a frame may be sent back out of the port it came in by;
            otherwise None.
        permanent_mac: the hardware address that the device was made with; "" if it has none.
        group: the number of its group.
        bridge_id: of a bridge, its id in hexadecimal: the priority and a MAC address, which is that
            given to the bridge or taken from a port, or zeros. Otherwise "".
        isolated: of a bridge port, whether it is isolated from other isolated ports (Linux 4.18);
            otherwise None.
        learning: of a bridge port, whether the bridge learns MAC addresses from it; otherwise None.
            `LinkMonitor` does not update this field or `port_state`.
        port_state: of a bridge port, its spanning tree state (BR_STATE_, linux/if_bridge.h): 0 is
            disabled, 3 is forwarding; otherwise None.
        macvlan_mode: of a macvlan, its mode, such as "bridge"; otherwise "".

    Example:
        >>> with RtnetlinkSocket() as rtnetlink:
        ...     rtnetlink.get_link("lo").mtu
        65536
    """

    index: int
    name: str
    kind: str = ""
    up: bool = False
    running: bool = False
    mtu: int = 0
    txqueuelen: int = 0
    mac: str = ""
    master: int | None = None
    link_index: int | None = None
    link_nsid: int | None = None
    alias: str = ""
    altnames: tuple[str, ...] = ()
    hairpin: bool | None = None
    permanent_mac: str = ""
    group: int = 0
    bridge_id: str = field(default="", compare=False, repr=False)
    isolated: bool | None = None
    learning: bool | None = field(default=None, compare=False, repr=False)
    port_state: int | None = field(default=None, compare=False, repr=False)
    macvlan_mode: str = ""


@dataclass(slots=True)
class Address:
    """An IP address of a link (`struct ifaddrmsg`, linux/if_addr.h).

    `RtnetlinkSocket.dump_addresses` returns them, and `Batch.add_address` takes one.

    Attributes:
        ifindex: the index of the link.
        address: the address with its prefix length: "192.0.2.1/24".
        peer: the remote address of a point-to-point link, with its prefix length, or "".
        broadcast: the broadcast address (IPv4), or "". In a request, "+" is the last address of
            the subnet, and none for /31 (RFC 3021) and /32.
        label: the label (IPv4), which begins with the link's name, or "".
        scope: where it is valid: 0 everywhere, 253 on the link, 254 on the host (RT_SCOPE_).
        metric: of the route to its subnet; 0 is the kernel's default.
        flags: IFA_F_ of linux/if_addr.h.
        protocol: what added the address (IFAPROT_, Linux 5.18); 0 if unspecified.
        valid, preferred: its remaining lifetimes, in seconds; None if unlimited.
    """

    ifindex: int
    address: str
    peer: str = ""
    broadcast: str = ""
    label: str = ""
    scope: int = 0
    metric: int = 0
    flags: int = 0
    protocol: int = 0
    valid: int | None = None
    preferred: int | None = None

    @property
    def permanent(self) -> bool:
        """Whether the address has no limited lifetime (IFA_F_PERMANENT)."""
        return bool(self.flags & IFA_F_PERMANENT)

    @property
    def tentative(self) -> bool:
        """Whether IPv6 duplicate address detection still runs, so that it can't be used yet."""
        return bool(self.flags & IFA_F_TENTATIVE)

    @property
    def dadfailed(self) -> bool:
        """Whether IPv6 duplicate address detection found the address on another host."""
        return bool(self.flags & IFA_F_DADFAILED)


@dataclass(slots=True)
class Route:
    """A unicast route (`struct rtmsg`, linux/rtnetlink.h).

    `RtnetlinkSocket.dump_routes` returns them; `Batch.add_route` and the routes of a `Network` take
    them.

    Attributes:
        destination: in CIDR, or "default": the default route of the gateway's family.
        gateway: the address of the next hop, or "".
        source: the preferred source address, or "".
        metric: 0 is the kernel's default.
        table: the number of the routing table; 254 is the main one.
        ifindex: the index of the link; 0: the kernel finds it by the gateway.
        scope: RT_SCOPE_ of linux/rtnetlink.h. None: the link (253) for IPv4 without a gateway,
            otherwise everywhere (0).
        onlink: whether the gateway is taken to be on the link although no subnet contains it.
        mtu: the MTU of the path in bytes, at most 65520; 0: the link's.
        advmss: the largest segment that TCP advertises (MSS) in bytes, at most 65495; 0: the
            kernel's choice.

    Example:
        >>> Route("default", gateway="192.0.2.1", metric=100)
    """

    destination: str
    gateway: str = ""
    source: str = ""
    metric: int = 0
    table: int = MAIN_TABLE
    ifindex: int = 0
    scope: int | None = None
    onlink: bool = False
    mtu: int = 0
    advmss: int = 0


@dataclass(slots=True)
class Qdisc:
    """A queueing discipline of a link (`struct tcmsg`, linux/rtnetlink.h), and its counters.

    `RtnetlinkSocket.dump_qdiscs` returns them. The first five fields are arguments of
    `Batch.add_qdisc`.

    Attributes:
        ifindex: the index of the link.
        kind: "tbf", "netem", "fq_codel", "noqueue" and so on.
        handle: its handle, such as "8001:", or "" for a default one of the kernel.
        parent: what it is attached to: "root", "ingress", or the handle of a class such as "1:1".
        options: the settings of a tbf, netem or fq_codel: the options of `Batch.add_qdisc`, with
            their units. Otherwise empty.
        bytes, packets: what it has sent.
        dropped: packets that it has dropped.
        overlimits: how often a packet had to wait because of the rate.
        backlog, queued: the bytes and packets that wait now.

    Example:
        >>> with RtnetlinkSocket() as rtnetlink:
        ...     [qdisc.kind for qdisc in rtnetlink.dump_qdiscs("lo")]
        ['noqueue']
    """

    ifindex: int
    kind: str
    handle: str = ""
    parent: str = "root"
    options: Mapping[str, Any] = field(default_factory=dict)
    bytes: int = 0
    packets: int = 0
    dropped: int = 0
    overlimits: int = 0
    backlog: int = 0
    queued: int = 0


@dataclass(slots=True)
class Event:
    """What happened to a link or to an address of one, as `LinkMonitor` reports it.

    Attributes:
        kind: "added", "changed" or "removed" for a link; "address-added" or "address-removed".
        link: the link as it is now, or for "removed" as it was last; None for an address.
        address: the address as it is now, or for "address-removed" as it was last; None for a
            link.
        previous: the link before "changed" and "removed"; the address before "address-removed",
            and before "address-added" if it existed and only its fields changed (when it is no
            longer tentative, for example); otherwise None.

    Example:
        >>> for event in LinkMonitor():
        ...     if event.kind == "added":
        ...         print(event.link.name)
    """

    kind: Literal["added", "changed", "removed", "address-added", "address-removed"]
    link: Link | None = None
    address: Address | None = None
    previous: Link | Address | None = None
