"""Shared by the tests of counting: links in containers, hooks into a reading, cgroups, names."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import support
from support import Links, inside

import pynetstrat
from pynetstrat import Container, ContainerCounters, RtnetlinkSocket, discover
from pynetstrat.counting._scan import Scanner

MS_BIND = 0x1000  # linux/mount.h
CAP_SYS_PTRACE, CAP_NET_BROADCAST = 19, 11  # linux/capability.h
ID, OTHER_ID = "0123456789abcdef" * 4, "fedcba9876543210" * 4  # of containers


# ---- links ----


def add_macvlan(name: str, parent: str, netns: int) -> None:
    with RtnetlinkSocket() as rtnetlink:
        rtnetlink.execute(
            pynetstrat.Batch().add_macvlan(name, rtnetlink.get_link(parent).index, netns=netns)
        )


def rename(netns: int, old: str, new: str) -> None:
    with inside(netns), Links() as container_links:
        container_links.rename(socket.if_nametoindex(old), new)


# ---- hooks ----


class Hooked:
    """Runs a function before each call of one method of the native half of a `ContainerCounters`.

    A context manager: the hook is in place within it.
    """

    def __init__(self, counters: ContainerCounters, method: str, hook: Callable[[], None]) -> None:
        self._counters, self._native = counters, counters._native
        self._method, self._hook = method, hook

    def __getattr__(self, name: str) -> object:
        if name == self._method:
            self._hook()
        return getattr(self._native, name)

    def __enter__(self) -> None:
        self._counters._idle = self

    def __exit__(self, *_: object) -> None:
        self._counters._idle = self._native


def act_after_scan(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Runs a function once, between the next scan of a `HostCounters` and the use of its result."""
    scan = Scanner.scan

    def scan_and_act(self: Scanner, *arguments: object, **options: object) -> object:
        result = scan(self, *arguments, **options)
        monkeypatch.setattr(Scanner, "scan", scan)
        act()
        return result

    monkeypatch.setattr(Scanner, "scan", scan_and_act)


class Entries(list):
    """The part of the result of os.scandir() that is used: an iterable context manager."""

    def __enter__(self) -> Entries:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class ProcessEntry:
    """An entry of /proc, with an inode for as long as its process exists.

    A kernel that is short of memory may forget the inode of a process, and give it another one.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._path = Path("/proc", name)
        self._inode = self._path.stat().st_ino if self._path.exists() else 0

    def inode(self) -> int:
        return self._inode if self._path.exists() else 0


# ---- containers, names, cgroups ----


def inode(netns: int) -> int:
    return os.fstat(netns).st_ino


def discovered(netns: int, **options: int) -> list[Container]:
    """The containers that `discover` finds for a namespace."""
    return [c for c in discover(**options).containers if c.inode == inode(netns)]


def label(netns: int) -> str:
    (container,) = discovered(netns)
    return container.label


def name_path(name: str) -> str:
    return f"/run/netns/{name}"


def give_name(name: str, netns: int) -> None:
    path = Path(name_path(name))
    path.touch()
    support.mount(f"/proc/self/fd/{netns}", path, None, MS_BIND)


@contextlib.contextmanager
def in_cgroup(pid: int | str, lines: str, folder: Path) -> Iterator[None]:
    """Replaces the lines that /proc/PID/cgroup shows for a process."""
    replacement = folder / f"cgroup-{time.monotonic_ns()}"
    replacement.write_text(lines)
    target = f"/proc/{pid}/cgroup"
    support.mount(str(replacement), Path(target), None, MS_BIND)
    try:
        yield
    finally:
        if Path(f"/proc/{pid}").exists():  # otherwise the mount ended with the process
            support.unmount(target)


# A program whose namespace only a caller with CAP_SYS_PTRACE can inspect.
SECRETIVE = """
import ctypes, sys, time
assert ctypes.CDLL(None).prctl(4, 0, 0, 0, 0) == 0  # PR_SET_DUMPABLE
print("ready", flush=True)
time.sleep(600)
"""
