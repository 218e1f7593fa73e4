"""What the tests share: links made by raw rtnetlink, their traffic, capabilities, programs."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import pickle
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pynetstrat import NetworkInterface, NetworkNamespace, RtnetlinkSocket
from pynetstrat.cli import _fresh_namespaces

ROOT = Path(__file__).parent.parent
CASES = Path(__file__).parent / "cases" / "parse_counter.json"

FILES = (
    "rx_bytes",
    "rx_packets",
    "rx_errors",
    "rx_dropped",
    "tx_bytes",
    "tx_packets",
    "tx_errors",
    "tx_dropped",
)

# The least MTU of IPv6 is 1280: below it the kernel sends nothing of its own accord, and all
# traffic is the test's.
MTU = 1000

RTM_NEWLINK, RTM_DELLINK, RTM_NEWLINKPROP, RTM_DELLINKPROP = 16, 17, 108, 109  # linux/rtnetlink.h
NLM_F_REQUEST, NLM_F_ACK, NLM_F_EXCL, NLM_F_CREATE = 1, 4, 0x200, 0x400  # linux/netlink.h
NLA_F_NESTED = 0x8000
IFLA_IFNAME, IFLA_MTU, IFLA_MASTER, IFLA_LINKINFO, IFLA_NET_NS_FD = 3, 4, 10, 18, 28
IFLA_PROP_LIST, IFLA_ALT_IFNAME = 52, 53  # linux/if_link.h
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
IFF_UP = 1
SOL_NETLINK, NETLINK_ADD_MEMBERSHIP = 270, 1  # linux/socket.h, linux/netlink.h
RTM_DELNSID, RTNLGRP_NSID = 89, 28  # linux/rtnetlink.h
SOL_PACKET, PACKET_QDISC_BYPASS = 263, 20  # linux/socket.h, linux/if_packet.h

CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_NET_ADMIN, CAP_SYS_ADMIN = 1, 2, 12, 21

_libc = ctypes.CDLL(None, use_errno=True)


# ---- links ----


def _attribute(kind: int, payload: bytes) -> bytes:
    padding = bytes(-len(payload) % 4)
    return struct.pack("=HH", 4 + len(payload), kind) + payload + padding


def _name(name: str, kind: int = IFLA_IFNAME) -> bytes:
    return _attribute(kind, os.fsencode(name) + b"\0")


def _link(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, flags, change)


class Links:
    """Makes, changes and deletes links in the namespace in which it was made."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)

    def __enter__(self) -> Links:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def _request(self, kind: int, body: bytes, flags: int = 0) -> None:
        header = struct.pack(
            "=IHHII", 16 + len(body), kind, NLM_F_REQUEST | NLM_F_ACK | flags, 1, 0
        )
        self._socket.send(header + body)
        error = struct.unpack_from("=i", self._socket.recv(8192), 16)[0]
        if error:
            raise OSError(-error, os.strerror(-error))

    def add_veth(
        self,
        name: str,
        peer: str,
        *,
        up: bool = True,
        peer_netns: int | None = None,
        index: int = 0,
    ) -> None:
        """A veth pair, both ends up (as far as they are here) unless `up` is false.

        `index` is that of the first end; 0: the kernel chooses.
        """
        mtu = _attribute(IFLA_MTU, struct.pack("=I", MTU))
        other = _link() + _name(peer) + mtu
        if peer_netns is not None:
            other += _attribute(IFLA_NET_NS_FD, struct.pack("=i", peer_netns))
        data = _attribute(IFLA_INFO_DATA, _attribute(VETH_INFO_PEER, other))
        info = _attribute(IFLA_INFO_KIND, b"veth") + data
        body = _link(index) + _name(name) + mtu + _attribute(IFLA_LINKINFO, info)
        self._request(RTM_NEWLINK, body, NLM_F_CREATE | NLM_F_EXCL)
        if up:  # not in the same message: one end can't be up before there is the other
            self.set_up(name)
            if peer_netns is None:
                self.set_up(peer)

    def add_bridge(self, name: str) -> None:
        info = _attribute(IFLA_INFO_KIND, b"bridge")
        body = _link() + _name(name) + _attribute(IFLA_LINKINFO, info)
        self._request(RTM_NEWLINK, body, NLM_F_CREATE | NLM_F_EXCL)

    def set_master(self, name: str, bridge: str) -> None:
        master = _attribute(IFLA_MASTER, struct.pack("=i", socket.if_nametoindex(bridge)))
        self._request(RTM_NEWLINK, _link() + _name(name) + master)

    def set_up(self, name: str) -> None:
        self._request(RTM_NEWLINK, _link(0, IFF_UP, IFF_UP) + _name(name))

    def delete(self, name: str) -> None:
        self._request(RTM_DELLINK, _link() + _name(name))

    def rename(self, index: int, name: str) -> None:
        self._request(RTM_NEWLINK, _link(index) + _name(name))

    def move(self, name: str, netns: int) -> None:
        target = _attribute(IFLA_NET_NS_FD, struct.pack("=i", netns))
        self._request(RTM_NEWLINK, _link() + _name(name) + target)

    def add_altname(self, name: str, alternative: str) -> None:
        self._altname(RTM_NEWLINKPROP, NLM_F_CREATE | NLM_F_EXCL, name, alternative)

    def delete_altname(self, name: str, alternative: str) -> None:
        self._altname(RTM_DELLINKPROP, 0, name, alternative)

    def _altname(self, kind: int, flags: int, name: str, alternative: str) -> None:
        names = _attribute(IFLA_PROP_LIST | NLA_F_NESTED, _name(alternative, IFLA_ALT_IFNAME))
        self._request(kind, _link(socket.if_nametoindex(name)) + names, flags)


