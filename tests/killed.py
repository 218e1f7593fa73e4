"""Runs a call in a child process and kills it before or after one of its system calls (ptrace)."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from helpers_network import add_bridge, names, quieten
from support import wait_until

from pynetstrat import (
    Batch,
    Network,
    NetworkNamespace,
    RtnetlinkSocket,
    check_networks,
    set_up_networks,
    tear_down_networks,
)
from pynetstrat._native.nft import SETS, NftSocket
from pynetstrat.cli import main

# sys/ptrace.h, linux/ptrace.h
TRACEME, SYSCALL, SETOPTIONS, GET_SYSCALL_INFO = 0, 24, 0x4200, 0x420E
O_TRACESYSGOOD, O_EXITKILL = 1, 1 << 20
ENTRY = 1

# The numbers, by machine, of the system calls that change something: sendto, sendmsg, write,
# rename, renameat, renameat2, mkdir, mkdirat, unlink, unlinkat.
CHANGES = {
    "x86_64": {44, 46, 1, 82, 264, 316, 83, 258, 87, 263},
    "aarch64": {206, 211, 64, 38, 276, 34, 35},
}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def _ptrace(request: int, pid: int, address: int = 0, data: object = None) -> None:
    if _libc.ptrace(request, pid, address, data) < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"ptrace: {os.strerror(error)}")


def killed_at(work: Callable[[], object], stop: int, calls: set[int] | None) -> bool:
    """Runs `work` in a forked child, and returns whether the child was killed before it ended.

    Parameters:
        stop: where to kill the child: before system call stop // 2 if `stop` is even, otherwise
            after it.
        calls: the numbers of the system calls that count, or None for all.
    """
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            _ptrace(TRACEME, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSTOPPED(status), "ptrace is not allowed here"
    _ptrace(SETOPTIONS, pid, 0, O_TRACESYSGOOD | O_EXITKILL)
    count, counts, deliver = -1, False, 0
    info = ctypes.create_string_buffer(88)
    while True:
        _ptrace(SYSCALL, pid, 0, deliver)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSTOPPED(status):
            assert os.waitstatus_to_exitcode(status) == 0
            return False
        deliver = os.WSTOPSIG(status)
        if deliver != signal.SIGTRAP | 0x80:
            continue
        deliver = 0
        _ptrace(GET_SYSCALL_INFO, pid, len(info), ctypes.addressof(info))
        if info.raw[0] == ENTRY:
            number = int.from_bytes(info.raw[24:32], "little" if _little else "big")
            counts = calls is None or number in calls
        if counts:
            count += 1
        if counts and count == stop:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return True


_little = int.from_bytes(b"\1\0", "little") == ctypes.c_uint16.from_buffer_copy(b"\1\0").value


# ---- what is killed ----

_BRIDGED = {
    "type": "veth",
    "name": "eth0",
    "bridge": "br0",
    "address": "10.0.0.2/24",
    "gateway": "10.0.0.1",
    "ipv6_address": "fd00::2/64",
    "owner": "c1",
}
NETWORKS = {
    "bridged": [
        {"type": "loopback"},
        {
            **_BRIDGED,
            "addresses": ["10.0.0.3/24", "fd00::3/64"],
            "isolated": True,
            "sysctls": {"net.ipv4.conf.IFNAME.arp_notify": "1"},
        },
    ],
    "point to point": [{**_BRIDGED, "bridge": "", "ipv6_gateway": "fd00::1"}],
    "rates": [{**_BRIDGED, "rate_in": 8_000_000, "rate_out": 8_000_000}],
    "published ports": [{**_BRIDGED, "publish": ["8080:80/tcp", "192.0.2.1:53:53/udp"]}],
    "macvlan": [
        {
            "type": "macvlan",
            "name": "eth0",
            "host_interface_name": "dev0",
            "address": "10.1.0.2/24",
            "ipv6_address": "fd00::2/64",
            "sysctls": {"net.ipv4.conf.IFNAME.arp_notify": "1"},
            "owner": "c1",
        }
    ],
    "device": [
        {
            "type": "host-device",
            "name": "net0",
            "host_interface_name": "dev0",
            "address": "10.1.0.2/24",
            "owner": "c1",
        }
    ],
}


class Stage:
    """A host (the calling thread's namespace), a container, and a file of networks."""

    def __init__(self, what: str, folder: Path) -> None:
        quieten()
        for family in ("ipv4", "ipv6"):
            Path(f"/proc/sys/net/{family}/conf/all/forwarding").write_text("1")
        add_bridge(mac="02:00:00:00:00:77")
        with RtnetlinkSocket() as host:
            host.execute(Batch().add_veth("dev0", "far0").set_link("dev0", up=True))
        self.container = NetworkNamespace.create()
        quieten(self.container)
        self.networks = [Network.from_dict(fields) for fields in NETWORKS[what]]
        self.file = folder / "networks.json"
        self.file.write_text(json.dumps(NETWORKS[what]))
        # The kernel adds some routes of a bridge with its first port.
        self.command("set-up")
        self.command("tear-down")
        self.before = self._look()

    def _look(self) -> object:
        with contextlib.closing(NftSocket(None, 5000)) as nft:
            elements = [nft.elements(each) for each in SETS]
        with RtnetlinkSocket() as host:
            links = host.dump_links()
            routes = sorted(map(repr, host.dump_routes()))
            return links.keys(), links["dev0"].up, host.dump_addresses(), routes, elements

    def expect_nothing_left(self) -> None:
        """Asserts that the host is as before, and that the container has only `lo`.

        It waits for the kernel's workers.
        """
        wait_until(lambda: self._look() == self.before)
        assert names(self.container) == {"lo"}

    def command(self, action: str) -> None:
        """Runs `pynetstrat network ACTION` in this process."""
        netns = f"/proc/{os.getpid()}/fd/{self.container.fileno()}"
        with Path(os.devnull).open("w") as null, contextlib.redirect_stdout(null):
            assert main(["network", action, str(self.file), "--netns", netns]) == 0

    def close(self) -> None:
        self.container.close()


def sweep(
    stage: Stage, action: str, calls: set[int] | None, stops: range = range(100_000)
) -> Iterator[int]:
    """Kills a command at each of the stops. A tear-down and a set-up must succeed after each kill.

    Yields the number of each stop.
    """
    for stop in stops:
        made = []
        if action == "tear-down":
            made = set_up_networks(stage.networks, netns=stage.container)
        struck = killed_at(lambda: stage.command(action), stop, calls)
        if struck or action == "set-up":
            tear_down_networks(stage.networks, netns=stage.container)
        stage.expect_nothing_left()
        made = set_up_networks(stage.networks, netns=stage.container)
        found = check_networks(made, netns=stage.container)
        assert found == [], f"{action} killed at stop {stop}"
        tear_down_networks(made, netns=stage.container)
        stage.expect_nothing_left()
        if not struck:
            return
        yield stop
