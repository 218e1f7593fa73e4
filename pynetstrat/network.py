"""The dataclasses: a network's configuration, and an interface's counters."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Network:
    """A network's configuration: what a strategy's operations are given.

    The fields are those of runc's `configs.Network` (libcontainer/configs/network.go). Only `type`
    matters to the registry; what the others mean is up to the strategy.

    Attributes:
        type: the strategy's type, such as "loopback".
        name: the name of the interface.
        bridge: the bridge to attach to.
        mac_address: the MAC address, as text.
        address: the IPv4 address with its prefix length, as text.
        gateway: the IPv4 gateway.
        ipv6_address: the IPv6 address with its prefix length.
        ipv6_gateway: the IPv6 gateway.
        mtu: the MTU in bytes; 0: the kernel's default.
        txqueuelen: the length of the transmit queue in packets; 0: the kernel's default.
        host_interface_name: the name of the host's end of a pair.
        hairpin_mode: whether the bridge may send a frame back out of the port it came in by.
    """

    type: str = ""
    name: str = ""
    bridge: str = ""
    mac_address: str = ""
    address: str = ""
    gateway: str = ""
    ipv6_address: str = ""
    ipv6_gateway: str = ""
    mtu: int = 0
    txqueuelen: int = 0
    host_interface_name: str = ""
    hairpin_mode: bool = False


@dataclass(slots=True)
class NetworkInterface:
    """An interface's counters, as one side of it sees them.

    Each counter is an unsigned 64-bit number since the interface was made; `*_bytes` are in bytes,
    the others in packets (`struct rtnl_link_stats64`, linux/if_link.h).

    Attributes:
        name: the interface's name.
        rx_bytes: received, good.
        rx_packets: received, good.
        rx_errors: received, bad.
        rx_dropped: received, but not processed.
        tx_bytes: transmitted.
        tx_packets: transmitted.
        tx_errors: not transmitted because of an error.
        tx_dropped: not transmitted for lack of room.
    """

    name: str = ""
    rx_bytes: int = 0
    rx_packets: int = 0
    rx_errors: int = 0
    rx_dropped: int = 0
    tx_bytes: int = 0
    tx_packets: int = 0
    tx_errors: int = 0
    tx_dropped: int = 0

    def swapped(self) -> NetworkInterface:
        """The same counters as the other side of the veth pair sees them: rx is tx, tx is rx."""
        return NetworkInterface(
            self.name,
            self.tx_bytes,
            self.tx_packets,
            self.tx_errors,
            self.tx_dropped,
            self.rx_bytes,
            self.rx_packets,
            self.rx_errors,
            self.rx_dropped,
        )
