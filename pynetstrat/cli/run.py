"""`pynetstrat run`: run a program in a fresh network namespace, or in an existing one."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
from errno import EACCES, EINVAL, ENOENT, ENOTDIR, EPERM
from fcntl import ioctl
from pathlib import Path

from .. import NetworkNamespace, link_set_up
from .._etc_netns import bind_etc, etc_files
from .._native import netns as native
from .._private_sys import mount_private_sys
from .._syscalls import (
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWUSER,
    MS_SLAVE,
    map_ids,
    separate_mounts,
    setns,
    unshare,
)
from ..errors import KernelError, PermissionDeniedError
from ._exit import EndError
from ._options import add_namespace, namespace
from ._output import warn

_HELP = """\
examples:
  pynetstrat run -- make test                   no network but lo
  pynetstrat run --root -- ip link              ... as root
  pynetstrat run --netns blue -- ip address     in /run/netns/blue

Without --netns and --pid the network namespace is a fresh one, in which lo is
up. The program replaces this process, so signals reach it directly. It gets
its own /sys that shows the network namespace; mounts such as /sys/fs/cgroup
stay visible in it. If /sys cannot be mounted, a warning says so and the
program sees the caller's. With --netns NAME the files in /etc/netns/NAME
replace those in /etc, as with "ip netns exec". Descriptors above 2 are closed.

The program of an ordinary user keeps its user and group, and has no
capabilities. With --root it is user 0 of a user namespace, and can change
links, addresses and routes in a fresh network namespace.

If the caller is root, no user namespace is made where the kernel allows that,
and the program keeps the caller's capabilities. Inside a container this needs
CAP_SYS_ADMIN and CAP_NET_ADMIN (Docker: --cap-add SYS_ADMIN --cap-add
NET_ADMIN); otherwise a user namespace is made.

This is not a sandbox: files, and sockets that have a path, stay reachable.

exit status: that of the program; 127 if it is not found, 126 if it cannot be
executed, 1 for another failure, 2 for wrong usage"""


class _Command(argparse.Action):
    """Takes the rest of the arguments, without a "--" before them."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        options: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        assert isinstance(values, list)
        command = values[1:] if values[:1] == ["--"] else values
        if not command:
            parser.error("a program is required")
        setattr(options, self.dest, command)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.usage = (
        "pynetstrat run [-h] [--netns NAME|PATH | --pid PID] [--root]\n"
        "                      [--] PROGRAM [ARG ...]"
    )
    parser.epilog = _HELP
    add_namespace(parser)
    parser.add_argument(
        "--root",
        action="store_true",
        help="run as user 0; for an ordinary user that is user 0 of a user namespace, with all "
        "capabilities in it",
    )
    parser.add_argument(
        "words",
        nargs=argparse.REMAINDER,
        action=_Command,
        metavar="PROGRAM [ARG ...]",
        help="the program and its arguments",
    )


def run(options: argparse.Namespace) -> str:
    """Replaces the process by the program, and does not return.

    Raises:
        KernelError: namespaces are refused; the text names the setting to change.
        EndError: the program cannot be executed.
    """
    where = namespace(options)
    name = ""
    if where is None:
        _enter_fresh(root=options.root)
        link_set_up()
    else:
        name = _enter(where)
    is_apart = _mount_sysfs(is_fresh=where is None)
    _bind_etc(name, is_apart=is_apart)
    if where is not None and options.root:
        _become_root()
    _execute(options.words)
    return ""


# ---- namespaces ----


def _enter_fresh(*, root: bool) -> None:
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        try:
            unshare(CLONE_NEWNET | CLONE_NEWNS)
            return
        except KernelError as error:
            if error.errno != EPERM:
                raise
    unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS)
    map_ids(0 if root else uid, 0 if root else gid, uid, gid)