# ---- traffic ----


def send_frames(name: str, count: int, size: int) -> None:
    """Sends `count` Ethernet frames of `size` bytes out of an interface that is up."""
    frame = b"\xff" * 6 + b"\x02" + bytes(5) + b"\x88\xb5" + bytes(size - 14)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as packets:
        # Past the queue, which is closed until the kernel has got round to noting the carrier.
        packets.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
        packets.bind((name, 0))
        for _ in range(count):
            packets.send(frame)


def pattern(number: int) -> tuple[int, int]:
    """Frames and their size: no two interfaces of a test have the same counters."""
    return number + 1, 100 + number


def view(name: str, number: int) -> NetworkInterface:
    """What an interface shows that has sent `pattern(number)` and received nothing."""
    count, size = pattern(number)
    return NetworkInterface(name, tx_bytes=count * size, tx_packets=count)


def add_patterned(links: Links, number: int) -> tuple[str, str]:
    """A veth pair vN, wN; vN has sent its own pattern of traffic."""
    name, peer = f"v{number}", f"w{number}"
    links.add_veth(name, peer)
    send_frames(name, *pattern(number))
    return name, peer


def add_container_veth(
    links: Links, netns: int, host: str, number: int, name: str = "eth0", index: int = 0
) -> None:
    """A pair whose other end is in a container, and `pattern(number)` of traffic towards it."""
    links.add_veth(host, name, peer_netns=netns, index=index, up=False)
    with inside(netns), Links() as there:
        there.set_up(name)
    links.set_up(host)
    send_frames(host, *pattern(number))


def seen(name: str, number: int) -> NetworkInterface:
    """What the container sees of that."""
    return view(name, number).swapped()


def values(interface: NetworkInterface) -> list[int]:
    return [getattr(interface, file) for file in FILES]


# ---- namespaces, capabilities, descriptors ----


