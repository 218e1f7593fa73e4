"""Results and errors as JSON, in the version that was asked for."""

from __future__ import annotations

from ._error import DECODING_FAILURE, CniError
from ._json import get, get_objects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..rtnetlink.links import Link
    from ._request import Request


def to_error(version: str, error: CniError) -> dict[str, Any]:
    """Returns an error as the specification writes it."""
    found = {"cniVersion": version, "code": error.code, "msg": error.message}
    return {**found, "details": error.details} if error.details else found


def previous_result(request: Request) -> dict[str, Any] | None:
    """Returns prevResult, or None if it is missing.

    Raises:
        CniError: it is not a result.
    """
    if request.configuration.get("prevResult") is None:
        return None
    found: dict[str, Any] = get(request.configuration, "prevResult", dict, code=DECODING_FAILURE)
    for key in ("interfaces", "ips", "routes"):
        get_objects(found, key, "prevResult.", DECODING_FAILURE)
    get(found, "dns", dict, "prevResult.", DECODING_FAILURE)
    return found


def to_result(
    request: Request,
    links: list[Link],
    ips: list[dict[str, Any]],
    routes: list[dict[str, Any]],
    dns: dict[str, Any],
) -> dict[str, Any]:
    """Returns the result of ADD, added to prevResult.

    Parameters:
        links: the bridge, the host end and the container end.
        ips, routes: those of the container end.
        dns: the DNS settings, or {}.
    """
    previous = previous_result(request) or {}
    interfaces = list(previous.get("interfaces") or [])
    for link in links:
        shown: dict[str, Any] = {"name": link.name, "mac": link.mac}
        if request.is_at_least("1.1.0"):
            shown["mtu"] = link.mtu
        interfaces.append(shown)
    interfaces[-1]["sandbox"] = request.netns
    position = len(interfaces) - 1
    own = [_ip(request, ip, position) for ip in ips]
    return {
        "cniVersion": request.version,
        "interfaces": interfaces,
        "ips": [*(previous.get("ips") or []), *own],
        "routes": [
            *(previous.get("routes") or []),
            *map(_route, routes),
        ],
        "dns": dns or previous.get("dns") or {},
    }


def _ip(request: Request, ip: dict[str, Any], position: int) -> dict[str, Any]:
    shown = {"interface": position, "address": ip["address"]}
    if ip.get("gateway"):
        shown["gateway"] = ip["gateway"]
    if not request.is_at_least("1.0.0"):
        shown["version"] = "6" if ":" in ip["address"] else "4"
    return shown


def _route(route: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in route.items() if value not in (None, "")}