def _enter(where: str) -> str:
    """Enters a namespace and returns its name in /run/netns, or ""."""
    with NetworkNamespace.open(where) as netns:
        try:
            native.enter(netns.fileno(), where)
        except PermissionDeniedError:
            if not _join_owner(netns.fileno()):
                raise
            native.enter(netns.fileno(), where)
        return netns.name


def _join_owner(netns: int) -> bool:
    """Joins the user namespace that owns the network namespace; returns whether that worked."""
    try:
        owner = ioctl(netns, native.NS_GET_USERNS)
    except OSError:  # EPERM: the user namespace is not a descendant
        return False
    try:
        setns(owner, CLONE_NEWUSER)
    except KernelError:  # EINVAL: the process is in it already
        return False
    finally:
        os.close(owner)
    return True


def _become_root() -> None:
    if (os.getuid(), os.geteuid()) == (0, 0):
        return
    try:
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    except OSError as error:
        hint = "--root: the caller is not allowed to become user 0 of this user namespace"
        if error.errno == EINVAL:
            hint = "--root: this user namespace has no user 0"
        raise KernelError(error.errno or 0, "setresuid", hint=hint) from None


# ---- /sys ----


def _mount_sysfs(*, is_fresh: bool) -> bool:
    """Mounts a new /sys; returns whether the process has its own mount namespace."""
    is_apart = False
    try:
        if is_fresh:
            separate_mounts(MS_SLAVE)
        else:
            native.separate_mounts()
        is_apart = True
        mount_private_sys()
    except KernelError as error:
        warn(f"/sys shows the caller's network namespace: {error}")
    return is_apart


# ---- /etc ----


def _bind_etc(name: str, *, is_apart: bool) -> None:
    """Mounts the files in /etc/netns/NAME over those in /etc, as `ip netns exec` does.

    Parameters:
        name: the namespace's name in /run/netns, or "".
        is_apart: whether the process has its own mount namespace. Otherwise nothing is mounted,
            because it would hide the host's files.
    """
    try:
        entries = etc_files(name)
        if entries and not is_apart:
            warn(f"the files in /etc/netns/{name} are not visible to the program")
        failed = bind_etc(name, entries) if is_apart else []
    except KernelError as error:
        failed = [error]
    for failure in failed:
        warn(str(failure))


# ---- the program ----


def _execute(command: list[str]) -> None:
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # ignored by Python
        signal.signal(number, signal.SIG_DFL)
    _close_others_on_exec()
    if not command[0]:  # execvpe() would raise ValueError
        raise EndError(f'"": {os.strerror(ENOENT)}', 127)
    try:
        os.execvpe(command[0], command, _environment())  # noqa: S606  # the purpose of this command
    except OSError as error:
        code = error.errno or 0
        if code == EACCES and not _is_there(command[0]):
            code = ENOENT
        status = 127 if code in (ENOENT, ENOTDIR) else 126
        raise EndError(f"{command[0]}: {os.strerror(code)}", status) from None


def _is_there(program: str) -> bool:
    """Returns whether a refused program exists.

    An unreadable folder in PATH also makes execvpe() fail with EACCES.
    """
    folders = os.get_exec_path()
    return "/" in program or any(os.path.isfile(f"{folder}/{program}") for folder in folders)  # noqa: PTH113


def _close_others_on_exec() -> None:
    try:
        numbers = [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208
    except OSError:
        numbers = list(range(os.sysconf("SC_OPEN_MAX")))
    for number in numbers:
        if number > 2:
            with contextlib.suppress(OSError):  # closed, such as the descriptor of the listing
                os.set_inheritable(number, False)


def _environment() -> dict[str, str]:
    """Returns the caller's environment, without the LC_CTYPE that Python adds (PEP 538)."""
    environment = dict(os.environ)
    environment.pop("", None)  # "=C:=C:/", for example, which Python cannot pass on
    with contextlib.suppress(OSError):
        given = Path("/proc/self/environ").read_bytes()
        if not any(item.startswith(b"LC_CTYPE=") for item in given.split(b"\0")):
            environment.pop("LC_CTYPE", None)
    return environment
