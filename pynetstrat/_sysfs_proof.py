"""Whether /sys shows the calling thread's network namespace.

A sysfs shows the network namespace in which it was mounted. After `unshare(CLONE_NEWNET)` or
`setns` without a new mount, /sys still shows the old namespace, where an interface of the same name
is another interface. So /sys is read only where it is proven to show the calling thread's
namespace.

The proof is a second mount of sysfs, made by the thread. The kernel has one sysfs for each network
namespace, however often it is mounted (`kernfs_test_super`, fs/kernfs/mount.c), so the two mounts
have the same device number exactly if they show the same namespace. Equal links prove
nothing: two containers with the same links can exist on one host.

Where the caller may not mount, /sys can only be compared with rtnetlink. `find_agreeing` does so.
Its result is weaker than a proof, and is used only for what rtnetlink can't do: files held open,
and counters other than the eight.

A verdict is kept for each `SysfsIdentity`: the thread's namespace, the file system and the mount.
"""

from __future__ import annotations

import contextlib
import os
from errno import EMFILE, ENFILE, ENOMEM

from ._native import sysfs as native
from ._native.socket import Socket
from .errors import InterfaceNotFoundError, KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeVar

    Result = TypeVar("Result")

ROOT = b"/sys/class/net"
TIMEOUT_MS = 5000

# Errors of a mount that say nothing about the right to mount.
SHORTAGE = frozenset({EMFILE, ENFILE, ENOMEM})

# By SysfsIdentity.key: the identity if /sys shows the thread's namespace, otherwise None. Only
# verdicts that a mount has proven are kept here. A mount shows one namespace for good.
_verdicts: dict[bytes, native.SysfsIdentity | None] = {}
_newest: native.SysfsIdentity | None = None  # the last identity for which the verdict was yes

# Keys without a proof, whose links have once agreed with those of rtnetlink.
_agreeing: set[bytes] = set()

_MOST = 1024  # entries: with more namespaces than that the caches start over


def read_if_proven(read: Callable[..., Result | None], *arguments: object) -> Result | None:
    """Reads from /sys, if it shows the calling thread's namespace.

    Parameters:
        read: called with the root, the arguments and the identity of /sys. It returns None if the
            thread or /sys is another by then.

    Returns:
        What `read` returns, or None if /sys is not proven to show the namespace.
    """
    # The newest identity almost always fits: looking it up first would cost a third more.
    if (identity := _newest) is not None:
        found = read(ROOT, *arguments, identity)
        if found is not None:
            return found
    return None if (identity := find_proven()) is None else read(ROOT, *arguments, identity)


def find_proven(*, anew: bool = False) -> native.SysfsIdentity | None:
    """The identity of /sys, if it is proven to show the calling thread's namespace.

    Parameters:
        anew: repeat the proof if an earlier verdict was no.
    """
    global _newest
    try:
        identity = native.SysfsIdentity(ROOT)
    except KernelError:  # /proc or /sys is not mounted
        return None
    if _verdicts.get(identity.key) is None:
        if identity.key in _verdicts and not anew:
            return None
        matches = _matches_netns(identity)
        if matches is None:
            return None
        if len(_verdicts) >= _MOST:
            _verdicts.clear()
        _verdicts[identity.key] = identity if matches else None
    if (found := _verdicts.get(identity.key)) is not None:
        _newest = found
    return found


def shows_own_namespace() -> bool:
    """Whether /sys is proven to show the calling thread's namespace, or agrees with rtnetlink."""
    return (find_proven(anew=True) or find_agreeing()) is not None


def _matches_netns(identity: native.SysfsIdentity) -> bool | None:
    """Whether /sys shows the calling thread's namespace. None if the thread may not mount.

    Raises:
        KernelError: memory or descriptors are missing.
    """
    try:
        mount = native.Mount()
    except KernelError as error:
        if error.errno in SHORTAGE:
            raise
        return None
    try:
        return native.SysfsIdentity(mount.ROOT, mount.fd).device() == identity.device()
    finally:
        mount.close()


# ---- without the right to mount ----


def find_agreeing() -> native.SysfsIdentity | None:
    """The identity of /sys, if it is proven or if its links agree with those of rtnetlink."""
    try:
        identity = native.SysfsIdentity(ROOT)
        verdict = _verdicts.get(identity.key, False)  # another thread may clear it at any time
        if not isinstance(verdict, bool):
            return verdict
        if identity.key not in _agreeing:
            if not _links_agree(identity):
                return None
            if len(_agreeing) >= _MOST:
                _agreeing.clear()
            _agreeing.add(identity.key)
    except KernelError:  # /proc or /sys is not mounted, or rtnetlink is refused
        return None
    return identity


def agrees_with(before: list[int], found: list[int], after: list[int]) -> bool:
    """Whether counters may have been read between two other readings of the same interface."""
    return all(low <= value <= high for low, value, high in zip(before, found, after, strict=True))


def _links_agree(identity: native.SysfsIdentity) -> bool:
    """Whether /sys and rtnetlink have the same links: names, indexes, MACs, peers and counters.

    At least one link must have a MAC address and have carried traffic. Every namespace has lo at
    index 1, and containers that were started alike differ in nothing until their first packets.
    """
    sock = Socket(None, TIMEOUT_MS)
    try:
        for _ in range(3):  # a link that is added or deleted during a comparison is a difference
            links, before = sock.dump_identities(), _counters_of_rtnetlink(sock)
            same = _links_of_sysfs() == links
            found = _counters_of_sysfs(identity, links) if same else {}
            after = _counters_of_rtnetlink(sock) if same else {}
            if same and before.keys() == found.keys() == after.keys() == links.keys():
                return all(
                    agrees_with(before[name], found[name], after[name]) for name in links
                ) and any(
                    mac.strip("0:") and any(found[name]) for name, (_, mac, _) in links.items()
                )
    finally:
        sock.close()
    return False


def _counters_of_rtnetlink(sock: Socket) -> dict[str, list[int]]:
    names, rows = sock.dump_stats_by_name()
    values = rows.values()
    return {name: values[8 * row : 8 * row + 8] for row, name in enumerate(names)}


def _counters_of_sysfs(
    identity: native.SysfsIdentity, names: Iterable[str]
) -> dict[str, list[int]]:
    found = {}
    for name in names:
        with contextlib.suppress(InterfaceNotFoundError):
            if (values := native.read(ROOT, name, identity)) is not None:
                found[name] = values
    return found


def _links_of_sysfs() -> dict[str, tuple[int, str, int]]:
    """The index, the hardware address and the `iflink` of each link, by name."""
    found = {}
    root = os.fsdecode(ROOT)
    for name in os.listdir(root):  # noqa: PTH208  # names, and thousands of them
        # The directory has files, too (bonding_masters), and a link may be deleted by now.
        with contextlib.suppress(OSError, ValueError):
            index = int(_read_file(f"{root}/{name}/ifindex"))
            found[name] = (
                index,
                _read_file(f"{root}/{name}/address").decode().strip(),
                # 0: a veth without its peer. dump_identities() has its index there.
                int(_read_file(f"{root}/{name}/iflink")) or index,
            )
    return found


def _read_file(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  # unbuffered
        return file.read(4096)