def network_namespace() -> int:
    """A descriptor of the calling thread's network namespace."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def identity() -> tuple[int, int]:
    """What identifies a network namespace: that of the calling thread."""
    status = Path("/proc/thread-self/ns/net").stat()
    return status.st_dev, status.st_ino


@contextlib.contextmanager
def inside(netns: int) -> Iterator[None]:
    """The calling thread moved into a namespace, and back."""
    original = network_namespace()
    try:
        _fresh_namespaces.setns(netns, _fresh_namespaces.CLONE_NEWNET)
        yield
    finally:
        _fresh_namespaces.setns(original, _fresh_namespaces.CLONE_NEWNET)
        os.close(original)


def new_namespace() -> int:
    """A descriptor of a fresh network namespace; the caller stays where it is."""
    original = network_namespace()
    try:
        _fresh_namespaces.unshare(_fresh_namespaces.CLONE_NEWNET)
        return network_namespace()
    finally:
        _fresh_namespaces.setns(original, _fresh_namespaces.CLONE_NEWNET)
        os.close(original)


def end_namespace(*descriptors: int) -> None:
    """Ends namespaces that a descriptor alone holds, and waits for the kernel to report it."""
    with RtnetlinkSocket() as rtnetlink:
        alive = {rtnetlink.get_nsid(descriptor) for descriptor in descriptors}
    assert None not in alive  # otherwise nothing is reported
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as watch:
        watch.bind((0, 0))
        watch.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, RTNLGRP_NSID)
        watch.settimeout(60)
        for descriptor in descriptors:
            os.close(descriptor)
        while alive:
            data = watch.recv(4096)
            if struct.unpack_from("=H", data, 4)[0] == RTM_DELNSID:
                alive.discard(struct.unpack_from("=i", data, 24)[0])  # NETNSA_NSID comes first


def delete_namespace(name: str) -> None:
    """Deletes the name of a namespace that nothing else holds, and waits until it has ended.

    The caller's namespace must have an id for it.
    """
    with NetworkNamespace.open(name) as opened:
        descriptor = os.dup(opened.fileno())
    NetworkNamespace.delete(name)
    end_namespace(descriptor)


@contextlib.contextmanager
def process_inside(netns: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives in a namespace."""
    with inside(netns):
        process = subprocess.Popen(["sleep", "600"])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def mount(source: str, target: Path, kind: str | None, flags: int = 0) -> None:
    encoded = kind.encode() if kind is not None else None
    if _libc.mount(source.encode(), os.fsencode(target), encoded, flags, None) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), str(target))


def unmount(target: str) -> None:
    if _libc.umount2(target.encode(), 2) != 0:  # MNT_DETACH
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), target)


@contextlib.contextmanager
def without(*capabilities: int) -> Iterator[None]:
    """The calling thread without these capabilities in its effective set."""
    header = struct.pack("=Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this thread
    before = ctypes.create_string_buffer(24)
    if _libc.capget(header, before) != 0:
        raise OSError(ctypes.get_errno(), "capget")
    words = list(struct.unpack("=6I", before.raw[:24]))  # effective, permitted, inheritable; twice
    for capability in capabilities:
        words[0] &= ~(1 << capability)
    if _libc.capset(header, struct.pack("=6I", *words)) != 0:
        raise OSError(ctypes.get_errno(), "capset")
    try:
        yield
    finally:
        _libc.capset(header, before)


def die_with_parent() -> None:
    """Has the calling process, just forked, end when its parent does."""
    _libc.prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG, SIGKILL


def descriptors() -> dict[str, str]:
    """The open descriptors, each with the text of its link in /proc."""
    found = {}
    for entry in os.listdir("/proc/self/fd"):  # noqa: PTH208  # no Path objects that linger
        with contextlib.suppress(FileNotFoundError):  # the one of the listing itself
            found[entry] = os.readlink(f"/proc/self/fd/{entry}")  # noqa: PTH115
    return found


# ---- threads and programs ----


def wait_until(holds: Callable[[], object], seconds: float = 60) -> None:
    """Waits until `holds` returns something true; fails after so many seconds."""
    deadline, pause = time.monotonic() + seconds, 0.001
    while not holds():
        assert time.monotonic() < deadline, f"not true after {seconds} s"
        time.sleep(pause)
        pause = min(2 * pause, 0.01)


def sample(points: Sequence[Any], offset: int = 0, step: int = 3) -> Any:
    """Returns the points of a sweep, or the cases of a test, that are tried: every third, or all.

    A sweep injects a fault at every line, request or system call of a call. All points together
    take minutes, and neighbouring points rarely differ in their result, so `./build.sh test` tries
    a sample. `./build.sh check coverage` sets PYNETSTRAT_WHOLE_SWEEPS and tries all of them.

    Parameters:
        offset: the number of the first point that is tried. Tests of one call with different
            parameters use different offsets.
        step: the distance of the points that are tried.
    """
    return points if os.environ.get("PYNETSTRAT_WHOLE_SWEEPS") else points[offset % step :: step]


def run_threads(*functions: Callable[[], None]) -> None:
    """Runs them side by side; raises what one of them raised."""
    raised: list[BaseException] = []

    def guard(function: Callable[[], None]) -> None:
        try:
            function()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=guard, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


def start_process(function: Callable[[], Any]) -> Callable[[], Any]:
    """Runs a function in a forked child. Returns a function that waits for its result."""
    result, result_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(result)
            os.write(result_end, pickle.dumps(function()))
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(result_end)

    def wait() -> Any:
        with open(result, "rb") as file:  # noqa: PTH123  # a descriptor
            data = file.read()
        status = os.waitpid(pid, 0)[1]
        assert status == 0, f"a process ended with status {status}"
        return pickle.loads(data)

    return wait


def run_processes(*functions: Callable[[], object]) -> list[object]:
    """Runs functions at the same time, each in a forked child. Returns their results."""
    waiting, start = os.pipe()  # its end wakes all children at once

    def begin(function: Callable[[], object]) -> object:
        os.close(start)
        os.read(waiting, 1)
        return function()

    results = [start_process(partial(begin, function)) for function in functions]
    os.close(waiting)
    os.close(start)
    return [wait() for wait in results]


def loaded_modules(program: str, heavy: Iterable[str], text: str = "") -> set[str]:
    """Returns the modules that a program loads, in a process of its own.

    Parameters:
        heavy: modules that count even if the start-up files of the environment load them.
        text: what the program reads from its standard input.
    """
    code = f"""
import sys
for name in {tuple(heavy)}:
    sys.modules.pop(name, None)
before = set(sys.modules)
{program}
print(*sorted(set(sys.modules) - before))
"""
    done = python(code, env=without_coverage(), input=text)
    assert (done.returncode, done.stderr) == (0, "")
    return set(done.stdout.split())


def without_coverage() -> dict[str, str]:
    """Returns an environment in which coverage does not load modules of its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}


def python(code: str, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Runs a program of ours in a fresh interpreter that treats warnings as errors."""
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    return run(command, **options)


def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
    options.setdefault("cwd", ROOT)
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)  # type: ignore[call-overload, no-any-return]


