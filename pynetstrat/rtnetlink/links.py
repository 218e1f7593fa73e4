"""Links, addresses and routes as the kernel describes them, and what happens to them."""

from __future__ import annotations

from dataclasses import dataclass, field

# flags of addresses, linux/if_addr.h
IFA_F_NODAD = 0x02
_IFA_F_DADFAILED = 0x08
_IFA_F_TENTATIVE = 0x40
_IFA_F_PERMANENT = 0x80
IFA_F_NOPREFIXROUTE = 0x200

MAIN_TABLE = 254  # RT_TABLE_MAIN, linux/rtnetlink.h


@dataclass(slots=True)
class Link:
    """A link (an interface), as RTM_NEWLINK describes it.

    Attributes:
        index: its index in its namespace.
        name: its name.
        kind: "veth", "bridge", ...; "": a physical device, or `lo`.
        up: whether it is up by configuration (IFF_UP).
        running: whether it can carry traffic (IFF_RUNNING).
        mtu: in bytes.
        txqueuelen: the length of the transmit queue, in packets.
        mac: the hardware address, as "aa:bb:cc:dd:ee:ff"; "": it has none.
        master: the index of the bridge or its like that it is a port of, or None.
        link_index: of a veth, its other end's index; of a macvlan, its parent's; otherwise None
            (IFLA_LINK).
        link_nsid: the id by which this namespace knows the one in which `link_index` counts; None:
            it is this one (IFLA_LINK_NETNSID).
        alias: a text that somebody set.
        altnames: its alternative names.
        hairpin: of a port of a bridge, whether a frame may be sent back out of the port it came in
            by; otherwise None.
        permanent_mac: the hardware address that the device was made with; "": it has none.
        group: the number of the group that it is in.
        bridge_id: of a bridge, its id as hexadecimal digits: the priority, and the MAC that it was
            given or took from a port, zeros where neither is so; otherwise "".
        isolated: of a bridge port, whether it is isolated from other isolated ports (Linux 4.18);
            None if the link is not a bridge port.
        learning: of a bridge port, whether the bridge learns MAC addresses from it; otherwise None.
            `LinkMonitor` does not follow this field, nor the next.
        port_state: of a bridge port, its spanning tree state (BR_STATE_, linux/if_bridge.h): 0 is
            disabled, 3 forwarding; otherwise None.
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


@dataclass(slots=True)
class Device:
    """A link with what identifies the device behind it. Not public: for `host-device`.

    Attributes:
        link: the link.
        flags: IFF_UP and the other flags of linux/if.h.
        parent_bus, parent_device: the bus and the name of the hardware behind a physical link
            (IFLA_PARENT_DEV_BUS_NAME, IFLA_PARENT_DEV_NAME), such as "pci" and "0000:00:1f.6"; ""
            for a virtual link, or before Linux 5.14.
    """

    link: Link
    flags: int
    parent_bus: str
    parent_device: str


@dataclass(slots=True)
class Address:
    """An address of a link (`struct ifaddrmsg`, linux/if_addr.h).

    Attributes:
        ifindex: the index of the link.
        address: the address with the length of its prefix: "192.0.2.1/24".
        peer: of a point-to-point link, the other end, with the length of its prefix; or "".
        broadcast: IPv4's broadcast address, or "".
        label: IPv4's label, or "".
        scope: how far it is valid: 0 everywhere, 253 on the link, 254 on the host (RT_SCOPE_).
        metric: of the route to its subnet; 0: the kernel's default.
        flags: IFA_F_.
        protocol: who gave it (IFAPROT_, Linux 5.18); 0: nobody says.
        valid, preferred: what is left of its lifetimes, seconds; None: for ever.
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
        """It does not go away by itself."""
        return bool(self.flags & _IFA_F_PERMANENT)

    @property
    def tentative(self) -> bool:
        """IPv6: duplicate address detection is under way, and it can't be used yet."""
        return bool(self.flags & _IFA_F_TENTATIVE)

    @property
    def dadfailed(self) -> bool:
        """IPv6: another host has it."""
        return bool(self.flags & _IFA_F_DADFAILED)


@dataclass(slots=True)
class Route:
    """A unicast route (`struct rtmsg`, linux/rtnetlink.h).

    Attributes:
        destination: in CIDR; "default" is the default route of the gateway's family.
        gateway: the next hop's address, or "".
        source: the preferred source address, or "".
        metric: 0: the kernel's default.
        table: of routes; 254 is the main one.
        ifindex: the index of the link; 0: what the gateway says.
        scope: RT_SCOPE_; None: the link for IPv4 without a gateway, everywhere otherwise.
        onlink: the gateway is on the link, although no subnet says so.
    """

    destination: str
    gateway: str = ""
    source: str = ""
    metric: int = 0
    table: int = MAIN_TABLE
    ifindex: int = 0
    scope: int | None = None
    onlink: bool = False


@dataclass(slots=True)
class Event:
    """What happened to a link or to an address of one, as `LinkMonitor` gives it.

    Attributes:
        kind: "added", "changed" or "removed", of a link; "address-added" or "address-removed".
        link: the link as it is now; of one that was removed, as it was last.
        address: of the two kinds of addresses, the same; then `link` is None.
        previous: what was there before: of "changed" and "removed" the link, of "address-removed"
            the address, and of "address-added" the address where it was there already and something
            about it is new (its flags, once it is not tentative any more); otherwise None.
    """

    kind: str
    link: Link | None = None
    address: Address | None = None
    previous: Link | Address | None = None
