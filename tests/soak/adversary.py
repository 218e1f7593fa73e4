"""Tests host-device against root of the containers.

Two processes move devices of the host into two containers and back. They also tear down networks of
the other process, and request networks that fail late, so that the move is undone. At the same time
root of each container acts at random: it renames devices, moves them into another namespace and
back, changes their indexes, deletes and recreates them, puts macvlans on them, and adds many names,
addresses and routes. After each round, when all processes have ended, all devices are moved back,
and the program checks that

- no link of the host is lost: each device that root has not deleted is in the host namespace, and
  so is each link that was never moved;
- no link of a container was moved to the host namespace;
- no setting of the container is left on a device, and no link is on top of it.

Files of sysfs identify the links. They were opened at the beginning, and follow the links into
other namespaces.

ADVERSARY_SECONDS (60) sets the length, ADVERSARY_SEED the random actions.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import random
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import support

from pynetstrat import (
    Batch,
    Link,
    NetstratError,
    Network,
    NetworkNamespace,
    Route,
    RtnetlinkSocket,
    set_up_networks,
    tear_down_networks,
)
from pynetstrat._native.batch import NEWLINK, Message, add_link
from pynetstrat._native.device import set_flags
from pynetstrat._native.links import new_settings
from pynetstrat.cli import _fresh_namespaces

SECONDS = float(os.environ.get("ADVERSARY_SECONDS", "60"))
SEED = int(os.environ.get("ADVERSARY_SEED", str(random.randrange(1 << 32))))
ROUND = 2.0  # seconds
CONTAINERS = 2
PROVEN = ("d0", "d1", "d2")  # veth ends, whose peers stay in the host namespace
UNPROVEN = ("u0", "u1")  # an ifb and a macvlan: only for networks that fail
RECORDS = Path("/run/pynetstrat/devices")
# How often tear-down is tried before a device counts as lost.
PATIENCE = 20


class WrongError(Exception):
    """An invariant does not hold."""


IFF_PROMISC = 0x100  # linux/if.h


def add_at(index: int, kind: str, name: str) -> Message:
    """A message that adds a link with a given index."""
    settings = new_settings(name=name, index=index)
    return Message(NEWLINK, add_link, kind.encode(), settings, link=name)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


class Host:
    """The links of the host namespace.

    Attributes:
        files: the open `ifindex` file of each link, which follows the link.
        before: the devices as they were created.
    """

    def __init__(self) -> None:
        self.files: dict[str, int] = {}
        self.before: dict[str, Link] = {}
        self.sock = RtnetlinkSocket()  # open until the program ends
        ip("link", "add", "br0", "type", "bridge")
        ip("link", "add", "important", "type", "ifb")
        ip("link", "add", "parent", "type", "veth", "peer", "name", "parent2")
        for name in (*PROVEN, *UNPROVEN):
            self.make(name)
        for name in ("br0", "important", "parent", "parent2"):
            self.hold(name)

    def make(self, name: str) -> None:
        if name in PROVEN:
            ip("link", "add", name, "type", "veth", "peer", "name", f"p{name}")
            ip("link", "set", f"p{name}", "up")
            self.hold(f"p{name}")
        elif name == "u0":
            ip("link", "add", name, "type", "ifb")
        else:
            ip("link", "add", name, "link", "parent", "type", "macvlan", "mode", "bridge")
        ip("link", "set", name, "mtu", "1400", "alias", f"of {name}", "group", "5")
        ip("link", "property", "add", "dev", name, "altname", f"also-{name}")
        if name == "d0":
            ip("link", "set", name, "master", "br0", "up")
        self.hold(name)
        self.before[name] = self.sock.get_link(name)

    def hold(self, name: str) -> None:
        if name in self.files:
            os.close(self.files[name])
        self.files[name] = os.open(f"/sys/class/net/{name}/ifindex", os.O_RDONLY)

    def index(self, name: str) -> int:
        """The index of a link in its present namespace; 0 if it was deleted."""
        try:
            return int(os.pread(self.files[name], 32, 0))
        except OSError:
            return 0

    def has(self, name: str) -> bool:
        """Whether a link is in the host namespace, under its name."""
        try:
            other = os.open(f"/sys/class/net/{name}/ifindex", os.O_RDONLY)
        except OSError:
            return False
        try:
            return os.path.sameopenfile(other, self.files[name])
        finally:
            os.close(other)

    def check(self) -> None:
        """Raises WrongError unless the host has exactly its own links, unchanged."""
        for name in self.files:
            if not self.has(name):
                raise WrongError(f"{name} is not in the host namespace")
        found = self.sock.dump_links()
        if set(found) - {"lo"} != set(self.files):
            raise WrongError(f"other links: {set(found) - {'lo'} - set(self.files)}")
        for name, before in self.before.items():
            after = replace(found[name], running=before.running, link_index=before.link_index)
            if after != before:
                raise WrongError(f"{name} was {before}, and is {after}")
            if name in PROVEN and not before.master:
                probe = Batch().add_macvlan("probe", before.index, mode="passthru")
                self.sock.execute(probe.delete_link("probe"))


# ---- root of a container ----


class Root:
    """Random actions of root in a container's namespace and in a second namespace of root."""

    def __init__(self, namespace: NetworkNamespace, side: NetworkNamespace, seed: int) -> None:
        self._random = random.Random(seed)
        self._namespace, self._side = namespace, side
        self._sock, self._other = RtnetlinkSocket(namespace), RtnetlinkSocket(side)
        self._made = 0
        self.acts: Counter[str] = Counter()

    def act(self) -> None:
        """Does one random action. The kernel may refuse it."""
        links = [link for link in self._sock.dump_links().values() if link.name != "lo"]
        acts: list[Callable[[Link], None]] = [
            self.rename,
            self.set_things,
            self.stack,
            self.stack,
            self.name_much,
            self.address,
            self.move_away,
            self.swap,
            self.swap,
            self.swap,
            self.remake,
            self.clash,
        ]
        link = self._random.choice(links) if links else None
        act = self._random.choice(acts)
        with contextlib.suppress(NetstratError):
            if link is not None:
                act(link)
            elif self._random.random() < 0.3:
                self._sock.execute(Batch().add_link(self._name(), "ifb"))
        if len(links) > 40:
            for one in links[20:]:
                with contextlib.suppress(NetstratError):
                    if one.kind != "veth":
                        self._sock.execute(Batch().delete_link(one.index))
        self.acts[act.__name__] += 1

    def _name(self) -> str:
        self._made += 1
        return f"r{self._made}"

    def rename(self, link: Link) -> None:
        names = ["eth0", "e1", "d0", "important", self._name()]
        self._sock.execute(Batch().set_link(link.index, new_name=self._random.choice(names)))

    def set_things(self, link: Link) -> None:
        number = self._random.randrange(1, 250)
        batch = Batch().set_link(link.index, mtu=68 + number, alias="root's", txqueuelen=number)
        batch.set_link(link.index, mac=f"02:00:00:00:00:{number:02x}", up=number % 2 == 0)
        batch.set_group(link.index, number)
        batch.messages.append(set_flags(link.index, IFF_PROMISC, IFF_PROMISC))
        self._sock.execute(batch)

    def stack(self, link: Link) -> None:
        name = self._name()
        self._sock.execute(Batch().add_macvlan(name, link.index, up=True))
        if self._random.random() < 0.2:  # a macvlan of a macvlan is on top of the device, too
            self._sock.execute(Batch().add_macvlan(self._name(), name))

    def name_much(self, link: Link) -> None:
        names = [f"{self._name()}-alternative-{number}" for number in range(30)]
        batch = Batch()
        for name in (*names, "important", "d0", "also-d1"):
            batch.add_altname(link.index, name)
        self._sock.execute(batch)

    def address(self, link: Link) -> None:
        batch = Batch().set_link(link.index, up=True)
        for number in range(20):
            batch.add_address(link.index, f"10.{self._random.randrange(256)}.{number}.1/24")
            batch.add_route(Route(f"172.16.{number}.0/24", ifindex=link.index))
        self._sock.execute(batch)

    def move_away(self, link: Link) -> None:
        index = self._random.choice([None, self._random.randrange(2, 40), link.index])
        self._sock.execute(Batch().set_link(link.index, netns=self._side))
        if self._random.random() < 0.9:
            self._come_back(index)

    def _come_back(self, index: int | None = None) -> None:
        for link in self._other.dump_links().values():
            if link.name != "lo":
                move = Batch().set_link(link.index, netns=self._namespace, new_index=index)
                with contextlib.suppress(NetstratError):
                    self._other.execute(move)

    def swap(self, link: Link) -> None:
        """Replaces a link, in one batch, by another with the same name and index."""
        batch = Batch().set_link(link.index, netns=self._side)
        if self._random.random() < 0.5:
            batch.add_veth(link.name, self._name(), index=link.index)
        else:
            batch.messages.append(add_at(link.index, "ifb", link.name))
        self._sock.execute(batch)
        time.sleep(self._random.random() / 100)
        with contextlib.suppress(NetstratError):
            self._sock.execute(Batch().delete_link(link.index))
        self._come_back(self._random.choice([None, link.index]))

    def remake(self, link: Link) -> None:
        if link.kind == "veth" and self._random.random() < 0.9:
            return  # most of them are devices of the host
        self._sock.execute(Batch().delete_link(link.index))
        self._sock.execute(Batch().add_veth(link.name, self._name(), index=link.index))

    def clash(self, link: Link) -> None:
        self._sock.execute(Batch().add_link(self._random.choice(["eth0", "d1", "e1"]), "ifb"))

    def rest(self) -> None:
        """Moves all links of the second namespace to the container, with names that are free."""
        for link in self._other.dump_links().values():
            if link.name == "lo":
                continue
            for name in link.altnames:
                # A worker that sends a veth of root's back may delete it, and with it this peer.
                arguments = ["link", "property", "del", "dev", link.name, "altname", name]
                self._side.run(["ip", *arguments], check=False, capture_output=True)
            name = f"{self._name()}-{link.index}"[:15]
            move = Batch().set_link(link.index, netns=self._namespace, new_name=name)
            with contextlib.suppress(NetstratError):
                self._other.execute(move)

    def close(self) -> None:
        self._sock.close()
        self._other.close()


