"""host-device against root of the containers.

Two processes lend devices of the host to two containers and take them back, tear down what the
other one set up, and ask for networks that fail late, so that the move is undone. Meanwhile root of
each container does whatever root can: it renames devices, moves them on and back, gives them other
indexes, deletes and remakes them, puts macvlans on them, and gives them many names, addresses and
routes. After each round, with everybody at rest, all devices are taken back, and then

- no link of the host is lost: each device that root has not deleted is in the host namespace, and
  what was never lent has not left it;
- no link of a container was taken in: the host namespace has its own links and no other;
- nothing of the container is left on a device: its settings are as before, and no link stands on
  it.

Which link is which is told by files of sysfs that were opened at the beginning and follow the
devices. ADVERSARY_SECONDS (60) and ADVERSARY_SEED choose the time and the course.
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
from pynetstrat._native.batch import NEWLINK, Message, add_link, new_settings
from pynetstrat._native.device import add_altname, set_flags
from pynetstrat.cli import sandbox

SECONDS = float(os.environ.get("ADVERSARY_SECONDS", "60"))
SEED = int(os.environ.get("ADVERSARY_SEED", str(random.randrange(1 << 32))))
ROUND = 2.0  # seconds
CONTAINERS = 2
PROVEN = ("d0", "d1", "d2")  # veth ends, whose peers stay in the host namespace
UNPROVEN = ("u0", "u1")  # an ifb and a macvlan: lent to networks that fail only
RECORDS = Path("/run/pynetstrat/devices")
# Rounds of undoing that are tried before a device counts as lost.
PATIENCE = 20


class WrongError(Exception):
    """An invariant does not hold."""


IFF_PROMISC = 0x100  # linux/if.h


def add_at(index: int, kind: str, name: str) -> Message:
    """Makes a link with an index of one's own."""
    settings = new_settings(name=name, index=index)
    return Message(NEWLINK, add_link, kind.encode(), settings, name=name)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


class Home:
    """The host's links, each held by a file that follows it.

    Attributes:
        files: of each link that was made here, its file `ifindex`.
        before: the devices as they were made.
    """

    def __init__(self) -> None:
        self.files: dict[str, int] = {}
        self.before: dict[str, Link] = {}
        self.sock = RtnetlinkSocket()  # to the end of the program
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
        """The index of a link wherever it is; 0: it was deleted."""
        try:
            return int(os.pread(self.files[name], 32, 0))
        except OSError:
            return 0

    def is_here(self, name: str) -> bool:
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
        """Raises WrongError unless every link is here and as it was, and no other link is."""
        for name in self.files:
            if not self.is_here(name):
                raise WrongError(f"{name} is not in the host namespace")
        found = self.sock.dump_links()
        if set(found) - {"lo"} != set(self.files):
            raise WrongError(f"strangers: {set(found) - {'lo'} - set(self.files)}")
        for name, before in self.before.items():
            after = replace(found[name], running=before.running, link_index=before.link_index)
            if after != before:
                raise WrongError(f"{name} was {before}, and is {after}")
            if name in PROVEN and not before.master:
                probe = Batch().add_macvlan("probe", before.index, mode="passthru")
                self.sock.execute(probe.delete_link("probe"))


# ---- root of a container ----


