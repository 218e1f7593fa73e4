"""What is allowed on this machine, and the settings that forbid the rest.

A separate process tries to create namespaces and links. All of them end with that process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from errno import EOPNOTSUPP, EPERM

from ._native import link_set_up
from ._native import netns as native
from ._syscalls import (
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWUSER,
    MS_PRIVATE,
    in_seccomp_filter,
    map_ids,
    may_mount,
    mount_sysfs,
    read_setting,
    separate_mounts,
    unshare,
)
from ._sysfs_proof import shows_own_namespace
from .errors import KernelError, NetstratError
from .namespace import NetworkNamespace
from .rtnetlink.batch import Batch
from .rtnetlink.socket import RtnetlinkSocket
from .wiring.egress import find_dropping_chains, is_possible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = ("veth", "bridge", "macvlan", "ipvlan", "vlan", "vxlan", "dummy", "ifb", "vrf", "tun")

_MODULES = {"vlan": "8021q"}  # kinds whose kernel module has another name

_SETTINGS = (
    "kernel.unprivileged_userns_clone",
    "kernel.apparmor_restrict_unprivileged_userns",
    "user.max_user_namespaces",
    "user.max_net_namespaces",
    "user.max_mnt_namespaces",
)
_SECONDS = 60.0
_UNUSED_INDEX = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one attempt of `diagnose`.

    Attributes:
        name: the subject, such as "network namespaces".
        allowed: whether it works on this machine; None for findings that only inform.
        detail: the circumstances, or the reason of a refusal.
        remedy: the setting to change, if it is not allowed.
    """

    name: str
    allowed: bool | None
    detail: str = ""
    remedy: str = ""


def diagnose() -> list[Finding]:
    """Finds out what is allowed on this machine: namespaces, capabilities, sysfs, kinds of links.

    It starts a Python process that tries each of them, and waits for it, 60 seconds at most. The
    calling process does not change, and nothing is left afterwards.

    Returns:
        A finding for each attempt.

    Raises:
        NetstratError: the process could not be started, or failed.

    Example:
        >>> [finding.name for finding in diagnose() if finding.allowed is False]
        []
    """
    if not sys.executable:
        raise NetstratError("diagnose: Python can't be started: sys.executable is empty")
    command = [sys.executable, "-I", "-c", _PROGRAM]
    try:
        done = subprocess.run(  # noqa: S603  # our own program
            command, input=json.dumps(sys.path), capture_output=True, text=True, timeout=_SECONDS
        )
        return [Finding(**finding) for finding in json.loads(done.stdout)]
    except OSError as error:
        reason = f"{sys.executable} can't be started: {error.strerror}"
        raise NetstratError(f"diagnose: {reason}") from error
    except subprocess.TimeoutExpired:
        reason = f"the process has not ended after {_SECONDS:g} seconds"
        raise NetstratError(f"diagnose: {reason}") from None
    except (ValueError, TypeError):
        last = (done.stderr.strip().splitlines() or ["without an error message"])[-1]
        reason = f"the process failed with status {done.returncode}: {last}"
        raise NetstratError(f"diagnose: {reason}") from None


_PROGRAM = """\
import json, sys
sys.path[:] = json.load(sys.stdin)
from pynetstrat import diagnosis
print(diagnosis.try_all())
"""

# ---- in the separate process ----


def try_all() -> str:
    """Tries everything, and returns the findings as JSON. It moves the process into namespaces."""
    findings = [_settings(), _seccomp()]
    findings += [_try(*trial) for trial in _HERE]
    findings.append(_sysfs())
    findings.append(_names())
    findings += _forwarding()
    findings += _in_fresh_namespaces()
    return json.dumps([asdict(finding) for finding in _advise(findings)])


def _forwarding() -> list[Finding]:
    """What decides whether containers reach beyond this host, and are reached from there."""
    on = {
        version: read_setting(name) == "1"
        for version, name in (
            ("IPv4", "net.ipv4.ip_forward"),
            ("IPv6", "net.ipv6.conf.all.forwarding"),
        )
    }
    shown = ", ".join(f"{version} {'on' if value else 'off'}" for version, value in on.items())
    remedy = "" if all(on.values()) else "needed for egress and published ports: docs/egress.md"
    found = [Finding("forwarding", None, shown, remedy)]
    try:
        chains = find_dropping_chains("BRIDGE")
    except OSError:  # without CAP_NET_ADMIN or nf_tables, which other findings say
        return found
    for chain, remedy in chains:
        detail = f"the chain {chain} drops what no rule of it accepts"
        found.append(Finding("forwarded traffic", False, detail, remedy))
    return found


_AS_ROOT = "in a network namespace of your own: pynetstrat run --root PROGRAM"


