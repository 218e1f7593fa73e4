"""`Container` and its label, which may come from the cgroup of a process.

A label is for people to read. Nothing in this package identifies a container by it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from functools import lru_cache

from ..errors import escape

_CGROUP_SIZE = 65536  # bytes read of a cgroup file: room for 16 lines with paths of 4,096 bytes

# A component of a cgroup path that contains the id of a container. The first one is the outermost.
# Podman's monitor, libpod-conmon-ID.scope, does not match.
_ID = re.compile(
    rb"""
    /(?:
        docker-
        | cri-containerd-           # containerd below kubelet, if both have the systemd driver
        | [^/\n]*:cri-containerd:   # the same, if only kubelet has it
        | crio-                     # CRI-O
        | libpod-(?:payload-)?      # Podman; with "payload-" below a service
        | nerdctl-
    )?                              # nothing: a cgroupfs driver
    ([0-9a-f]{64})
    (?:\.scope)?                    # from the systemd driver
    (?=[/\n]|$)
    """,
    re.VERBOSE,
)

# A component of a cgroup path that contains the name of a container. The monitor of LXC,
# lxc.monitor.NAME, does not match.
_NAME = re.compile(
    rb"""
    /(?:
        lxc\.payload\.([^/\n]+)                 # LXC and Incus
        | lxc(?:\.payload)?/([^/\n]+)           # LXC before 4.0
        | machine-([^/\n]+)\.scope              # systemd-machined, which libvirt uses
        | systemd-nspawn@([^/\n]+)\.service
        | ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.(?!scope[/\n])[^/\n]+?)
          (?:\.scope)?                          # Nomad: UUID.TASK
    )
    (?=[/\n]|$)
    """,
    re.VERBOSE,
)
_UNIT_GROUPS = 3, 4  # the groups of _NAME that are parts of a systemd unit's name
_UNIT_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")  # systemd-escape(1)

_NSID = "nsid:"  # begins the label of a namespace of which only the nsid is known

# Errors of /proc/PID that mean that the process has ended.
ENDED = (FileNotFoundError, ProcessLookupError)


@dataclass(frozen=True, slots=True)
class Container:
    """A network namespace other than the host's, and what to call it.

    Two objects are equal if `label`, `netns` and `inode` are.

    Attributes:
        label: the first of these that is known: the outermost of `ids`, `owner`, `name`, the inode,
            the nsid. Always printable: other characters, and bytes that are not UTF-8, are escaped,
            and backslashes are doubled. Two containers can have the same label.
        netns: a path that opens the namespace: /run/netns/NAME, /proc/PID/ns/net or
            /proc/PID/task/TID/ns/net. For a container in `Discovery.unseen` it is the last path
            that led to the namespace, and may lead to another one by now; "" if no path was ever
            found.
        inode: the inode of the namespace; 0 if only its nsid or its name is known.
        ids: the ids of Docker, containerd, CRI-O or Podman in the path of a cgroup, outermost
            first. A container can create the ones after the first itself.
        owner: the owner of the container's networks (`Network.owner`), from the alias of the host
            end of a veth pair; "" without one.
        name: the name in /run/netns, or else the name of a container of LXC, Incus,
            systemd-machined or Nomad; "" without one. Like `owner` it may contain any character.

    Example:
        >>> for container in discover().containers:
        ...     print(container.label, container.netns)
    """

    label: str
    netns: str
    inode: int
    ids: tuple[str, ...] = field(default=(), compare=False)
    owner: str = field(default="", compare=False)
    name: str = field(default="", compare=False)


def to_container(
    netns: str, inode: int, *, ids: tuple[str, ...] = (), owner: str = "", name: str = ""
) -> Container:
    """Chooses the label of a container."""
    text = ids[0] if ids else owner or name
    return Container(to_label(text) if text else str(inode), netns, inode, ids, owner, name)


def nsid_container(nsid: int, owner: str, *, is_shared: bool = False) -> Container:
    """The container for a namespace of which only the nsid is known.

    Parameters:
        is_shared: whether another one of them has the same owner. Then the label is the nsid.
    """
    is_labelled = owner and not is_shared and not owner.startswith(_NSID)
    return Container(to_label(owner) if is_labelled else f"{_NSID}{nsid}", "", 0, owner=owner)


def is_same(one: Container, other: Container) -> bool:
    """Whether all attributes of two containers are equal."""
    return one == other and (one.ids, one.owner, one.name) == (other.ids, other.owner, other.name)


def to_label(name: str) -> str:
    """Makes a name printable, and different from the labels of all other names."""
    return escape(name.replace("\\", "\\\\"))


def netns_target(inode: int) -> str:
    """The target of the symbolic link /proc/PID/ns/net for the namespace with this inode."""
    return f"net:[{inode}]"


def name_by_cgroup(process: str, target: str) -> tuple[tuple[str, ...], str]:
    """Finds the container that a process belongs to by its cgroup (cgroups(7), /proc/PID/cgroup).

    Parameters:
        process: the process or thread, as a path below /proc.
        target: the namespace that the process should be in, as `netns_target` returns it.

    Returns:
        The ids, outermost first, and the name of the container. The name is "" if there are ids.
        Both are empty if the path of the cgroup has none, and if the process has ended or left the
        namespace.
    """
    try:
        # Without an object for the file, which takes a third of the time.
        file = os.open(f"/proc/{process}/cgroup", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if not any(_parse_cgroup(os.read(file, _CGROUP_SIZE))):
                return (), ""  # whatever namespace it is in
            # An open file of /proc always belongs to the process that it was opened for. If it can
            # be read after this readlink, that process is alive, so its pid was not reused.
            if os.readlink(f"/proc/{process}/ns/net") != target:  # noqa: PTH115
                return (), ""
            text = os.pread(file, _CGROUP_SIZE, 0)
        finally:
            os.close(file)
    except (*ENDED, PermissionError):
        return (), ""
    return _parse_cgroup(text)


@lru_cache(maxsize=256)  # processes outside of containers share a few texts
def _parse_cgroup(text: bytes) -> tuple[tuple[str, ...], str]:
    """Finds the ids, and the name, in the text of a cgroup file."""
    found = _ID.search(text)
    if found:  # each line is the path in one hierarchy: the first with an id is enough
        path = text[found.start() :].partition(b"\n")[0]
        return tuple(dict.fromkeys(number.decode() for number in _ID.findall(path))), ""
    found = _NAME.search(text)
    if not found:
        return (), ""
    name = found[found.lastindex or 0]
    if found.lastindex in _UNIT_GROUPS:
        name = _UNIT_ESCAPE.sub(lambda digits: bytes([int(digits[1], 16)]), name)
    return (), os.fsdecode(name)