# ---- processes of the host ----


class Worker:
    """Sets up and tears down random networks."""

    def __init__(self, containers: list[NetworkNamespace], seed: int) -> None:
        self._random = random.Random(seed)
        self._containers = containers
        self.done: Counter[str] = Counter()

    def work(self) -> None:
        number = self._random.randrange(len(self._containers))
        fails = self._random.random() < 0.3
        device = self._random.choice((*PROVEN, *UNPROVEN) if fails else PROVEN)
        network = Network(
            "host-device",
            host_interface_name=device,
            name=self._random.choice(["", "eth0", "eth%d", "eth%d", "eth%d", "e1"]),
            owner=f"c{number}",
            address="192.0.2.5/24",
            gateway="203.0.113.1" if fails else "192.0.2.1",
        )
        netns = self._containers[number]
        what = "rollbacks" if fails else "set-ups"
        try:
            (made,) = set_up_networks([network], netns=netns)
        except NetstratError:
            self.done[what if fails else f"{what} refused"] += 1
            return
        self.done[what] += 1
        time.sleep(self._random.random() / 50)
        if self._random.random() < 0.2:
            return  # the other process, or the end of the round, tears it down
        if self._random.random() < 0.3:
            made = replace(made, device=None)
        try:
            tear_down_networks([made], netns=netns)
            self.done["tear-downs"] += 1
        except NetstratError:
            self.done["tear-downs refused"] += 1