def fork(main: Callable[[], int], **options: object) -> subprocess.Popen[str]:
    """Starts a copy of this process that calls `main` and ends with the status that it returns.

    A fresh interpreter takes 0.1 to 0.5 s of CPU time to load what this one has loaded.

    Parameters:
        options: as for subprocess.Popen.
    """

    def run() -> None:
        status = 1
        try:
            # Popen waits for the end of a pipe. Descriptors are replaced, not closed: a number that
            # is free is used again, and an object copied from this process may still close it.
            null = os.open(os.devnull, os.O_RDWR)
            for descriptor in map(int, descriptors()):
                if descriptor > 2 and descriptor != null:
                    os.dup2(null, descriptor, inheritable=False)
            gc.freeze()
            sys.stdin, sys.stdout = open(0), open(1, "w")  # noqa: SIM115
            sys.stderr = open(2, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
            try:
                status = main()
            except SystemExit as end:
                status = int(end.code or 0)
            sys.stdout.flush()
            if "coverage" in sys.modules and (
                measured := sys.modules["coverage"].Coverage.current()
            ):
                measured.save()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    with warnings.catch_warnings():
        # Python 3.12 and later warn of other threads. A worker of pytest-xdist has one that waits.
        warnings.simplefilter("ignore", DeprecationWarning)
        return subprocess.Popen(
            ["forked"], text=True, preexec_fn=run, restore_signals=False, **options
        )  # type: ignore[call-overload, no-any-return]


def run_fork(main: Callable[[], int]) -> subprocess.CompletedProcess[str]:
    """Runs a copy of this process as `fork` does, and returns its status and what it printed."""
    with fork(main, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        output, errors = process.communicate(timeout=120)
    return subprocess.CompletedProcess("forked", process.returncode, output, errors)


def fork_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a program of ours in a copy of this process, which has loaded the package."""

    def main() -> int:
        sys.argv = ["-c", *arguments]
        exec(code, {"__name__": "__main__"})
        return 0

    return run_fork(main)


# Executes its arguments as user and group 1000 of a user namespace, which is the caller outside;
# the capabilities go with that.
_AS_USER = """
import os, sys
from pathlib import Path
from pynetstrat import _syscalls
PREPARE
_syscalls.unshare(_syscalls.CLONE_NEWUSER)
_syscalls.map_ids(1000, 1000, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""

# For `prepare` below: parts of /sys are hidden, as in many containers, and it can't be mounted.
MASKED = """
_syscalls.unshare(_syscalls.CLONE_NEWNS)
_syscalls.separate_mounts(_syscalls.MS_PRIVATE)
_syscalls.mount("none", "/sys/kernel", "tmpfs", 0)
"""


def run_as_user(command: list[str], prepare: str = "") -> subprocess.CompletedProcess[str]:
    """Runs a program without capabilities, after lines of Python that still have them."""
    return fork_python(_AS_USER.replace("PREPARE", prepare), *command)


_CALL_NUMBERS = {
    "socket": {"x86_64": 41, "aarch64": 198, "riscv64": 198, "s390x": 359, "ppc64le": 326},
    "setsockopt": {"x86_64": 54, "aarch64": 208, "riscv64": 208},
    "unshare": {"x86_64": 272, "aarch64": 97, "riscv64": 97, "s390x": 303, "ppc64le": 282},
    "openat": {"x86_64": 257, "aarch64": 56, "riscv64": 56},
}

# Classic BPF: the call fails with an errno if its argument has the value; all others are allowed.
_REFUSE = """
import ctypes, errno, os, struct, sys
def instruction(code, yes, no, k):
    return struct.pack("=HBBI", code, yes, no, k)
half = 4 if sys.byteorder == "big" else 0  # the low half of an argument
test = []
for number, value in ARGUMENTS:
    test.append(instruction(0x20, 0, 0, 16 + 8 * number + half))
    test.append(instruction(0x15, 0, 1, value))  # another value: allow
program = b"".join([
    instruction(0x20, 0, 0, 0),               # load seccomp_data.nr
    instruction(0x15, 0, 1 + len(test), NUMBER),  # another call: allow
    *test,
    instruction(0x06, 0, 0, 0x00050000 | ERROR),  # SECCOMP_RET_ERRNO
    instruction(0x06, 0, 0, 0x7FFF0000),      # SECCOMP_RET_ALLOW
])
filter = ctypes.create_string_buffer(program)
fprog = struct.pack("@HP", len(program) // 8, ctypes.addressof(filter))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0       # PR_SET_NO_NEW_PRIVS
assert libc.prctl(22, 2, fprog, 0, 0) == 0   # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
"""


def refuse(call: str, error: str, argument: tuple[int, int] | None = None) -> str:
    """Returns lines of Python after which a system call fails in their process, by seccomp.

    Parameters:
        error: the errno, as a Python expression.
        argument: refuse only a call whose argument of this number has this value.
    """
    number = _CALL_NUMBERS[call][os.uname().machine]
    lines = _REFUSE.replace("NUMBER", str(number)).replace("ERROR", error)
    return lines.replace("ARGUMENTS", str([argument] if argument else []))


# For python(): from here on socket(AF_NETLINK, ...) fails with the errno in sys.argv[1].
REFUSE_NETLINK = (
    "from pynetstrat import NetlinkUnavailableError, RtnetlinkSocket, get_strategy\n"
    + refuse("socket", "int(sys.argv[1])", (0, int(socket.AF_NETLINK)))
)


_MALLOC = {"brk", "madvise", "mmap", "munmap"}


def trace(code: str, file: Path, *options: str) -> list[str]:
    """Returns the system calls of a program between two of its own, as strace prints them.

    Those by which malloc gets memory are left out.

    Parameters:
        code: the program, which calls os.access("/begin", 0) and os.access("/end", 0).
        file: what strace writes to.
        options: further options of strace.
    """
    assert shutil.which("strace"), "strace is needed: install it (Debian: apt-get install strace)"
    command = ["strace", "-f", "-o", str(file), *options]
    done = run([*command, sys.executable, "-W", "error", "-c", code])
    assert (done.returncode, done.stderr) == (0, "")
    calls = [line.split(None, 1)[1] for line in file.read_text().splitlines()]
    begin = next(i for i, call in enumerate(calls) if '"/begin"' in call)
    end = next(i for i, call in enumerate(calls) if '"/end"' in call)
    return [call for call in calls[begin + 1 : end] if call.split("(")[0] not in _MALLOC]
