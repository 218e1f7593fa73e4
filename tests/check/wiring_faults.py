"""Makes every system call and every message of set_up_networks fail, one at a time.

The networks are `loopback`, `veth` on a bridge with limited rates, further addresses, isolation and
settings and published ports, `macvlan`, and `host-device` with a port of that bridge, which is up
and has addresses of both families, routes and names. After each failure `ip` and `nft` must show
the same links, addresses, routes and rules in both namespaces as before, in every attribute.

faulty.c, which is preloaded, replaces functions of libc and makes them fail. A message is refused,
or carried out and then answered with an error, or its ack is lost. The same faults are tried during
the rollback of a set-up that the kernel refuses, and in tear_down_networks. There the error must
name anything that is left. A call that enables or disables egress must change everything or
nothing, and succeed the second time.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import errno
import gc
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import support
from helpers_network import process_carriers, quieten, wait_for_workers

from pynetstrat import (
    Batch,
    InvalidNetworkError,
    KernelError,
    NetstratError,
    Network,
    NetworkNamespace,
    Route,
    RtnetlinkSocket,
    check_networks,
    disable_egress,
    enable_egress,
    get_strategy,
    set_up_networks,
    tear_down_networks,
)
from pynetstrat.cli import _fresh_namespaces
from pynetstrat.wiring import _workers
from pynetstrat.wiring._rates import ifb_name
from pynetstrat.wiring._undo import UndoStack

# The errnos of each system call, from the manual pages and the kernel's code, in the order of
# faulty.c.
CALLS = {
    "socket": "EMFILE ENOBUFS EPERM",
    "setsockopt": "ENOPROTOOPT",
    "getsockopt": "ENOPROTOOPT",
    "send": "EINTR ENOBUFS",
    "recvfrom": "EAGAIN EINTR ENOMEM",
    "poll": "EINTR ENOMEM",
    "open": "EACCES EMFILE ENOENT",
    "close": "EINTR EIO",
    "dup": "EMFILE",
    "fstat": "EIO",
    "stat": "ENOENT",
    "readlink": "EACCES ENOENT",
    "ioctl": "ENOTTY EPERM",
    "setns": "EINVAL EPERM",
    "pthread_create": "EAGAIN",
    "getrandom": "EINTR",  # after ENOSYS Python keeps /dev/urandom open
    "recvmsg": "EINTR ENOMEM",
    "getsockname": "ENOBUFS",
    "bind": "ENOMEM",
    "write": "ENOSPC EIO",
    "flock": "EINTR ENOLCK",
    "mkdir": "EACCES ENOSPC",
    "renameat": "EACCES ENOSPC",
    "unlinkat": "EACCES EROFS",
}
MESSAGE = len(CALLS)
# Calls that need not occur. The kernel answers at once, so nothing polls; no batch is long enough
# for the size of the queue to matter; no socket receives notifications. How Python was built
# decides which call os.stat() and os.fstat() make. A tear-down removes a file, but a set-up does so
# only if an old one exists.
RARE = {"poll", "getsockopt", "fstat", "stat", "recvmsg", "getsockname", "bind", "mkdir"}
RARE_IN_SET_UP = RARE | {"unlinkat"}
RARE_IN_TEAR_DOWN = RARE | {"readlink", "write", "renameat"}
# By strace's names: the calls in faulty.c, and further calls, for memory (if it is short, Python
# raises MemoryError), threads and time, and reads of files, some in a temporary sysfs mount.
STRACED = (
    "socket setsockopt getsockopt sendto recvfrom poll openat close fcntl fstat newfstatat "
    "readlink ioctl setns clone3 clone getrandom write flock mkdir mkdirat renameat unlinkat"
)
BESIDE = (
    "brk mmap munmap mprotect madvise futex rt_sigprocmask set_robust_list rseq exit exit_group "
    "sched_setaffinity getcpu "
    "clock_gettime clock_nanosleep gettid getpid sched_yield restart_syscall geteuid "
    "read pread64 lseek fsopen fsconfig fsmount"
)
# Seconds to wait until the kernel's workers are done: where nothing may differ, and where something
# may that the error names.
PATIENCE, LITTLE = 20.0, 1.0
# How a message may be answered.
KINDS = {
    "refused": (0, "EPERM EINVAL EBUSY ENOMEM"),
    "carried out, then an error": (1, "EINVAL"),
    "carried out, its ack lost": (2, "ENOBUFS"),
}


def is_query(kind: int) -> bool:
    """Whether a message changes nothing (linux/rtnetlink.h, linux/netfilter/nf_tables.h)."""
    return (kind & 0xFF) % 3 == 1 if kind > 0xFF else kind % 4 == 2


def ends_transaction(types: list[int], number: int) -> bool:
    """Whether a message is NFNL_MSG_BATCH_END, which has the number of RTM_DELLINK."""
    before = types[number - 1]
    return types[number] == 17 and before > 0xFF and not is_query(before)


BRIDGE, FREE_BRIDGE, DEVICE, PORT, HOME = "br0", "br1", "dev0", "far0", "h0"
ALTNAME = "a-longer-name-of-dev0"
BEFORE = (
    f"link set {DEVICE} alias lent",
    f"link property add dev {DEVICE} altname {ALTNAME}",
    f"link set {DEVICE} type bridge_slave hairpin on",
    f"address add 192.0.2.5/24 brd + dev {DEVICE}",
    f"address add 192.0.2.6/24 dev {DEVICE} label {DEVICE}:6",
    f"address add 2001:db8::5/64 dev {DEVICE} nodad",
    "route add 198.51.100.0/24 via 192.0.2.9 metric 7",
    f"route add 203.0.113.0/24 dev {DEVICE} src 192.0.2.6 mtu 1300",
    "route add 2001:db8:1::/64 via 2001:db8::9 metric 9",
)


# Routes that a worker of the kernel adds a little later.
READY = {("2001:db8::5", DEVICE), *(("ff00::/8", name) for name in (BRIDGE, DEVICE, PORT))}
IPV6_ROUTES = "host: IPv6 routes"


def networks(bridge: str, *, refused: bool = False) -> list[Network]:
    pair = Network(
        "veth",
        name="eth0",
        host_interface_name=HOME,
        bridge=bridge,
        hairpin_mode=True,
        address="10.0.0.2/24",
        gateway="10.0.0.1",
        ipv6_address="fd00::2/64",
        ipv6_gateway="fd00::1",
        rate_in=8_000_000,
        rate_out=8_000_000,
        addresses=["10.0.0.3/24", "fd00::3/64"],
        isolated=True,
        sysctls={"net.ipv4.conf.IFNAME.arp_notify": "1", "net.ipv6.conf.IFNAME.accept_ra": "0"},
        publish=["8080:80/tcp", "192.0.2.5:53:53/udp"],
        owner="c1",
    )
    station = Network(
        "macvlan",
        name="mac0",
        host_interface_name=PORT,
        address="10.5.0.2/24",
        sysctls={"net.ipv4.conf.IFNAME.arp_notify": "1"},
        owner="c1",
    )
    device = Network(
        "host-device",
        name="net0",
        host_interface_name=DEVICE,
        bridge=BRIDGE,
        hairpin_mode=True,
        mtu=1400,
        address="10.1.0.2/24",
        routes=[Route("10.2.0.0/16", gateway="10.1.0.1")],
        owner="c1",
    )
    given = [Network("loopback", name="lo"), pair, station, device]
    if refused:  # by the kernel, at the very end: the gateway is unreachable
        routes = [Route("10.3.0.0/16", gateway="10.4.0.1")]
        given.append(Network("veth", name="eth1", host_interface_name="h1", routes=routes))
    return given


# ---- the two namespaces ----


class Stage:
    """A host namespace, in which the process then is, and a container namespace."""

    def __init__(self, free_bridge: bool = False) -> None:
        _fresh_namespaces.unshare(_fresh_namespaces.CLONE_NEWNET)
        for setting in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            Path("/proc/sys/net", setting).write_text("1")
        quieten()  # the kernel adds and deletes link-local addresses at any time
        with RtnetlinkSocket() as host:
            host.execute(
                Batch()
                .set_link("lo", up=True)
                .add_bridge(BRIDGE, up=True)
                .add_veth(DEVICE, PORT, mtu=1450, txqueuelen=500, mac="02:00:5e:10:00:01")
                .set_link(PORT, up=True, mac="02:00:5e:10:00:02")
            )
            if free_bridge:
                host.execute(Batch().add_bridge(FREE_BRIDGE, up=True))
            master = host.get_link(BRIDGE).index
            host.execute(Batch().set_link(DEVICE, master=master, up=True))
        subprocess.run(["ip", "-batch", "-"], input="\n".join(BEFORE), text=True, check=True)
        self.container = NetworkNamespace.create()
        quieten(self.container)
        self.before = self.look()
        while READY - {(route["dst"], route["dev"]) for route in self.before[IPV6_ROUTES]}:
            self.before = self.look()

    def set_up(self, asked: list[Network]) -> list[Network]:
        return set_up_networks(asked, netns=self.container)

    def tear_down(self, made: list[Network]) -> None:
        tear_down_networks(made, netns=self.container)

    def close(self) -> None:
        self.container.close()

    def look(self) -> dict[str, Any]:
        return {**_dump("host", None), **_dump("container", self.container), RULES: _rules()}


RULES = "host: nf_tables"


def _rules() -> list[dict[str, str]]:
    """Returns the lines of nft. An error about them names the interface with published ports."""
    command = ["nft", "list", "ruleset"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    return [{"ifname": "eth0", "rule": line} for line in shown.stdout.splitlines()]


# What the kernel does not restore, and what changes with time.
_VOLATILE = (
    *("qdisc", "operstate", "state", "statistics", "stats", "stats64", "carrier", "linkmode"),
    *("valid_life_time", "preferred_life_time", "topology_change", "topology_change_detected"),
)
_VOLATILE_FLAGS = ("NO-CARRIER", "LOWER_UP", "linkdown", "dead")
_ASKED = {
    "links": "link show",
    "addresses": "address show",
    "IPv4 routes": "-4 route show table all",
    "IPv6 routes": "-6 route show table all",
}
_BETWEEN = "----"


def _settled(entry: Any) -> Any:
    if isinstance(entry, list):
        return [_settled(part) for part in entry if part not in ({}, *_VOLATILE_FLAGS)]
    if not isinstance(entry, dict):
        return entry
    kept = {
        key: _settled(value)
        for key, value in entry.items()
        if key not in _VOLATILE and not key.endswith("_timer")
    }
    # The MAC address of a bridge without ports is set before it gets its first port, whose address
    # it would take otherwise. The kernel cannot undo that: the bridge id, which had no MAC address,
    # now contains it. The kernel computes tso_max_size when ports are added or removed, not when
    # the bridge is made.
    if entry.get("ifname") == FREE_BRIDGE:
        kept.pop("tso_max_size", None)
        for key in ("bridge_id", "root_id"):
            kept.get("linkinfo", {}).get("info_data", {}).pop(key, None)
    return kept


def _dump(whose: str, netns: NetworkNamespace | None) -> dict[str, Any]:
    run = netns.run if netns is not None else subprocess.run
    script = f"; echo {_BETWEEN}; ".join(f"ip -json -details {what}" for what in _ASKED.values())
    found = run(["sh", "-ec", script], capture_output=True, text=True, check=True)
    texts = [text.strip() for text in found.stdout.split(_BETWEEN)]
    return {
        f"{whose}: {what}": _settled(json.loads(text or "[]"))
        for what, text in zip(_ASKED, texts, strict=True)
    }


def differences(wanted: dict[str, Any], found: dict[str, Any]) -> list[str]:
    differing = []
    for what in wanted:
        # The kernel lists IPv6 routes of one prefix and metric in the order of their addition.
        ordered = not what.endswith("IPv6 routes")
        missing = [entry for entry in wanted[what] if entry not in found[what]]
        more = [entry for entry in found[what] if entry not in wanted[what]]
        for one in missing:
            twins = [entry for entry in more if _name(entry) == _name(one)]
            differing.append(f"{what}: missing {_without(one, twins)}")
        for one in more:
            twins = [entry for entry in missing if _name(entry) == _name(one)]
            differing.append(f"{what}: there is {_without(one, twins)}")
        if not missing and not more and ordered and wanted[what] != found[what]:
            differing.append(f"{what}: in another order: {[_name(entry) for entry in found[what]]}")
        if len(wanted[what]) != len(found[what]):
            differing.append(f"{what}: {len(found[what])}, not {len(wanted[what])}")
    return differing


def _name(entry: dict[str, Any]) -> tuple[object, ...]:
    return entry.get("ifname") or entry.get("dev", ""), entry.get("dst")


def _without(entry: dict[str, Any], twins: list[dict[str, Any]]) -> str:
    """The text of an entry, without the part that it shares with its twin, if it has one."""
    if not twins:
        return str(entry)
    return f"{_name(entry)}: " + str(_difference(entry, twins[0]))


def _difference(one: Any, other: Any) -> Any:
    if not isinstance(one, dict) or not isinstance(other, dict):
        return one
    keys = [key for key in one if one[key] != other.get(key)]
    return {key: _difference(one[key], other.get(key)) for key in keys}


def lasting_differences(
    stage: Stage, wanted: dict[str, Any], patience: float = PATIENCE
) -> list[str]:
    """Returns the differences that remain once the kernel's workers are done.

    Parameters:
        patience: how many seconds to wait for that.
    """
    process_carriers(None, stage.container)  # otherwise that alone may take a second
    until = time.monotonic() + patience
    while True:
        found = differences(wanted, stage.look())
        if not found or time.monotonic() > until:
            return found
        time.sleep(0.02)


# ---- faults ----

faulty: Any = None


class Fault:
    """A fault: which call or message fails, which of its occurrences, how, and with which error."""

    def __init__(self, what: int, kind: int, number: int, error: str, text: str) -> None:
        self.what, self.kind, self.number = what, kind, number
        self.error = getattr(errno, error) if error else 0
        self.text = text

    def __str__(self) -> str:
        return self.text

    def strike(self, work: Callable[[], object]) -> tuple[BaseException | None, bool]:
        """Returns what `work` raised, and whether the fault occurred."""
        faulty.faulty_arm(self.what, self.kind, self.number, self.error)
        try:
            work()
        except BaseException as error:
            return error, bool(faulty.faulty_disarm())
        return None, bool(faulty.faulty_disarm())


NOTHING = Fault(0, 0, 0, "", "nothing")


def faults(
    counts: list[int], types: list[int], first: list[int] | None = None, *, brief: bool = True
) -> Iterator[Fault]:
    """Yields every fault.

    Parameters:
        counts, types: the numbers of calls and messages, and the types of the messages.
        first: how many of them to leave out.
        brief: whether to try only one error for each call and each answer.
    """
    first = first or [0] * len(counts)
    most = 1 if brief else None
    for what, (call, errors) in enumerate(CALLS.items()):
        for number in range(first[what] + 1, counts[what] + 1):
            for error in errors.split()[:most]:
                yield Fault(what, 0, number, error, f"{call} number {number}: {error}")
    for number in range(first[MESSAGE] + 1, counts[MESSAGE] + 1):
        for name, (kind, errors) in KINDS.items():
            if kind == 1 and is_query(types[number]):
                continue
            if kind == 0 and ends_transaction(types, number):
                continue  # the kernel refuses only changes, and a transaction as a whole
            for error in errors.split()[:most]:
                shown = f"message {number} (type {types[number]}) {name}: {error}"
                yield Fault(MESSAGE, kind, number, error, shown)


def count() -> list[int]:
    return [faulty.faulty_count(what) for what in range(len(CALLS) + 1)]


def measure(work: Callable[[], object]) -> tuple[list[int], list[int]]:
    """Counts the calls of each kind, and returns the types of the messages.

    The second call of `work` is counted. The first one makes the folder of records and reads what
    never changes (the boot id).
    """
    with contextlib.suppress(NetstratError):
        NOTHING.strike(work)
    counts = count()
    return counts, [faulty.faulty_type(number) for number in range(counts[MESSAGE] + 1)]


def threads_elsewhere() -> list[str]:
    home = Path("/proc/thread-self/ns/net").readlink()
    found = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if (task / "ns/net").readlink() != home:
                found.append(task.name)
    return found


IFB = ifb_name(Network(owner="c1"), HOME)
KNOWN = ("lo", "eth0", "eth1", "mac0", "net0", HOME, IFB, "h1", DEVICE, PORT, BRIDGE, FREE_BRIDGE)


def unnamed(error: BaseException, *, wants_interface: bool = True) -> str:
    """Returns what is wrong with an error.

    It must be a NetstratError that names an operation, and, if `wants_interface`, an interface. If
    the namespace can't be opened, the namespace is named instead of the interfaces.
    """
    if not isinstance(error, NetstratError):
        return f"not a NetstratError: {error!r}"
    text = str(error)
    if wants_interface and not is_named(text, set(KNOWN)) and not stands_for_all(error):
        return f"no interface is named: {error!r} {text}"
    if isinstance(error, InvalidNetworkError) and "does not forward" in text:
        return ""  # a missing setting of an interface counts as off
    named = [getattr(part, "operation", "") for part in getattr(error, "errors", [error])]
    if not any(operation and operation in text for operation in named):
        return f"no operation is named: {error!r} {text}"
    return ""


def is_named(text: str, names: set[str]) -> bool:
    return any(re.search(rf"\b{name}\b", text) for name in names)


def stands_for_all(error: BaseException) -> bool:
    return isinstance(error, KernelError) and "namespace" in str(error.filename)


class Findings:
    def __init__(self) -> None:
        self.tried: collections.Counter[str] = collections.Counter()
        self.ended: collections.Counter[str] = collections.Counter()
        self.found = 0

    def add(self, where: str, fault: object, text: str) -> None:
        self.found += 1
        print(f"FINDING {where}: {fault}: {text}", flush=True)

    def add_missing(self, where: str, counts: list[int], rare: set[str]) -> None:
        for call, number in zip(CALLS, counts, strict=False):
            if not number and call not in rare:
                self.add(where, call, "never called")

    def count(self, where: str, fault: Fault, ended: str) -> None:
        kind = "messages" if fault.what == MESSAGE else "system calls"
        self.tried[f"{where}, {kind}"] += 1
        self.ended[ended] += 1


findings = Findings()


@contextlib.contextmanager
def nothing_left(where: str, fault: Fault) -> Iterator[None]:
    """Reports descriptors that stay open, and threads that stay in another namespace."""
    before = support.descriptors()
    yield
    gc.collect()
    after = support.descriptors()
    if after != before:
        findings.add(where, fault, f"descriptors: {set(after.items()) ^ set(before.items())}")
    if threads_elsewhere():
        findings.add(where, fault, "a thread is left in another namespace")


def try_set_up(bridge: str) -> None:
    free_bridge = bridge == FREE_BRIDGE
    where = f"set-up, bridge {'without' if free_bridge else 'with'} ports"
    stage = Stage(free_bridge)
    asked = networks(bridge)
    stage.tear_down(stage.set_up(asked))
    counts, types = measure(partial(stage.set_up, asked))
    findings.add_missing(where, counts, RARE_IN_SET_UP)
    stage.close()
    stage = Stage(free_bridge)
    for fault in faults(counts, types, brief=free_bridge):
        with nothing_left(where, fault):
            error, struck = fault.strike(partial(stage.set_up, asked))
        if not struck:
            findings.add(where, fault, "the fault did not occur")
        findings.count(where, fault, "ok" if error is None else "error")
        if error is None:
            for different in check_networks(asked, netns=stage.container):
                findings.add(where, fault, f"no error, but {different}")
            stage.tear_down(asked)
        else:
            wrong = unnamed(error)
            if wrong:
                findings.add(where, fault, wrong)
            if "could not be restored" in str(error):
                findings.add(where, fault, str(error))
            left = lasting_differences(stage, stage.before)
            if left:
                findings.add(where, fault, f"{error}\n    " + "\n    ".join(left))
        if error is None or left or free_bridge:
            stage.close()
            stage = Stage(free_bridge)
    stage.close()


def left_over(wanted: dict[str, Any], found: dict[str, Any]) -> set[str]:
    """Returns the names of the links that differ, before and after."""
    names: set[str] = set()
    for what in wanted:
        for one, other in ((wanted, found), (found, wanted)):
            entries = [entry for entry in one[what] if entry not in other[what]]
            names |= {entry.get("ifname") or entry.get("dev", "") for entry in entries}
    return names


def try_undoing() -> None:
    """Makes each call and message fail that undoes a set-up which the kernel refuses at its end."""
    where = "undoing"
    stage = Stage()
    asked = networks(BRIDGE, refused=True)
    first: list[int] = []
    with contextlib.suppress(KernelError):
        stage.set_up(asked)
    roll_back = UndoStack.roll_back

    def begin(self: UndoStack, *arguments: Any) -> None:
        first[:] = first or count()
        roll_back(self, *arguments)

    UndoStack.roll_back = begin  # type: ignore[method-assign]
    counts, types = measure(partial(stage.set_up, asked))
    UndoStack.roll_back = roll_back  # type: ignore[method-assign]
    stage.close()
    stage = Stage()
    for fault in faults(counts, types, first):
        with nothing_left(where, fault):
            error, struck = fault.strike(partial(stage.set_up, asked))
        if not struck or error is None:
            findings.add(where, fault, f"the fault did not occur, or no error followed: {error}")
            continue
        left = lasting_differences(stage, stage.before, LITTLE)
        findings.count(where, fault, "undone" if not left else "named")
        text = str(error)
        if left:
            names = left_over(stage.before, stage.look())
            named = "could not be restored" in text and is_named(text, names)
            if not named and (left := lasting_differences(stage, stage.before)):
                findings.add(
                    where, fault, f"{error}: not named: {names}\n    " + "\n    ".join(left)
                )
            stage.close()
            stage = Stage()
    stage.close()


def try_tear_down() -> None:
    where = "tear-down"
    stage = Stage()
    made = stage.set_up(networks(BRIDGE))
    counts, types = measure(partial(stage.tear_down, made))
    findings.add_missing(where, counts, RARE_IN_TEAR_DOWN)
    wait_for_workers()
    wait_for_workers(stage.container)
    after = stage.look()
    stage.close()
    for fault in faults(counts, types):
        stage = Stage()
        made = stage.set_up(networks(BRIDGE))
        with nothing_left(where, fault):
            error, struck = fault.strike(partial(stage.tear_down, made))
        if not struck:
            findings.add(where, fault, "the fault did not occur")
        left = lasting_differences(stage, after, PATIENCE if error is None else LITTLE)
        findings.count(where, fault, "ok" if error is None else "error")
        if error is None and left:
            findings.add(where, fault, "no error, but\n    " + "\n    ".join(left))
        if error is not None:
            wrong = unnamed(error)
            if wrong:
                findings.add(where, fault, wrong)
            found = stage.look()
            named = is_named(str(error), left_over(after, found)) or stands_for_all(error)
            if left and not named and (left := lasting_differences(stage, after)):
                findings.add(where, fault, f"{error}: not named: {left}")
            try:
                stage.tear_down(made)
            except NetstratError as again:
                findings.add(where, fault, f"{error}, and the second time {again}")
            left = lasting_differences(stage, after)
            if left:
                findings.add(where, fault, f"{error}, and after\n    " + "\n    ".join(left))
        stage.close()


def try_egress(change: Callable[[str], None], prepare: Callable[[str], None] | None) -> None:
    """Makes each call and message fail that enables or disables egress, for either family.

    Parameters:
        change: the function.
        prepare: what is called before it, or None.
    """
    where = change.__name__
    for subnet in ("10.0.0.0/24", "fd00::/64"):
        work = partial(change, subnet)
        stage = Stage()
        for _ in range(2):  # the first time it reads what never changes
            subprocess.run(["nft", "flush", "ruleset"], check=True)
            if prepare is not None:
                prepare(subnet)
            before = _rules()
            counts, types = measure(work)
        after = _rules()
        for fault in faults(counts, types):
            subprocess.run(["nft", "flush", "ruleset"], check=True)
            if prepare is not None:
                prepare(subnet)
            with nothing_left(where, fault):
                error, struck = fault.strike(work)
            if not struck:
                findings.add(where, fault, "the fault did not occur")
            findings.count(where, fault, "ok" if error is None else "error")
            found = _rules()
            if found != after and (error is None or found != before):
                findings.add(where, fault, f"{error}, and half done: {found}")
            if error is not None:
                wrong = unnamed(error, wants_interface=False)
                if wrong:
                    findings.add(where, fault, wrong)
                work()
                if _rules() != after:
                    findings.add(where, fault, f"{error}, and not done the second time")
        stage.close()


# ---- which system calls there are ----


def once() -> None:
    """Does what is traced, between two queries of files that do not exist."""
    get_strategy("host-device")  # otherwise set_up_networks() loads it
    stage = Stage()
    asked = networks(BRIDGE)
    Path("/begin").exists()
    made = stage.set_up(asked)
    stage.tear_down(made)
    Path("/end").exists()
    stage.close()


def check_calls(folder: str) -> None:
    """Reports system calls that faulty.c does not know."""
    log = f"{folder}/trace"
    command = ["strace", "-f", "-o", log, sys.executable, "-W", "error", __file__, "once"]
    subprocess.run(command, check=True)
    within = Path(log).read_text().partition('"/begin"')[2].partition('"/end"')[0]
    lines = within.splitlines()[1:-1]
    # A resumed call belongs to a thread of an earlier step, which waits for a child.
    seen = {match[1] for line in lines if (match := re.match(r"\d+ +(\w+)\(", line))}
    if not {"socket", "sendto", "recvfrom", "setns"} <= seen:
        findings.add("strace", command, f"it shows {seen} alone")
    print("  system calls:", *sorted(seen & set(STRACED.split())))
    for call in sorted(seen - set(f"{STRACED} {BESIDE}".split())):
        findings.add("strace", call, "nothing makes this system call fail")


# ---- all of it ----

# In parallel, because most of the time the kernel waits until all processors have seen a change.
PARTS: dict[str, Callable[[], None]] = {
    "set-up": lambda: try_set_up(BRIDGE),
    "set-up-without-ports": lambda: try_set_up(FREE_BRIDGE),
    "undoing": try_undoing,
    "tear-down": try_tear_down,
    "egress": lambda: try_egress(enable_egress, None),
    "no-egress": lambda: try_egress(disable_egress, enable_egress),
}


def work(part: str) -> None:
    global faulty
    faulty = ctypes.CDLL(os.environ.pop("LD_PRELOAD"))
    _fresh_namespaces.enter()
    support.mount("tmpfs", Path("/run"), "tmpfs")  # records of devices
    _workers._LONGEST = 0  # one dump of local routes: each call sends the same messages
    PARTS[part]()
    for name, number in findings.tried.items():
        print(f"  {name:36} {number:5} faults")
    print("  ended:", ", ".join(f"{name} {number}" for name, number in findings.ended.items()))
    print(f"{sum(findings.tried.values())} faults tried, {findings.found} findings")


def main() -> None:
    if sys.argv[1:] == ["once"]:
        _fresh_namespaces.enter()
        support.mount("tmpfs", Path("/run"), "tmpfs")
        once()
        return
    if sys.argv[1:]:
        work(sys.argv[1])
        return
    with tempfile.TemporaryDirectory() as folder:
        check_calls(folder)
    command = [sys.executable, "-W", "error", __file__]
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "text": True}
    environment = {**os.environ, "LD_PRELOAD": os.environ["FAULTY"]}
    children = [subprocess.Popen([*command, part], env=environment, **options) for part in PARTS]
    tried, found = 0, findings.found
    for child in children:
        text = child.communicate()[0]
        *lines, last = text.splitlines() or [""]
        print(*lines, sep="\n")
        counted = re.match(r"(\d+) faults tried, (\d+) findings", last)
        if child.returncode or not counted:
            sys.exit(f"{child.args} ended with status {child.returncode}: {last}")
        tried += int(counted[1])
        found += int(counted[2])
    print(f"{tried} faults tried, {found} findings")
    sys.exit(found > 0)


if __name__ == "__main__":
    main()