def tear_down_all(host: Host, containers: list[NetworkNamespace]) -> list[NetstratError]:
    """Moves all devices back, by their records, while root is idle. Returns the failures."""
    cookies = {one.cookie: one for one in containers}
    failures = []
    for file in RECORDS.iterdir():
        record = json.loads(file.read_text())
        name = record["name"]
        network = Network(
            "host-device",
            host_interface_name=name,
            name=record["wanted"],
            owner=record["owner"],
            options={"trust_container": name in UNPROVEN},
        )
        try:
            tear_down_networks([network], netns=cookies[record["container"]])
        except NetstratError as error:
            if host.index(name):
                failures.append(error)
            else:  # root has deleted it, and created another
                file.unlink()
    return failures


# ---- rounds ----


class Child:
    """A forked process that repeats a method until the flag is set. Its result is JSON.

    Parameters:
        over: the flag, in shared memory.
        make: makes the object.
        each: the method that is repeated.
        last: the method that is called at the end, or "".
        shown: the attribute that is the result.
    """

    def __init__(
        self, over: mmap.mmap, make: Callable[[], Any], each: str, last: str, shown: str
    ) -> None:
        self._read, write = os.pipe()
        self.pid = os.fork()
        if self.pid:
            os.close(write)
            return
        status = 1
        try:
            support.die_with_parent()
            one = make()
            while not over[0]:
                getattr(one, each)()
            if last:
                getattr(one, last)()
            os.write(write, json.dumps(getattr(one, shown)).encode())
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    def result(self) -> dict[str, int]:
        _, status = os.waitpid(self.pid, 0)
        with os.fdopen(self._read, "rb") as file:
            text = file.read()
        if status:
            raise WrongError(f"a process failed: {status}")
        found: dict[str, int] = json.loads(text)
        return found


