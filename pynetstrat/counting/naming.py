"""What a container is called: the label of its namespace, and its name in the cgroup of a process.

A label is for people to read. Nothing in this package identifies a container by it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from io import FileIO

from ..errors import escape

_CGROUP_SIZE = 65536  # bytes read of a cgroup file: room for 16 lines with paths of 4,096 bytes

# A component of a cgroup path that names a container of a runtime with ids, in this order: Docker,
# containerd, CRI-O, Podman (also below a service: UNIT.service/libpod-payload-ID) and nerdctl with
# the systemd driver (without ".scope": some cgroupfs drivers); containerd with another driver than
# kubelet's; the bare id that every cgroupfs driver may use. The search finds the outermost one.
# Podman's monitor, libpod-conmon-ID.scope, does not match.
_ID = re.compile(
    rb"/(?:docker-|cri-containerd-|crio-|libpod-(?:payload-)?|nerdctl-|[^/\n]*:cri-containerd:)?"
    rb"([0-9a-f]{64})(?:\.scope)?(?=[/\n]|$)"
)

# A component that names a container by a name, in this order: LXC and Incus, and LXC before 4.0;
# machines of systemd-machined (those of libvirt included) and of systemd-nspawn; tasks of Nomad,
# UUID.TASK. The monitor of LXC, lxc.monitor.NAME, does not match.
_NAME = re.compile(
    rb"/(?:lxc\.payload\.([^/\n]+)|lxc(?:\.payload)?/([^/\n]+)"
    rb"|machine-([^/\n]+)\.scope|systemd-nspawn@([^/\n]+)\.service"
    rb"|([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.(?!scope[/\n])[^/\n]+?)(?:\.scope)?)"
    rb"(?=[/\n]|$)"
)
_UNIT_GROUPS = 3, 4  # the groups of _NAME that are parts of a systemd unit's name
_UNIT_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")  # systemd-escape(1)

# Errors of /proc/PID that mean that the process has ended.
ENDED = (FileNotFoundError, ProcessLookupError)


@dataclass(frozen=True, slots=True)
class Container:
    """A network namespace other than the host's, and what to call it.

    Attributes:
        label: the id or name of the container, the name of the namespace, its inode, or its nsid
            (`discover` lists the order). Always printable: other characters, and bytes that are not
            UTF-8, are escaped. Two containers can have the same label.
        netns: a path that opens the namespace: /run/netns/NAME, /proc/PID/ns/net or
            /proc/PID/task/TID/ns/net. For a container in `Discovery.unseen` it is the last path
            that led to the namespace, and may lead elsewhere by now; "" if no path was ever found.
        inode: the inode of the namespace; 0 if only its nsid or its name is known.

    Example:
        >>> for container in discover().containers:
        ...     print(container.label, container.netns)
    """

    label: str
    netns: str
    inode: int


def nsid_container(nsid: int) -> Container:
    """The container for a namespace of which only the nsid is known."""
    return Container(f"nsid:{nsid}", "", 0)


def to_label(name: str) -> str:
    """Makes a name printable, and different from the labels of all other names."""
    return escape(name.replace("\\", "\\\\"))


def netns_link(inode: int) -> str:
    """The target of the symbolic link /proc/PID/ns/net for the namespace with this inode."""
    return f"net:[{inode}]"


def name_by_cgroup(process: str, link: str) -> tuple[str, str]:
    """Finds the container that a process belongs to by its cgroup (cgroups(7), /proc/PID/cgroup).

    Parameters:
        process: the process or thread, as a path below /proc.
        link: the namespace that the process should be in, as `netns_link` gives it.

    Returns:
        The id and the name of the container. Each is "" if the path of the cgroup has none; both
        are "" if the process has ended or left the namespace.
    """
    try:
        with FileIO(f"/proc/{process}/cgroup") as file:
            # The open file belongs to one process for good. If it can still be read after this, the
            # process lives, so the link was not that of another process with the same pid.
            if os.readlink(f"/proc/{process}/ns/net") != link:  # noqa: PTH115
                return "", ""
            text = file.read(_CGROUP_SIZE) or b""
    except (*ENDED, PermissionError):
        return "", ""
    found = _ID.search(text)
    if found:
        return found[1].decode(), ""
    found = _NAME.search(text)
    if not found:
        return "", ""
    name = found[found.lastindex or 0]
    if found.lastindex in _UNIT_GROUPS:
        name = _UNIT_ESCAPE.sub(lambda digits: bytes([int(digits[1], 16)]), name)
    return "", to_label(os.fsdecode(name))