class Root:
    """Random acts of root in a container's namespace, with a namespace of its own beside it."""

    def __init__(self, namespace: NetworkNamespace, side: NetworkNamespace, seed: int) -> None:
        self._random = random.Random(seed)
        self._namespace, self._side = namespace, side
        self._sock, self._other = RtnetlinkSocket(namespace), RtnetlinkSocket(side)
        self._made = 0
        self.acts: Counter[str] = Counter()

    def act(self) -> None:
        """One act; what the kernel refuses is refused."""
        links = [link for link in self._sock.dump_links().values() if link.name != "lo"]
        acts: list[Callable[[Link], None]] = [
            self.rename,
            self.set_things,
            self.stack,
            self.stack,
            self.name_much,
            self.address,
            self.move_on,
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
        if self._random.random() < 0.2:  # on one that stands on a device, so on the device
            self._sock.execute(Batch().add_macvlan(self._name(), name))

    def name_much(self, link: Link) -> None:
        names = [f"{self._name()}-alternative-{number}" for number in range(30)]
        batch = Batch()
        for name in (*names, "important", "d0", "also-d1"):
            batch.messages.append(add_altname(link.index, name))
        self._sock.execute(batch)

    def address(self, link: Link) -> None:
        batch = Batch().set_link(link.index, up=True)
        for number in range(20):
            batch.add_address(link.index, f"10.{self._random.randrange(256)}.{number}.1/24")
            batch.add_route(Route(f"172.16.{number}.0/24", ifindex=link.index))
        self._sock.execute(batch)

    def move_on(self, link: Link) -> None:
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
        """Puts a link of its own in the place of another, at once: same name, same index."""
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
            return  # mostly the host's
        self._sock.execute(Batch().delete_link(link.index))
        self._sock.execute(Batch().add_veth(link.name, self._name(), index=link.index))

    def clash(self, link: Link) -> None:
        self._sock.execute(Batch().add_link(self._random.choice(["eth0", "d1", "e1"]), "ifb"))

    def rest(self) -> None:
        """Brings back what is beside, whatever its names, so that the host can take it."""
        for link in self._other.dump_links().values():
            if link.name == "lo":
                continue
            for name in link.altnames:
                arguments = ["link", "property", "del", "dev", link.name, "altname", name]
                self._side.run(["ip", *arguments], check=True, capture_output=True)
            name = f"{self._name()}-{link.index}"[:15]
            move = Batch().set_link(link.index, netns=self._namespace, new_name=name)
            with contextlib.suppress(NetstratError):
                self._other.execute(move)

    def close(self) -> None:
        self._sock.close()
        self._other.close()


# ---- the host's processes ----


class Worker:
    """Sets networks up and tears them down."""

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
            return  # left for the other process, or for the end of the round
        if self._random.random() < 0.3:
            made = replace(made, device=None)
        try:
            tear_down_networks([made], netns=netns)
            self.done["tear-downs"] += 1
        except NetstratError:
            self.done["tear-downs refused"] += 1


def tear_down_all(home: Home, containers: list[NetworkNamespace]) -> list[NetstratError]:
    """Takes back whatever is lent, by the records; root is at rest. Returns what failed."""
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
            if home.index(name):
                failures.append(error)
            else:  # root has deleted it, and made another in its place
                file.unlink()
    return failures


# ---- all of it ----


class Child:
    """A forked process that repeats something until the flag is set; its result is JSON."""

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


def give_up(index: int, spaces: list[NetworkNamespace]) -> None:
    """Deletes a device in whichever of root's namespaces it is."""
    for space in spaces:
        with RtnetlinkSocket(space) as sock, contextlib.suppress(NetstratError):
            sock.execute(Batch().delete_link(index))


def run_round(
    home: Home, spaces: list[tuple[NetworkNamespace, NetworkNamespace]], chance: random.Random
) -> Counter[str]:
    """One round, and the check after it."""
    containers = [one for one, _ in spaces]
    over = mmap.mmap(-1, 4096)
    children = [
        Child(over, partial(Root, *space, chance.getrandbits(32)), "act", "rest", "acts")
        for space in spaces
    ]
    children += [
        Child(over, partial(Worker, containers, chance.getrandbits(32)), "work", "", "done")
        for _ in range(2)
    ]
    time.sleep(ROUND)
    over[0] = 1
    totals: Counter[str] = Counter()
    for child in children:
        totals.update(child.result())
    for _ in range(PATIENCE):
        failures = tear_down_all(home, containers)
        if not failures:
            break
        for namespace, side in spaces:
            root = Root(namespace, side, 0)
            root.rest()
            root.close()
    if failures:
        raise failures[0]
    for name in UNPROVEN:
        if home.index(name) and not home.is_here(name):
            # Root had moved it on when it was to be brought back, and nothing proves it later.
            give_up(home.index(name), [one for pair in spaces for one in pair])
            totals["left with root"] += 1
    for name in (*PROVEN, *UNPROVEN):
        if not home.index(name):
            if name in PROVEN and home.index(f"p{name}"):
                raise WrongError(f"{name} is gone, but its peer is not")
            totals["deleted by root"] += 1
            home.make(name)
    home.check()
    for namespace, side in spaces:
        for one in (namespace, side):
            with RtnetlinkSocket(one) as sock:
                for name in sock.dump_links():
                    with contextlib.suppress(NetstratError):
                        if name != "lo":
                            sock.execute(Batch().delete_link(name))
    return totals


def main() -> None:
    print(f"ADVERSARY_SEED={SEED}", flush=True)
    chance = random.Random(SEED)
    sandbox.enter()
    support.mount("tmpfs", Path("/run"), "tmpfs")
    for setting in ("all", "default"):
        Path(f"/proc/sys/net/ipv6/conf/{setting}/disable_ipv6").write_text("1")
    home = Home()
    totals: Counter[str] = Counter()
    with contextlib.ExitStack() as stack:
        spaces = [
            (
                stack.enter_context(NetworkNamespace.create()),
                stack.enter_context(NetworkNamespace.create()),
            )
            for _ in range(CONTAINERS)
        ]
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            totals.update(run_round(home, spaces, chance))
            totals["rounds"] += 1
    home.sock.close()
    print(json.dumps(totals))
    print(
        f"{SECONDS:.0f} s: {totals['set-ups']:,} set-ups, {totals['tear-downs']:,} tear-downs and "
        f"{totals['rollbacks']:,} rollbacks against root of {CONTAINERS} containers: no link of "
        "the host lost, none of a container taken in, nothing left on a device"
    )


if __name__ == "__main__":
    main()