def give_up(index: int, namespaces: list[NetworkNamespace]) -> None:
    """Deletes a device in that one of root's namespaces where it is."""
    for namespace in namespaces:
        with RtnetlinkSocket(namespace) as sock, contextlib.suppress(NetstratError):
            sock.execute(Batch().delete_link(index))


def run_round(
    host: Host, namespaces: list[tuple[NetworkNamespace, NetworkNamespace]], rng: random.Random
) -> Counter[str]:
    """Runs one round, and checks the result."""
    containers = [one for one, _ in namespaces]
    over = mmap.mmap(-1, 4096)
    children = [
        Child(over, partial(Root, *pair, rng.getrandbits(32)), "act", "rest", "acts")
        for pair in namespaces
    ]
    children += [
        Child(over, partial(Worker, containers, rng.getrandbits(32)), "work", "", "done")
        for _ in range(2)
    ]
    time.sleep(ROUND)
    over[0] = 1
    totals: Counter[str] = Counter()
    for child in children:
        totals.update(child.result())
    for _ in range(PATIENCE):
        failures = tear_down_all(host, containers)
        if not failures:
            break
        for namespace, side in namespaces:
            root = Root(namespace, side, 0)
            root.rest()
            root.close()
    if failures:
        raise failures[0]
    for name in UNPROVEN:
        if host.index(name) and not host.has(name):
            # Root had moved it when the undo step ran, and no later call can prove its identity.
            give_up(host.index(name), [one for pair in namespaces for one in pair])
            totals["left with root"] += 1
    for name in (*PROVEN, *UNPROVEN):
        if not host.index(name):
            if name in PROVEN and host.index(f"p{name}"):
                raise WrongError(f"{name} does not exist, but its peer does")
            totals["deleted by root"] += 1
            host.make(name)
    host.check()
    for namespace, side in namespaces:
        for one in (namespace, side):
            with RtnetlinkSocket(one) as sock:
                for name in sock.dump_links():
                    with contextlib.suppress(NetstratError):
                        if name != "lo":
                            sock.execute(Batch().delete_link(name))
    return totals


def main() -> None:
    print(f"ADVERSARY_SEED={SEED}", flush=True)
    rng = random.Random(SEED)
    _fresh_namespaces.enter()
    support.mount("tmpfs", Path("/run"), "tmpfs")
    for setting in ("all", "default"):
        Path(f"/proc/sys/net/ipv6/conf/{setting}/disable_ipv6").write_text("1")
    host = Host()
    totals: Counter[str] = Counter()
    with contextlib.ExitStack() as stack:
        namespaces = [
            (
                stack.enter_context(NetworkNamespace.create()),
                stack.enter_context(NetworkNamespace.create()),
            )
            for _ in range(CONTAINERS)
        ]
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            totals.update(run_round(host, namespaces, rng))
            totals["rounds"] += 1
    host.sock.close()
    print(json.dumps(totals))
    print(
        f"{SECONDS:.0f} s: {totals['set-ups']:,} set-ups, {totals['tear-downs']:,} tear-downs and "
        f"{totals['rollbacks']:,} rollbacks against root of {CONTAINERS} containers: no link of "
        "the host lost, none of a container moved to the host, nothing left on a device"
    )


if __name__ == "__main__":
    main()
