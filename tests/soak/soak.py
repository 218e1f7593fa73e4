"""Calls every function that reads, while interfaces are added, deleted, moved and renamed.

One process churns interfaces, two processes and four threads read, and four processes set up
containers on one bridge, exchange packets with them, and tear them down. Then one process reads one
interface a million times. The program checks that

- every reading of an interface with known traffic shows this traffic, and every reading of a
  churned interface shows zeros;
- no reader sees an error other than the two expected ones: the interface does not exist, or the
  links changed during every dump;
- each container is configured as requested and answers over TCP and UDP;
- the bridge keeps its MAC address, and nothing of the containers is left;
- memory and descriptors do not grow.

SOAK_SECONDS (60) and SOAK_READINGS (1000000) set the length.
"""

from __future__ import annotations

import errno
import gc
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import support

from pynetstrat import (
    Batch,
    InterfaceNotFoundError,
    KernelError,
    Network,
    NetworkInterface,
    NetworkNamespace,
    RtnetlinkSocket,
    SysfsReader,
    check_networks,
    get_network_interface_stats,
    get_strategy,
    link_set_up,
    read_sysfs_network_stats,
    set_up_networks,
    tear_down_networks,
)
from pynetstrat.cli import _fresh_namespaces

SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))
READINGS = int(os.environ.get("SOAK_READINGS", "1000000"))
STABLE = 4
CHURNED = 6  # names that the churned interfaces take in turn
ALTERNATIVE = "known-by-another-name"
# How much the memory of the interpreter and of malloc varies with threads. A leak of 16 bytes a
# call, at thousands of calls a second, is ten times as large after a minute.
SLACK_KIB = 1024


class WrongError(Exception):
    """A reading or a state is wrong."""


def rss_kib() -> int:
    """Resident memory in KiB, counted page by page: statm may be wrong by dozens of pages."""
    gc.collect()
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1])
    raise AssertionError("smaps_rollup has no Rss line")


def check(found: NetworkInterface, number: int, name: str) -> None:
    if found != support.view(name, number):
        raise WrongError(f"{name}: {found}")


def check_zero(found: NetworkInterface) -> None:
    if any(support.values(found)):
        raise WrongError(f"a churned interface without traffic: {found}")


def churn(other: int, deadline: float) -> Counter[str]:
    """Creates, renames, moves and deletes interfaces as fast as possible."""
    done: Counter[str] = Counter()
    with support.Links() as links:
        for turn in itertools.count():
            if time.monotonic() >= deadline:
                return done
            one, two, three = (f"c{(turn + step) % CHURNED}" for step in range(3))
            links.add_veth(one, two, up=turn % 4 == 0)
            links.rename(support.socket.if_nametoindex(one), three)
            if turn % 2:
                links.move(two, other)
            links.delete(three)
            done["created"] += 1
            done["renamed"] += 1
            done["moved"] += turn % 2
    raise AssertionError("not reached")


# ---- containers ----

BRIDGE = "br0"
WIRERS = 4
PORT = 7


def add_bridge() -> None:
    # With a MAC address of its own. Otherwise each of the first containers, which are set up at the
    # same time, sets another one and the old one again.
    with RtnetlinkSocket() as host:
        host.ensure_bridge(BRIDGE, addresses=["10.0.0.1/24", "2001:db8::1/64"])


def answer(family: int, address: str) -> list[socket.socket]:
    """Opens a TCP and a UDP socket at PORT. It is called in a container."""
    made = [socket.socket(family, kind) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]
    for sock in made:
        sock.bind((address, PORT))
    made[0].listen(1)
    return made


