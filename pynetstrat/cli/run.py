"""`pynetstrat run`: a command in a network namespace of its own, or in that of others."""

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
from .._syscalls import (
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWUSER,
    MS_BIND,
    MS_REC,
    MS_SLAVE,
    map_ids,
    mount,
    mount_sysfs,
    separate_mounts,
    setns,
    unshare,
)
from ..errors import KernelError, PermissionDeniedError
from .exit import EndError, warn
from .options import add_namespace, namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_NS_GET_USERNS = 0xB701  # linux/nsfs.h

_HELP = """\
Without --netns and --pid the network namespace is a fresh one, in which lo is up.
The command is executed in place: signals and the exit status are the command's
(127: there is no such command; 126: it can't be executed). It has a /sys of its
own, in which mounts such as /sys/fs/cgroup stay visible; where that is refused
the command runs all the same, after a warning that /sys shows the caller's
network. With --netns NAME the files of /etc/netns/NAME are mounted over those
of /etc, as by "ip netns exec". Descriptors above 2 are closed.

An ordinary user's command has that user and group, and no capabilities; with
--root it is user 0 of a user namespace, and may change links, addresses and
routes in a fresh network namespace. Root of a container needs CAP_SYS_ADMIN and
CAP_NET_ADMIN (Docker: --cap-add SYS_ADMIN --cap-add NET_ADMIN), or permission to
make user namespaces.

This is not a sandbox: files, and sockets with a path, stay reachable."""


class _Command(argparse.Action):
    """The rest of the line, without the "--" that may stand before it."""

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
            parser.error("a command is missing")
        setattr(options, self.dest, command)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.usage = "pynetstrat run [-h] [--netns NAME|PATH | --pid PID] [--root] [--] COMMAND ..."
    parser.epilog = _HELP
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_namespace(parser)
    parser.add_argument(
        "--root",
        action="store_true",
        help="as user 0 of the user namespace, with all capabilities in it",
    )
    parser.add_argument(
        "words",
        nargs=argparse.REMAINDER,
        action=_Command,
        metavar="COMMAND",
        help="the command and its arguments",
    )


def run(options: argparse.Namespace) -> str:
    """Becomes the command, and does not return.

    Raises:
        KernelError: namespaces are refused; the text names the setting that stands in the way.
        EndError: the command can't be executed.
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


# ---- where to ----


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
    """Enters a namespace and returns its name under /run/netns, or ""."""
    with NetworkNamespace.open(where) as netns:
        try:
            native.enter(netns.fileno(), where)
        except PermissionDeniedError:
            if not _join_owner(netns.fileno()):
                raise
            native.enter(netns.fileno(), where)
        return netns.name


def _join_owner(netns: int) -> bool:
    """Joins the user namespace that owns the network namespace, if it is another one and may be."""
    try:
        owner = ioctl(netns, _NS_GET_USERNS)
    except OSError:  # EPERM: it is out of reach
        return False
    try:
        setns(owner, CLONE_NEWUSER)
    except KernelError:  # EINVAL: it is the process's own
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
        hint = "--root: the caller may not become user 0 of this user namespace"
        if error.errno == EINVAL:
            hint = "--root: this user namespace has no user 0"
        raise KernelError(error.errno or 0, "setresuid", hint=hint) from None


# ---- /sys ----


def _mount_sysfs(*, is_fresh: bool) -> bool:
    """Mounts a /sys; returns whether the process has a mount namespace of its own."""
    kept = list(_mounts_below("/sys"))
    is_apart = False
    try:
        if is_fresh:
            separate_mounts(MS_SLAVE)
        else:
            native.separate_mounts()
        is_apart = True
        mount_sysfs()
    except KernelError as error:
        warn(f"/sys shows the network of the caller: {error}")
    else:
        for path, descriptor in kept:
            with contextlib.suppress(KernelError):  # refused, or no place for it in the new one
                mount(f"/proc/self/fd/{descriptor}", path, None, MS_BIND | MS_REC)
    for _, descriptor in kept:
        os.close(descriptor)
    return is_apart


def _mounts_below(folder: str) -> Iterator[tuple[str, int]]:
    """The mounts directly below a folder: paths and descriptors."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return
    paths = sorted({line.split()[4] for line in lines})
    last = None
    for path in paths:
        below = path.startswith(folder + "/") and not (last and path.startswith(last + "/"))
        if below and "\\" not in path:
            with contextlib.suppress(OSError):
                yield path, os.open(path, os.O_PATH | os.O_CLOEXEC)
                last = path


# ---- /etc ----


def _bind_etc(name: str, *, is_apart: bool) -> None:
    """Mounts the files of /etc/netns/NAME over those of /etc, as `ip netns exec` does.

    Parameters:
        is_apart: whether the process has a mount namespace of its own. In that of the caller the
            files would replace the host's.
    """
    try:
        entries = etc_files(name)
        if entries and not is_apart:
            warn(f"the files of /etc/netns/{name} are not visible to the command")
        failed = bind_etc(name, entries) if is_apart else []
    except KernelError as error:
        failed = [error]
    for failure in failed:
        warn(str(failure))


# ---- the command ----


def _execute(command: list[str]) -> None:
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores
        signal.signal(number, signal.SIG_DFL)
    _close_others_on_exec()
    try:
        os.execvpe(command[0], command, _environment())  # noqa: S606  # that is its purpose
    except OSError as error:
        code = error.errno or 0
        if code == EACCES and not _is_there(command[0]):
            code = ENOENT
        status = 127 if code in (ENOENT, ENOTDIR) else 126
        raise EndError(f"{command[0]}: {os.strerror(code)}", status) from None


def _is_there(program: str) -> bool:
    """Whether a refused program exists: a folder of PATH that can't be searched is refused, too."""
    folders = os.get_exec_path()
    return "/" in program or any(os.path.isfile(f"{folder}/{program}") for folder in folders)  # noqa: PTH113


def _close_others_on_exec() -> None:
    try:
        numbers = [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208
    except OSError:
        numbers = list(range(os.sysconf("SC_OPEN_MAX")))
    for number in numbers:
        if number > 2:
            with contextlib.suppress(OSError):  # not open, or that of the listing
                os.set_inheritable(number, False)


def _environment() -> dict[str, str]:
    """The environment, without the LC_CTYPE that Python adds in the locale C (PEP 538)."""
    environment = dict(os.environ)
    with contextlib.suppress(OSError):
        given = Path("/proc/self/environ").read_bytes()
        if not any(item.startswith(b"LC_CTYPE=") for item in given.split(b"\0")):
            environment.pop("LC_CTYPE", None)
    return environment
