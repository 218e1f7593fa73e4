"""A program that uses every public name, for type checkers. It is never run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from prometheus_client import CollectorRegistry, generate_latest

from pynetstrat import (
    PENDING,
    Address,
    Batch,
    BatchError,
    Container,
    ContainerCounters,
    ContainerTable,
    CounterNotFoundError,
    CounterParseError,
    CounterTable,
    Discovery,
    Event,
    FinalCounters,
    Finding,
    ForeignSysfsError,
    HostCounters,
    HostDevice,
    InterfaceNotFoundError,
    InvalidCounterNameError,
    InvalidInterfaceNameError,
    InvalidNetworkError,
    KernelError,
    Link,
    LinkMonitor,
    Loopback,
    Macvlan,
    Name,
    NetlinkUnavailableError,
    Netns,
    NetstratError,
    Network,
    NetworkInterface,
    NetworkNamespace,
    NetworkStrategy,
    OwnedLink,
    PermissionDeniedError,
    Perspective,
    Qdisc,
    Route,
    RtnetlinkSocket,
    StrategyLoadError,
    SysfsReader,
    TeardownError,
    UnknownStrategyError,
    Veth,
    __version__,
    check_networks,
    diagnose,
    disable_egress,
    discover,
    enable_egress,
    get_network_interface_stats,
    get_strategy,
    link_set_down,
    link_set_up,
    list_owned,
    read_sysfs_network_stats,
    register_strategy,
    set_up_networks,
    strategies,
    tear_down_networks,
)
from pynetstrat.prometheus import ContainerCollector


class Mine(NetworkStrategy):
    def create(
        self, network: Network, nspid: int | None = None, *, netns: Netns | None = None
    ) -> Network | None:
        return network

    def initialize(self, network: Network | None = None, *, netns: Netns | None = None) -> None:
        link_set_up("lo", netns=netns)

    def check(self, network: Network, *, netns: Netns | None = None) -> list[str]:
        return []


class Handle:
    def fileno(self) -> int:
        return 3


def of_strategies() -> None:
    strategy: NetworkStrategy = get_strategy("loopback")
    network = Network(type="loopback", mtu=1500)
    made: Network | None = strategy.create(network, 4711)
    strategy.create(network, netns="blue")
    strategy.initialize(made, netns="/proc/1/ns/net")
    strategy.initialize(netns=Handle())
    strategy.attach(network)
    strategy.detach(network)
    strategy.destroy(network, netns=3)
    different: list[str] = strategy.check(network)
    register_strategy("mine", Mine(), replace=True)
    types: list[str] = list(strategies())
    one: NetworkStrategy = strategies()["loopback"]
    print(different, types, one, Loopback(), Veth(), Macvlan(), HostDevice())


def of_networks(netns: Netns) -> None:
    routes: Sequence[Route] = [Route("default", gateway="192.0.2.1", metric=1, onlink=True)]
    eth0 = Network("veth", name="eth0", bridge="br0", routes=routes, owner="me", isolated=True)
    eth0.addresses, eth0.sysctls = ["fd00::2/64"], {"net.ipv4.conf.IFNAME.arp_notify": "1"}
    made: list[Network] = set_up_networks([Network("loopback"), eth0], netns=netns, timeout=5.0)
    set_up_networks(iter(made), netns="blue", host=netns)
    enable_egress("10.0.0.0/24", host=netns)
    disable_egress("fd00::/64")
    different: list[str] = check_networks(made, netns=netns, host=3)
    final: dict[str, NetworkInterface] = tear_down_networks(made, netns=netns, host="/run/host")
    tear_down_networks(iter(made))
    owned: list[OwnedLink] = list_owned() + list_owned("me", host=netns)
    print(final["eth0"].tx_bytes, [(one.owner, one.link.name) for one in owned])
    given: dict[str, object] = made[0].to_dict()
    again: Network = Network.from_dict(given)
    record: Mapping[str, object] | None = again.device
    trusted = Network("host-device", options={"trust_container": True}, device=record)
    print(different, trusted.options)


def of_namespaces() -> None:
    with NetworkNamespace.create() as namespace, NetworkNamespace.create("blue") as named:
        device, inode = namespace.id
        cookie: int | None = namespace.cookie
        total: int = namespace.call(sum, [1, 2]) + device + inode + named.fileno()
        status: int = namespace.popen(["true"]).wait() + namespace.run(["true"]).returncode
        namespace.popen(["true"], die_with_parent=True, resolv_conf=b"/a", private_sys=True).wait()
        namespace.run(["true"], resolv_conf="/a", private_sys=True)
    names: list[str] = NetworkNamespace.names()
    NetworkNamespace.open("blue").close()
    NetworkNamespace.of_process(1).close()
    NetworkNamespace.current().close()
    NetworkNamespace.delete(named.name)
    print(cookie, total, status, names)


def of_batches(route: Route, netns: Netns) -> None:
    batch = Batch().add_veth("a", b"b", netns=netns, mtu=1400, mac="02:00:00:00:00:01", up=True)
    batch.add_veth("c", "d", txqueuelen=1, peer_mac="", master=3, index=7, peer_index=8)
    batch.add_veth("e", "f", queues=1)
    batch.add_bridge("br0", mtu=1500, up=True).add_link("ifb0", "ifb", mac="02:00:00:00:00:02")
    batch.add_macvlan("m", 2, mode="bridge", netns=netns, mtu=1400)
    batch.add_vlan("v", "a", 5, protocol="802.1ad").add_ipvlan("i", 2, mode="l2", flag="vepa")
    batch.add_vxlan("x", 42, remote="192.0.2.9", link="a", port=8472, learning=False, netns=netns)
    batch.add_altname("a", "b" * 20).delete_altname(7, b"c").add_message(28, 0x400, bytes(12))
    batch.set_link("a", isolated=True, learning=False)
    batch.set_link("a", up=True, mtu=1500, txqueuelen=5, master=0, hairpin=True, alias="mine")
    batch.set_link(7, mac="02:00:00:00:00:03", netns=3, new_name="z", new_index=9)
    batch.add_address(7, "192.0.2.2/24", broadcast="192.0.2.255", label="a:1", replace=True)
    batch.add_address(7, Address(7, "2001:db8::1/64"), nodad=False, noprefixroute=True)
    batch.delete_address(7, "192.0.2.2/24").add_route(route).delete_route(route).delete_link(b"a")
    batch.add_qdisc(7, "tbf", parent="root", handle="1:", replace=True, rate=10**6, latency=0.1)
    batch.delete_qdisc(7).delete_qdisc(7, "ingress")
    length: int = len(batch)
    with RtnetlinkSocket() as rtnetlink:
        try:
            rtnetlink.execute(batch)
        except BatchError as error:
            for result in error.results:
                if result is PENDING:
                    print("no ack")
                elif isinstance(result, KernelError):
                    print(result.hint)
            print(error.item, error.hint)
        rtnetlink.delete_links(["a", b"c"], missing_ok=True)
        bridge: Link = rtnetlink.ensure_bridge("br0", mac="02:00:00:00:00:01", mtu=1500, up=False)
        rtnetlink.ensure_bridge(b"br0", addresses=["192.0.2.1/24", f"2001:db8::{bridge.index}/64"])
        addresses: list[Address] = rtnetlink.dump_addresses("lo") + rtnetlink.dump_addresses()
        routes: list[Route] = rtnetlink.dump_routes()
        qdiscs: list[Qdisc] = rtnetlink.dump_qdiscs("eth0")
        nsid: int | None = rtnetlink.get_nsid(netns)
    for address in addresses:
        text: str = address.address + address.peer + address.broadcast + address.label
        numbers = (address.ifindex, address.scope, address.metric, address.flags)
        states: tuple[bool, ...] = (address.permanent, address.tentative, address.dadfailed)
        print(text, sum(numbers), states)
    rates = [qdisc.options["rate"] for qdisc in qdiscs if qdisc.kind == "tbf"]
    print(
        rates,
        length,
        [(r.destination, r.source, r.table, r.ifindex, r.scope) for r in routes],
        nsid,
    )


def of_diagnosis() -> None:
    findings: list[Finding] = diagnose()
    for finding in findings:
        allowed: bool | None = finding.allowed
        print(finding.name + finding.detail + finding.remedy, allowed)


def of_links(name: Name, netns: Netns) -> None:
    link_set_up()
    link_set_up(name, netns=netns)
    link_set_down(b"eth0", netns=b"/proc/1/ns/net")
    with RtnetlinkSocket(3, timeout=1.5) as rtnetlink:
        rtnetlink.link_set_up(name)
        rtnetlink.link_set_down(name)
        up: bool = rtnetlink.link_is_up("eth0")
        link: Link = rtnetlink.get_link(name)
        links: dict[str, Link] = rtnetlink.dump_links()
        descriptor: int = rtnetlink.fileno()
    peer: int | None = links["eth0"].link_index
    names: tuple[str, ...] = (link.name, link.kind, link.mac, link.alias, *link.altnames)
    numbers = (link.index, link.mtu, link.txqueuelen)
    rest = (link.up, link.running, link.hairpin, link.master, link.link_nsid)
    print(up, descriptor, peer, names, sum(numbers), rest)


def of_watching(netns: Netns) -> None:
    with LinkMonitor(netns, addresses=True) as monitor:
        events: list[Event] = monitor.read()
        descriptor: int = monitor.fileno()
        for event in monitor:
            kind: Literal["added", "changed", "removed", "address-added", "address-removed"]
            kind = event.kind
            link: Link | None = event.link
            address: Address | None = event.address
            print(kind, link, address, event.previous, events, descriptor)


async def of_watching_on_a_loop(monitor: LinkMonitor) -> None:
    async for event in monitor:
        kind: str = event.kind
        print(kind)


def of_counters(perspective: Perspective) -> None:
    with RtnetlinkSocket() as rtnetlink:
        one: NetworkInterface = rtnetlink.get_stats("lo", perspective="container")
        every: dict[str, NetworkInterface] = rtnetlink.dump_stats(perspective=perspective)
        table: CounterTable = rtnetlink.dump_counters()
    names: tuple[str, ...] = table.names
    for name, index, row in zip(names, table.ifindexes, table.counters.tolist(), strict=True):
        received: int = row[0]
        print(name, index + 1, received)
    first: int = table.counters[0, 0]
    view: memoryview = table.counters
    size: int = len(bytes(table.counters)) + view.nbytes
    total: int = sum(interface.rx_bytes for interface in every.values()) + first + size
    with SysfsReader("lo", perspective="host", sysfs_root="/sys/class/net") as reader:
        other: NetworkInterface = reader.read().swapped()
    with SysfsReader(b"lo", netns="blue", perspective=perspective) as reader:
        reader.read()
    value: int = read_sysfs_network_stats("lo", "rx_bytes", sysfs_root=b"/sys/class/net")
    value += read_sysfs_network_stats(b"lo", "collisions")
    stats: NetworkInterface = get_network_interface_stats(b"lo")
    stats = get_network_interface_stats("lo", netns=3, perspective="host")
    print(one, total, other, value, stats)


def of_containers() -> None:
    with ContainerCounters(netns="host", timeout=1.0) as counters:
        counters.add("a", "blue")
        counters.add(("b", 1), 3)
        for key, interfaces in counters.read().items():
            one: NetworkInterface = interfaces["eth0"]
            print(key, one.rx_bytes)
        table: ContainerTable = counters.read_columns()
        names: tuple[str, ...] = table.names
        for name, row in zip(names, table.counters.tolist(), strict=True):
            received: int = row[0]
            print(name, received, len(table.keys))
        for key, finals in counters.final().items():
            last: FinalCounters = finals["eth0"]
            print(key, last.tx_bytes, last.exact)
        for key in counters.gone():
            counters.discard(key)


def of_discovery() -> None:
    found: Discovery = discover(limit=100)
    containers: tuple[Container, ...] = found.containers
    unseen: tuple[Container, ...] = found.unseen
    print([container.netns for container in containers + unseen], found.hidden + found.omitted)
    with HostCounters(netns="host", limit=10, timeout=1.0, routed=False) as counters:
        found = counters.refresh()
        for container, interfaces in counters.read().items():
            label: str = container.label
            one: NetworkInterface = interfaces["eth0"]
            print(label, container.inode + one.rx_bytes)
        refused: dict[Container, NetstratError] = counters.refused
        omitted: dict[Container, int] = counters.omitted
        print(refused, omitted)


def of_prometheus() -> None:
    registry = CollectorRegistry()
    with ContainerCollector(
        container="^web", exclude_container=re.compile("test"), interface="^eth", timeout=1.0
    ) as collector:
        registry.register(collector)
        names: list[str] = [metric.name for metric in collector.collect()]
        found: Discovery | None = collector.discovery
        reason: Exception | None = collector.error
        for container, error in collector.refused.items():
            print(container.label, error.args)
    ContainerCollector(exclude_interface="^lo", netns="host", limit=10).close()
    print(names, found, reason, generate_latest(registry))


def of_errors() -> None:
    try:
        link_set_up()
    except InterfaceNotFoundError as error:
        text: str = error.operation + error.interface + error.kernel_message + error.hint
        print(text, error.errno, error.strerror, error.filename)
    except UnknownStrategyError as error:
        print(error.type, *error.known)
    except StrategyLoadError as error:
        print(error.type, error.reason)
    except InvalidInterfaceNameError as error:
        print(error.interface, error.reason)
    except InvalidCounterNameError as error:
        print(error.interface, error.counter)
    except CounterParseError as error:
        print(error.path, error.text, error.interface, error.reason)
    except (CounterNotFoundError, PermissionDeniedError, NetlinkUnavailableError) as error:
        print(error.hint)
    except (ForeignSysfsError, KernelError) as error:
        print(error.hint)
    except InvalidNetworkError as error:
        print(error.field, error.value, error.reason)
    except TeardownError as error:
        failed: list[Exception] = error.errors
        print(*failed)
    except NetstratError as error:
        print(error, __version__)