def reach(container: NetworkNamespace, addresses: dict[int, str]) -> None:
    """Exchanges data with a container over TCP and UDP, by IPv4 and IPv6."""
    for family, address in addresses.items():
        stream, datagrams = container.call(answer, family, address)
        with stream, datagrams:
            with socket.create_connection((address, PORT), timeout=30) as caller:
                called, _ = stream.accept()
                with called:
                    caller.sendall(b"tcp")
                    called.sendall(called.recv(16))
                    if caller.recv(16) != b"tcp":
                        raise WrongError(f"{address}: TCP")
            datagrams.settimeout(30)
            with socket.socket(family, socket.SOCK_DGRAM) as caller:
                caller.settimeout(30)
                caller.sendto(b"udp", (address, PORT))
                data, sender = datagrams.recvfrom(16)
                datagrams.sendto(data, sender)
                if caller.recv(16) != b"udp":
                    raise WrongError(f"{address}: UDP")


def wire(number: int, mac: str, deadline: float) -> Counter[str]:
    """Sets up containers, exchanges data with them, and tears them down."""
    done: Counter[str] = Counter()
    addresses = {socket.AF_INET: f"10.0.0.{number}", socket.AF_INET6: f"2001:db8::{number}"}
    with RtnetlinkSocket() as host:
        while time.monotonic() < deadline:
            pair = Network(
                "veth",
                name="eth0",
                bridge=BRIDGE,
                owner=f"wirer {number}, container {done['wired']}",
                # Always the same MAC address: the host caches it with the IP address for a while.
                mac_address=f"02:00:5e:10:00:{number:02x}",
                address=addresses[socket.AF_INET] + "/24",
                gateway="10.0.0.1",
                ipv6_address=addresses[socket.AF_INET6] + "/64",
                ipv6_gateway="2001:db8::1",
            )
            with NetworkNamespace.create() as container:
                made = set_up_networks([Network("loopback", name="lo"), pair], netns=container)
                different = check_networks(made, netns=container)
                reach(container, addresses)
                tear_down_networks(made, netns=container)
            name = made[1].host_interface_name
            if different or name in host.dump_links():
                raise WrongError(f"{name}: {different or 'left over'}")
            if host.get_link(BRIDGE).mac != mac:
                raise WrongError(f"{BRIDGE} has changed its address")
            done["wired"] += 1
    return done


def lasting_state(other: int) -> object:
    """The state that must be the same before and after: links, except churned ones, and namespaces.

    Parameters:
        other: a namespace that exists all the time.
    """
    with RtnetlinkSocket() as host:
        links = [
            (link.index, link.name, link.alias, link.group, link.mac, link.master)
            for link in host.dump_links().values()
            if not link.name.startswith("c")
        ]
        command = ["ip", "-json", "netns", "list-id"]  # of all namespaces with an nsid
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        known = {entry["nsid"] for entry in json.loads(listed or "[]")} - {host.get_nsid(other)}
    return links, known, NetworkNamespace.names()


def wait_for_state(other: int, before: object) -> None:
    """Waits until the kernel has ended the namespaces, a little after their last descriptor."""
    until = time.monotonic() + 30
    while (after := lasting_state(other)) != before:
        if time.monotonic() > until:
            raise WrongError(f"before: {before}; after: {after}")
        time.sleep(0.1)


# ---- reading ----


