"""`discover`: finds the containers of this host."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

from .._native.containers import Pairs
from ..rtnetlink.links import owner_in_alias
from ._scan import Scanner
from .naming import Container, nsid_container, to_container

_TIMEOUT_MS = 5000  # of the dump of veth pairs


@dataclass(frozen=True, slots=True)
class Discovery:
    """What one pass over the host has found.

    Attributes:
        containers: each namespace once, those in `unseen` included.
        hidden: how many processes the caller is not allowed to inspect. Processes that
            /proc does not list at all (hidepid=2, proc(5)) are not counted.
        omitted: how many namespaces were left out because of `limit`.
        unseen: the namespaces that nothing in /proc or /run/netns shows. A veth pair of the host
            leads to them, or they were counted before and have not ended. A descriptor or a mount
            outside of /run/netns keeps them alive, or their processes are hidden.
    """

    containers: tuple[Container, ...]
    hidden: int
    omitted: int
    unseen: tuple[Container, ...] = ()


def discover(*, limit: int = 10_000) -> Discovery:
    """Finds the network namespaces of this host, except the calling thread's.

    A namespace is found by its name in /run/netns, by a process in it, or by a veth pair of the
    host that leads to it. Its label is the first of:

    1. the id of a container of Docker, containerd, CRI-O or Podman, by the cgroup of a process in
       the namespace. Of several ids in the path of a cgroup the outermost is used: a container
       can create the others itself;
    2. the owner in the alias of the host end of a veth pair (`Network.owner`);
    3. its name in /run/netns, the first in alphabetical order;
    4. the name of a container of LXC, Incus, systemd-machined or Nomad, by the cgroup of a process;
    5. its inode;
    6. "nsid:N", if only a veth pair leads to it. N is the id by which the host namespace knows it.

    The four processes with the lowest pids are searched, lowest first. In a pod the first one is
    usually that of the sandbox. If the main thread of a process has ended, its other threads are
    searched.

    A label is for people to read. Namespaces can share one, and a user who may create cgroups
    outside of containers can choose one. An inode belongs to one namespace for as long as that
    exists.

    Parameters:
        limit: how many namespaces to find: first by name, then by process, then by veth pair.

    Returns:
        The containers found. Names that the caller is not allowed to inspect are among them, with
        inode 0.

    Raises:
        ValueError: `limit` is negative.
        PermissionDeniedError: the caller is not allowed to list /run/netns.
        KernelError: /proc does not show the caller, or something cannot be read.

    Example:
        >>> for container in discover().containers:
        ...     print(container.label, container.netns)
    """
    check_limit(limit)
    with contextlib.closing(Pairs(None, _TIMEOUT_MS)) as pairs:
        # Before the scan, so that a namespace that is created during the scan is not unseen.
        owners = _find_owners(pairs)
        scan = Scanner(None, limit).scan({})
        if scan.names_error is not None:
            raise scan.names_error
        containers = [*(one.container for one in scan.found.values()), *scan.refused]
        omitted = scan.omitted
        unseen: list[Container] = []
        nsids = set(owners)
        if owners and (any(owners.values()) or not omitted):
            owned = {}
            for path, file, nsid in pairs.find_nsids(one.netns for one in containers):
                nsids.discard(nsid)
                if owners.get(nsid):
                    owned[path] = os.fstat(file).st_ino, owners[nsid]
            if owned:
                nothing = 0, ""
                containers = [_with_owner(c, *owned.get(c.netns, nothing)) for c in containers]
        if not omitted:
            if nsids:
                nsids &= _find_owners(pairs).keys()  # removes those that ended during the scan
            taken, omitted = split_at_limit(sorted(nsids), limit - len(containers))
            used: set[str] = set()
            for nsid in taken:
                owner = owners[nsid]
                unseen.append(nsid_container(nsid, owner, is_shared=owner in used))
                used.add(owner)
    return Discovery((*containers, *unseen), scan.hidden, omitted, tuple(unseen))


def _find_owners(pairs: Pairs) -> dict[int, str]:
    """The nsids of the namespaces that the host's veth pairs lead to, and the owner of each."""
    owners: dict[int, str] = {}
    for nsid, _, alias in pairs.dump_veth_peers():
        owners[nsid] = owners.get(nsid) or owner_in_alias(alias) or ""
    return owners


def _with_owner(container: Container, inode: int, owner: str) -> Container:
    """Adds the owner of the namespace with this inode, to which the container's path leads by now.

    It may lead to another namespace than before.
    """
    if not owner or inode != container.inode:
        return container
    return to_container(
        container.netns, container.inode, ids=container.ids, owner=owner, name=container.name
    )


def split_at_limit(nsids: list[int], room: int) -> tuple[list[int], int]:
    """Returns the nsids that are within the limit, and how many are beyond.

    Parameters:
        room: how many are within. Negative if the containers alone exceed the limit: names that
            cannot be inspected are not subject to it.
    """
    taken = nsids[: max(room, 0)]
    return taken, len(nsids) - len(taken)


def check_limit(limit: int) -> int:
    """Returns `limit`; raises TypeError if it is no integer, and ValueError if it is negative."""
    if isinstance(limit, bool) or not hasattr(limit, "__index__"):
        raise TypeError(f"limit must be an integer >= 0, not {limit!r}")
    if limit < 0:
        raise ValueError(f"limit must be >= 0, not {limit!r}")
    return limit
