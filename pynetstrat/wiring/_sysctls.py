"""The settings of a container's interface under /proc/sys/net that a network requests."""

from __future__ import annotations

from errno import ENOENT

from .._native.sysctls import exchange
from .._partial import partial
from ..errors import InvalidNetworkError, KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._session import Session
    from .network import Network

_IFNAME = "IFNAME"  # stands for the name of the interface
# The tables with a directory for each interface (Documentation/networking/ip-sysctl.rst and
# mpls-sysctl.rst of the kernel).
_TABLES = {
    ("net", "ipv4", "conf"),
    ("net", "ipv4", "neigh"),
    ("net", "ipv6", "conf"),
    ("net", "ipv6", "neigh"),
    ("net", "mpls", "conf"),
}
# addrconf_notify() in net/ipv6/addrconf.c of the kernel sets it again when the link goes up.
_IPV6_MTU = "net.ipv6.conf.IFNAME.mtu"
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")
_MAX_VALUE = 100  # bytes; the core reads up to 127


def validate_sysctls(network: Network) -> None:
    """Raises InvalidNetworkError unless each setting is one of the interface alone."""
    for name, value in network.sysctls.items():
        *table, interface, setting = name.split(".") if name.count(".") == 4 else ("", "", "")
        plain = setting and _LETTERS.issuperset(setting)
        if tuple(table) not in _TABLES or interface != _IFNAME or not plain:
            reason = (
                "the name of a setting must be net.ipv4.conf.IFNAME.SETTING, or one of "
                "net.ipv4.neigh, net.ipv6.conf, net.ipv6.neigh and net.mpls.conf, with IFNAME "
                "literally"
            )
            raise InvalidNetworkError("sysctls", name, reason, network.name)
        if name == _IPV6_MTU:
            reason = "the kernel sets it to the MTU of the link, which `mtu` requests"
            raise InvalidNetworkError("sysctls", name, reason, network.name)
        if not (value.isascii() and value.isprintable() and 0 < len(value) <= _MAX_VALUE):
            reason = f"the value of {name} must be 1 to {_MAX_VALUE} printable ASCII characters"
            raise InvalidNetworkError("sysctls", value, reason, network.name)


def set_sysctls(session: Session, network: Network, interface: str) -> None:
    """Sets the settings in the container namespace, all or nothing.

    The caller brings the link up afterwards.

    Parameters:
        interface: the name of the container's interface.

    Raises:
        KernelError: a setting does not exist, or the kernel refused its value.
    """
    if not network.sysctls:
        return
    netns = session.container_namespace
    wanted = _settings(network, interface)
    if interface not in session.created:
        read = exchange(netns, [(path, None) for path, _ in wanted], interface)
        before = [(path, value) for (path, _), value in zip(wanted, read, strict=True)]
        undo = partial(exchange, netns, before[::-1], interface)
        session.undo_stack.push(undo, f"the settings of {interface} under /proc/sys/net")
    exchange(netns, wanted, interface)


def check_sysctls(session: Session, network: Network, interface: str) -> list[str]:
    """Returns the differences of the settings of the container's interface."""
    differences = []
    for name, (path, wanted) in zip(network.sysctls, _settings(network, interface), strict=True):
        shown = name.replace(_IFNAME, interface)
        try:
            (found,) = exchange(session.container_namespace, [(path, None)], interface)
        except KernelError as error:
            if error.errno != ENOENT:
                raise
            differences.append(f"{interface}: the setting {shown} does not exist")
            continue
        if found.split() != wanted.split():
            differences.append(f"{interface}: {shown} is {found}, not {wanted}")
    return differences


def _settings(network: Network, interface: str) -> list[tuple[str, str]]:
    """The paths beneath /proc/sys, and the values."""
    return [
        (name.replace(".", "/").replace(_IFNAME, interface), value)
        for name, value in network.sysctls.items()
    ]