def readings(
    rtnetlink: RtnetlinkSocket, reader_of_v0: SysfsReader, other: int
) -> list[tuple[str, Callable[[int, str], None]]]:
    """All reading functions. Each takes the number of a stable interface and a churned name."""

    def sysfs(number: int, churned: str) -> None:
        check(get_network_interface_stats(f"v{number}", perspective="host"), number, f"v{number}")
        check_zero(get_network_interface_stats(churned))

    def sysfs_counter(number: int, churned: str) -> None:
        view = support.view(f"v{number}", number)
        if read_sysfs_network_stats(f"v{number}", "tx_bytes") != view.tx_bytes:
            raise WrongError(f"v{number}: tx_bytes")
        if read_sysfs_network_stats(churned, "rx_bytes"):
            raise WrongError(churned)

    def sysfs_reader(number: int, churned: str) -> None:
        check(reader_of_v0.read(), 0, "v0")
        with SysfsReader(churned) as reader:
            for _ in range(3):
                check_zero(reader.read())

    def get_stats(number: int, churned: str) -> None:
        check(rtnetlink.get_stats(f"v{number}"), number, f"v{number}")
        check(rtnetlink.get_stats(ALTERNATIVE), 1, ALTERNATIVE)
        check_zero(rtnetlink.get_stats(churned))

    def dump_stats(number: int, churned: str) -> None:
        found = rtnetlink.dump_stats()
        for stable in range(STABLE):
            check(found[f"v{stable}"], stable, f"v{stable}")
        for name in found:
            if name.startswith("c"):
                check_zero(found[name])

    def dump_counters(number: int, churned: str) -> None:
        columns = rtnetlink.dump_counters()
        rows = dict(zip(columns.names, columns.counters.tolist(), strict=True))
        for stable in range(STABLE):
            if rows[f"v{stable}"] != support.values(support.view("", stable)):
                raise WrongError(f"v{stable}: {rows}")
        if any(any(row) for name, row in rows.items() if name.startswith("c")):
            raise WrongError(f"churned: {rows}")

    def links(number: int, churned: str) -> None:
        rtnetlink.link_set_up(f"v{number}")
        if not rtnetlink.link_is_up(f"v{number}"):
            raise WrongError(f"v{number} is down")
        link = rtnetlink.get_link(f"v{number}")
        if link.name != f"v{number}" or not link.up or rtnetlink.dump_links()[link.name] != link:
            raise WrongError(f"{link}")
        rtnetlink.execute(Batch().set_link(link.index, up=True).set_link(f"v{number}", up=True))
        rtnetlink.link_set_down(churned)

    def once(number: int, churned: str) -> None:
        link_set_up(f"v{number}")
        get_strategy("loopback").initialize(netns=other)
        link_set_up(churned)

    def other_namespace(number: int, churned: str) -> None:
        with RtnetlinkSocket(other) as sock:
            found = sock.dump_stats()
            check(found["v9"], 9, "v9")
            check(get_network_interface_stats("v9", perspective="host", netns=other), 9, "v9")
            with SysfsReader("v9", perspective="host", netns=other) as reader:
                check(reader.read(), 9, "v9")
            check_zero(sock.get_stats(churned))

    every = (sysfs, sysfs_counter, sysfs_reader, get_stats, dump_stats, dump_counters)
    return [(function.__name__, function) for function in (*every, links, once, other_namespace)]


def read(rtnetlink: RtnetlinkSocket, other: int, deadline: float) -> Counter[str]:
    done: Counter[str] = Counter()
    with SysfsReader("v0", perspective="host") as reader_of_v0:
        functions = readings(rtnetlink, reader_of_v0, other)
        for turn in itertools.count():
            if time.monotonic() >= deadline:
                break
            name, function = functions[turn % len(functions)]
            try:
                function(turn % STABLE, f"c{turn % CHURNED}")
            except InterfaceNotFoundError as error:
                if not error.interface.startswith("c"):
                    raise
                done["no such interface"] += 1
            except KernelError as error:
                if error.errno != errno.EAGAIN:
                    raise
                done["never settled"] += 1
            done[name] += 1
    return done


def measured(
    work: Callable[[float], Counter[str]], warm_up: float, whole: float
) -> dict[str, object]:
    """Runs the work, and measures memory and descriptors after a warm-up and at the end."""
    totals = work(time.monotonic() + warm_up)
    before, descriptors = rss_kib(), support.descriptors()
    totals += work(time.monotonic() + whole - warm_up)
    after = rss_kib()
    if support.descriptors() != descriptors:
        raise WrongError(f"descriptors: {descriptors} before, {support.descriptors()} after")
    return {"rss": [before, after], "totals": totals}


def read_in_process(other: int, warm_up: float) -> dict[str, object]:
    with RtnetlinkSocket() as rtnetlink:
        return measured(lambda deadline: read(rtnetlink, other, deadline), warm_up, SECONDS)