def _advise(findings: list[Finding]) -> list[Finding]:
    """Adds `pynetstrat run --root` as a remedy, if only user namespaces are allowed."""
    allowed = {finding.name for finding in findings if finding.allowed}
    if "user namespaces" not in allowed or "network namespaces" in allowed:
        return findings
    advised = []
    for finding in findings:
        remedy = finding.remedy
        if finding.name in ("CAP_NET_ADMIN", "CAP_SYS_ADMIN") and not finding.allowed:
            remedy = f"{remedy}; or {_AS_ROOT}"
        elif finding.name == "/sys" and not finding.allowed:
            remedy = f"run as root, or {_AS_ROOT}"
        elif finding.name == "network namespaces" and finding.detail.startswith("unshare"):
            remedy = f"run as root, or {_AS_ROOT}"  # the hint suggests user namespaces
        advised.append(replace(finding, remedy=remedy))
    return advised


def _try(name: str, act: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, act())
    except KernelError as error:
        cause = f"{error.operation}: {error.strerror}"
        if error.kernel_message:
            cause += f" (the kernel says: {error.kernel_message})"
        return Finding(name, False, cause, error.hint)
    except OSError as error:
        return Finding(name, False, str(error))


def _settings() -> Finding:
    found = {name: read_setting(name) for name in _SETTINGS}
    shown = ", ".join(f"{name}={value}" for name, value in found.items() if value is not None)
    return Finding("settings", None, shown)


def _seccomp() -> Finding:
    if in_seccomp_filter():
        return Finding(
            "seccomp", None, "a filter is in force, which may forbid any of the following"
        )
    return Finding("seccomp", None, "no filter is in force")


def _open_socket() -> str:
    RtnetlinkSocket().close()
    return ""


def _net_admin() -> str:
    with RtnetlinkSocket() as sock:
        try:
            # No link has this index, so nothing changes. The kernel checks the capability first.
            sock.execute(Batch().set_link(_UNUSED_INDEX, up=True))
        except KernelError as error:
            if error.errno == EPERM or error.operation != "RTM_NEWLINK":
                raise
    return "over this network namespace"


def _sys_admin() -> str:
    with NetworkNamespace.current() as own:
        # The process enters the namespace that it is in. A thread can't do so for it: the kernel
        # allows no new user namespace to a process with two threads.
        native.enter(own.fileno(), "the process's own")
    return "over this network namespace"


_HERE = (
    ("AF_NETLINK", _open_socket),
    ("CAP_NET_ADMIN", _net_admin),
    ("CAP_SYS_ADMIN", _sys_admin),
)


def _sysfs() -> Finding:
    if shows_own_namespace():
        return Finding("/sys", True, "shows this network namespace")
    detail = "is not known to show this network namespace: counters come from rtnetlink"
    remedy = "mount a sysfs: mount -t sysfs sysfs /sys, or pynetstrat run PROGRAM"
    return Finding("/sys", False, detail, remedy)


def _names() -> Finding:
    name = "named namespaces"
    folder = next(path for path in ("/run/netns", "/run", "/") if os.path.isdir(path))  # noqa: PTH112
    if not may_mount():
        detail = "no CAP_SYS_ADMIN over the mount namespace"
        remedy = "run as root, or as root of a user namespace (pynetstrat run --root PROGRAM)"
        return Finding(name, False, detail, f"{remedy} that mounts a tmpfs at /run first")
    if not os.access(folder, os.W_OK):
        remedy = "mount it writable, or a tmpfs over it: mount -t tmpfs tmpfs /run"
        return Finding(name, False, f"{folder} is not writable", remedy)
    return Finding(name, True, f"in {folder}")


def _in_fresh_namespaces() -> list[Finding]:
    """Tries new namespaces, and what is allowed in them.

    The user namespace comes last, since the process loses capabilities by entering it.
    """
    uid, gid = os.geteuid(), os.getegid()

    def enter_user() -> str:
        unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS)
        map_ids(0, 0, uid, gid)
        link_set_up()  # a security module may take the capabilities away again
        return "grants all capabilities"

    def enter() -> str:
        unshare(CLONE_NEWNET | CLONE_NEWNS)
        separate_mounts(MS_PRIVATE)
        link_set_up()
        return "without a user namespace"

    found = [_try("network namespaces", enter)]
    if found[0].allowed:
        found += _in_own_namespace()
    found.append(_try("user namespaces", enter_user))
    if found[-1].allowed and not found[0].allowed:
        found += _in_own_namespace()
    return found


def _in_own_namespace() -> list[Finding]:
    def mount() -> str:
        separate_mounts(MS_PRIVATE)
        mount_sysfs()
        return "in a fresh network namespace"

    with RtnetlinkSocket() as sock:
        kinds = [_try_kind(sock, kind) for kind in KINDS]
    return [_try("mounting sysfs", mount), *kinds, _try("nf_tables", is_possible)]


def _try_kind(sock: RtnetlinkSocket, kind: str) -> Finding:
    try:
        sock.execute(Batch().add_link("try0", kind))
        sock.execute(Batch().delete_link("try0"))
    except KernelError as error:
        if error.errno == EOPNOTSUPP and "device type" in error.kernel_message.lower():
            remedy = f"run modprobe {_MODULES.get(kind, kind)}, or use a kernel built with it"
            return Finding(f"links of kind {kind}", False, "not supported by this kernel", remedy)
        if error.errno == EPERM:
            return Finding(f"links of kind {kind}", False, str(error.strerror), error.hint)
    return Finding(f"links of kind {kind}", True)
