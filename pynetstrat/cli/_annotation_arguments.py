"""The arguments of `oci-hook`, which limit what an annotation may request."""

from __future__ import annotations

from ..errors import InvalidNetworkError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._arguments import Arguments

_MAX_RATE = 1 << 40


def _ports(text: str) -> range:
    first, dash, last = text.partition("-")
    try:
        ports = range(int(first), int(last if dash else first) + 1)
    except ValueError:
        ports = range(0)
    if not ports or ports[0] < 1 or ports[-1] > 65535:
        reason = f"must be a port or a range of ports from 1 to 65535, not {text!r}"
        raise ValueError(reason)
    return ports


def _sysctl(text: str) -> str:
    # Most hooks allow no setting, and most containers have no annotation.
    from ..wiring._sysctls import validate_sysctls
    from ..wiring.network import Network

    try:
        validate_sysctls(Network(sysctls={text: "0"}))
    except InvalidNetworkError as error:
        raise ValueError(f"{error.reason}; not {text!r}") from None
    return text


def _rate(text: str) -> int:
    try:
        rate = int(text)
    except ValueError:
        rate = 0
    if not 1 <= rate <= _MAX_RATE:
        reason = f"must be an integer from 1 to {_MAX_RATE}, not {text!r}"
        raise ValueError(reason)
    return rate


def _rate_argument(direction: str) -> dict[str, Any]:
    return {
        "type": _rate,
        "default": 0,
        "metavar": "BITS",
        "help": f"the highest rate of traffic {direction} each interface of a container, in bits "
        "per second on the wire; annotations may only lower it (default: unlimited)",
    }


LIMITS: Arguments = {
    "--allow": {
        "action": "append",
        "metavar": "TYPE",
        "help": "a network type that annotations may request; may be repeated, and replaces the "
        "default (loopback and veth). With host-device or macvlan they may request any device of "
        "the host",
    },
    "--bridge": {
        "action": "append",
        "default": [],
        "metavar": "NAME",
        "help": "a bridge that annotations may name; may be repeated (default: every bridge)",
    },
    "--allow-publish": {
        "action": "append",
        "default": [],
        "type": _ports,
        "metavar": "RANGE",
        "help": "ports of the host that annotations may publish, such as 8080 or 8000-8999; may be "
        "repeated (default: none)",
    },
    "--allow-sysctl": {
        "action": "append",
        "default": [],
        "type": _sysctl,
        "metavar": "NAME",
        "help": "a setting of the container's interface that annotations may change, such as "
        "net.ipv4.conf.IFNAME.arp_notify; may be repeated (default: none)",
    },
    "--rate-in": _rate_argument("to"),
    "--rate-out": _rate_argument("from"),
    "--isolated": {
        "action": "store_true",
        "help": "isolate every container from the others on its bridge; annotations cannot lift it",
    },
}