def wire_in_process(number: int, mac: str, warm_up: float) -> dict[str, object]:
    return measured(lambda deadline: wire(number, mac, deadline), warm_up, SECONDS)


def read_in_threads(other: int, deadline: float) -> Counter[str]:
    """Reads in four threads: two have their own sockets, two share one."""
    totals: Counter[str] = Counter()
    lock = threading.Lock()

    def work(rtnetlink: RtnetlinkSocket) -> None:
        found = read(rtnetlink, other, deadline)
        with lock:
            totals.update(found)

    with RtnetlinkSocket() as one, RtnetlinkSocket() as two, RtnetlinkSocket() as shared:
        support.run_threads(*(lambda s=s: work(s) for s in (one, two, shared, shared)))
    return totals


def read_a_million_times() -> dict[str, object]:
    with RtnetlinkSocket() as rtnetlink:
        expected = support.view("v3", 3)
        rss_kib()  # allocates memory itself
        for _ in range(50_000):
            rtnetlink.get_stats("v3")
        before = rss_kib()
        for _ in range(READINGS):
            if rtnetlink.get_stats("v3") != expected:
                raise WrongError("v3")
        return {"rss": [before, rss_kib()], "totals": {}}


def main() -> None:
    _fresh_namespaces.enter()
    with support.Links() as links:
        for number in range(STABLE):
            support.add_patterned(links, number)
        links.add_altname("v1", ALTERNATIVE)
    other = support.new_namespace()
    with support.inside(other), support.Links() as links:
        support.add_patterned(links, 9)

    add_bridge()
    with RtnetlinkSocket() as host:
        mac = host.get_link(BRIDGE).mac
    before_wiring = lasting_state(other)

    warm_up = min(10.0, SECONDS / 4)
    deadline = time.monotonic() + SECONDS
    churned = support.start_process(lambda: dict(churn(other, deadline)))
    readers = [support.start_process(lambda: read_in_process(other, warm_up)) for _ in range(2)]
    wirers = [
        support.start_process(partial(wire_in_process, number, mac, warm_up))
        for number in range(2, 2 + WIRERS)
    ]
    threads = measured(lambda end: read_in_threads(other, end), warm_up, SECONDS)
    results = [("4 threads", threads)]
    results += [(f"process {n}", result()) for n, result in enumerate(readers, 1)]
    wired = [(f"wirer {n}", result()) for n, result in enumerate(wirers, 1)]
    churn_totals = churned()
    wait_for_state(other, before_wiring)
    results.append((f"{READINGS:,} get_stats", support.start_process(read_a_million_times)()))

    totals: Counter[str] = Counter()
    for who, result in (*wired, *results):
        before, after = result["rss"]  # type: ignore[misc]
        if not who.startswith("wirer"):
            totals.update(result["totals"])  # type: ignore[call-overload]
        print(f"{who}: RSS {before} KiB after warm-up, {after} KiB at the end")
        slack = 0 if who.endswith("get_stats") else SLACK_KIB
        if after - before > slack:
            raise WrongError(f"{who}: memory grows")
    containers = sum(result["totals"]["wired"] for _, result in wired)  # type: ignore[index]
    grown = max(result["rss"][1] - result["rss"][0] for _, result in wired)  # type: ignore[index]
    if not containers:
        raise WrongError("no container was set up")
    print("churned:", json.dumps(churn_totals))
    print("read:", json.dumps(totals))
    growth = results[-1][1]["rss"]
    known = totals.pop("no such interface", 0), totals.pop("never settled", 0)
    print(
        f"{SECONDS:.0f} s: {churn_totals['created']:,} veth pairs churned, "
        f"{sum(totals.values()):,} readings, 0 wrong ({known[0]:,} interfaces not found, "
        f"{known[1]:,} dumps never settled); {containers:,} containers set up by {WIRERS} "
        f"processes, reached and torn down, 0 left, RSS {grown:+} KiB at most; "
        f"{READINGS:,} get_stats: RSS {growth[1] - growth[0]:+} KiB"
    )


if __name__ == "__main__":
    main()
