"""Whether the host forwards what the table translates: its settings, and chains of other programs.

ip_forward is never switched on here: it would make the host a router between all its interfaces.
"""

from __future__ import annotations

import os

from .._native.nft import FORWARD
from ..errors import InvalidNetworkError, KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from .._native.nft import Chain

_SETTINGS = "/proc/sys/net"
_NOT_UPLINKS = {"all", "default", "lo"}


def forwarding_problem(inner: Iterable[str], *, ipv6: bool) -> str:
    """Returns what keeps the host from forwarding for a container, with the remedy; "" if nothing.

    It reads the settings of the calling thread's namespace (ip-sysctl.rst of the kernel). An IPv4
    packet is forwarded if the interface that received it has `forwarding`. An IPv6 packet needs
    conf.all.forwarding, or since Linux 6.17 force_forwarding of that interface.

    Parameters:
        inner: the interfaces that lead to the container; "default" for one that is not made yet.

    Raises:
        KernelError: a setting could not be read.
    """
    folder = f"{_SETTINGS}/ipv{6 if ipv6 else 4}/conf"
    setting = "force_forwarding" if ipv6 else "forwarding"
    if not os.path.isdir(folder):  # noqa: PTH112  # half the time of a Path
        return ""  # without /proc/sys nothing is known, and without IPv6 nothing is forwarded
    whole = _is_on(f"{folder}/all/forwarding")
    if ipv6 and whole:
        return ""
    inner = list(inner)
    for name in inner:
        if not _is_on(f"{folder}/{name}/{setting}"):
            return _explain(name, ipv6=ipv6)
    if whole or any(
        _is_on(f"{folder}/{name}/{setting}")
        for name in _interfaces(folder)
        if name not in _NOT_UPLINKS and name not in inner
    ):
        return ""
    return _explain("any interface that leads out", ipv6=ipv6)


def forwards_everything(*, ipv6: bool) -> bool:
    """Whether conf.all.forwarding of the calling thread's namespace is on."""
    return _is_on(f"{_SETTINGS}/ipv{6 if ipv6 else 4}/conf/all/forwarding")


def _is_on(path: str) -> bool:
    try:
        file = os.open(path, os.O_RDONLY)  # open() makes three more system calls
        try:
            return os.read(file, 1) == b"1"
        finally:
            os.close(file)
    except FileNotFoundError:  # the interface, or the setting of a newer kernel
        return False
    except OSError as error:
        raise KernelError(error.errno or 0, "open", filename=path) from error


def _interfaces(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208
    except OSError as error:
        raise KernelError(error.errno or 0, "open", filename=folder) from error


def _explain(where: str, *, ipv6: bool) -> str:
    where = "interfaces that are made (conf.default)" if where == "default" else where
    if ipv6:
        return (
            f"the host does not forward IPv6 from {where}: run sysctl "
            "net.ipv6.conf.all.forwarding=1 (accept_ra must be 2 on an interface that still "
            "needs router advertisements), or since Linux 6.17 set force_forwarding of the "
            "interface that leads to the containers and of the one that leads out"
        )
    return (
        f"the host does not forward IPv4 from {where}: run sysctl "
        "net.ipv4.conf.INTERFACE.forwarding=1 for the interface that leads to the containers and "
        "for the one that leads out, or net.ipv4.ip_forward=1 for all"
    )


def refuse_without_forwarding(
    field: str, value: object, inner: Iterable[str], *, ipv6: bool, network: str = ""
) -> None:
    """Raises InvalidNetworkError if the namespace of the calling thread does not forward.

    Parameters:
        field, value, network: of the error.
        inner, ipv6: as for `forwarding_problem`.
    """
    problem = forwarding_problem(inner, ipv6=ipv6)
    if problem:
        raise InvalidNetworkError(field, value, problem, network)


# ---- chains of other programs ----


def dropping_chains(
    chains: Iterable[Chain], interface: str, adapted: Collection[tuple[str, str]] = ()
) -> Iterator[tuple[str, str]]:
    """Yields each base chain of another table that drops forwarded packets unless a rule accepts.

    A packet passes all tables, so accepting it in one does not help against another.

    Parameters:
        chains: the chains of all tables.
        interface: the interface that the remedy names.
        adapted: tables that are left out: family and name.

    Yields:
        The chain, such as "FORWARD of the table ip filter", and what to run.
    """
    chains = list(chains)
    for chain in chains:
        # The base chain of firewalld has the policy accept; its last rule rejects.
        drops = chain.drops or (chain.table, chain.name) == ("firewalld", "filter_FORWARD")
        table = chain.family, chain.table
        if chain.hook != FORWARD or not drops or table in adapted:
            continue
        beside = {one.name for one in chains if (one.family, one.table) == table}
        shown = f"{chain.name} of the table {chain.family} {chain.table}"
        yield shown, _remedy(chain, beside, interface)


def _remedy(chain: Chain, beside: set[str], interface: str) -> str:
    """Returns the commands that let traffic of an interface pass a chain.

    Parameters:
        beside: the names of the chains of the same table.
    """
    if chain.table == "firewalld":
        return f"firewall-cmd --zone=trusted --add-interface={interface}"
    if any(name.startswith("ufw") for name in beside):
        return f"ufw route allow in on {interface} && ufw route allow out on {interface}"
    if chain.table == "filter" and chain.family in ("ip", "ip6"):
        command = "iptables" if chain.family == "ip" else "ip6tables"
        name = "DOCKER-USER" if "DOCKER-USER" in beside else chain.name
        insert = f"{command} -I {name}"
        return f"{insert} -i {interface} -j ACCEPT && {insert} -o {interface} -j ACCEPT"
    insert = f"nft insert rule {chain.family} {chain.table} {chain.name}"
    return f"{insert} iifname {interface} accept && {insert} oifname {interface} accept"
