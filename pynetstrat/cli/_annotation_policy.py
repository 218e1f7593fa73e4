"""What a container's annotation may request of `oci-hook`: its author is not trusted."""

from __future__ import annotations

from .._dataclass import dataclass, replace
from ..errors import InvalidNetworkError
from ..wiring._published import parse_port

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..wiring.network import Network

DEFAULT_TYPES = ["loopback", "veth"]
_LIMITED_TYPES = ("loopback", "veth")  # loopback has no traffic to limit


@dataclass(slots=True)
class Policy:
    """The limits of the administrator.

    Attributes:
        types: the types that may be requested.
        bridges: the bridges that may be named; empty: every bridge.
        ports: the ranges of ports of the host that may be published.
        sysctls: the names of the settings that may be changed.
        rate_in, rate_out: the highest rates in bits per second; 0: unlimited.
        isolated: whether every host end is isolated from other isolated ports of its bridge.
    """

    types: Sequence[str]
    bridges: Sequence[str] = ()
    ports: Sequence[range] = ()
    sysctls: Sequence[str] = ()
    rate_in: int = 0
    rate_out: int = 0
    isolated: bool = False

    def restrict(self, network: Network, container: str) -> Network:
        """Returns the network owned by the container and within the limits.

        Parameters:
            container: the container's id.

        Raises:
            InvalidNetworkError: the network requests more than the limits allow.
        """
        self._check_names(network)
        self._check_values(network)
        made = replace(network, owner=container)
        if network.type == "veth":
            made.rate_in = _lower(network.rate_in, self.rate_in)
            made.rate_out = _lower(network.rate_out, self.rate_out)
            made.isolated = network.isolated or self.isolated
        return made

    def _check_names(self, network: Network) -> None:
        """Refuses what names code, the host's links, or other containers."""
        if network.type not in self.types:
            raise _refuse(network, "type", f"this hook allows {', '.join(self.types)}")
        limits = self.rate_in or self.rate_out or self.isolated
        if limits and network.type not in _LIMITED_TYPES:
            reason = f"this hook sets limits, which only {' and '.join(_LIMITED_TYPES)} keep"
            raise _refuse(network, "type", reason)
        if network.owner:
            raise _refuse(network, "owner", "must be empty: the owner is the container's id")
        if network.bridge and self.bridges and network.bridge not in self.bridges:
            raise _refuse(network, "bridge", f"this hook allows {', '.join(self.bridges)}")
        if network.type == "veth" and not network.bridge:
            raise _refuse(network, "bridge", "must be set: this hook makes no point-to-point links")
        if network.type == "veth" and network.host_interface_name:
            reason = "an annotation must not name host interfaces"
            raise _refuse(network, "host_interface_name", reason)

    def _check_values(self, network: Network) -> None:
        """Refuses records, options, and ports and settings that are not allowed."""
        if network.device is not None:
            raise _refuse(network, "device", "an annotation must not contain a device record")
        if network.options:
            raise _refuse(network, "options", "an annotation must not contain options")
        for text in network.publish:
            port = parse_port(text).port
            if not any(port in allowed for allowed in self.ports):
                shown = ", ".join(map(_show_range, self.ports)) or "no ports"
                reason = f"this hook allows {shown} (--allow-publish)"
                raise InvalidNetworkError("publish", text, reason, network.name)
        for name in network.sysctls:
            if name not in self.sysctls:
                reason = f"this hook allows {', '.join(self.sysctls) or 'none'} (--allow-sysctl)"
                raise InvalidNetworkError("sysctls", name, reason, network.name)


def _refuse(network: Network, field: str, reason: str) -> InvalidNetworkError:
    return InvalidNetworkError(field, getattr(network, field), reason, network.name)


def _lower(requested: int, limit: int) -> int:
    """The lower of two rates, of which 0 is unlimited."""
    return min(requested or limit, limit or requested)


def _show_range(ports: range) -> str:
    return str(ports[0]) if len(ports) == 1 else f"{ports[0]}-{ports[-1]}"


def policy_of(options: Any) -> Policy:
    """Returns the limits that the arguments set."""
    return Policy(
        types=options.allow or DEFAULT_TYPES,
        bridges=options.bridge,
        ports=options.allow_publish,
        sysctls=options.allow_sysctl,
        rate_in=options.rate_in,
        rate_out=options.rate_out,
        isolated=options.isolated,
    )
