"""Networks as JSON: in files, and in the annotation of a container."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import fields

from ..errors import InvalidNetworkError
from ..links import Route
from ..network import Network, check_types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def read_standard_input() -> bytes:
    """All of standard input; nothing where that is closed."""
    return sys.stdin.buffer.read() if sys.stdin is not None else b""


def networks_from_json(text: str | bytes) -> list[Network]:
    """The networks of a JSON document: a list of objects whose keys are the fields' names.

    Raises:
        InvalidNetworkError: it is not JSON, not such a list, or has a field that there is not.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidNetworkError("networks", _excerpt(text), f"not JSON: {error}") from None
    if not isinstance(found, list):
        raise InvalidNetworkError("networks", _excerpt(text), "a list of networks is wanted")
    return [_network(item) for item in found]


def networks_to_json(networks: Sequence[Network]) -> str:
    """The networks as JSON, without the fields that have their default."""
    return json.dumps([_set_fields(network, Network()) for network in networks], indent=2)


def _set_fields(thing: Network | Route, plain: Network | Route) -> dict[str, Any]:
    """The fields that are not as in `plain`, and the destination, which a route has to have."""
    found = {}
    for field in fields(thing):
        value = getattr(thing, field.name)
        if field.name == "routes":
            value = tuple(_set_fields(route, Route("")) for route in value)
        if value != getattr(plain, field.name) or field.name == "destination":
            found[field.name] = value
    return found


def _excerpt(text: str | bytes) -> str:
    shown = text if isinstance(text, str) else text.decode("utf-8", "backslashreplace")
    return shown if len(shown) <= 60 else shown[:60] + "..."


def _network(item: object) -> Network:
    if not isinstance(item, dict):
        raise InvalidNetworkError("networks", item, "a network is an object of fields")
    given, name = dict(item), item.get("name")
    shown = name if isinstance(name, str) else ""
    known = {field.name for field in fields(Network)}
    for field, value in given.items():
        if field not in known:
            raise InvalidNetworkError(field, value, "networks have no such field", shown)
        _check_text(field, value, shown)
    routes = given.get("routes", [])
    if not isinstance(routes, list):
        raise InvalidNetworkError("routes", routes, "a list of routes is wanted", shown)
    given["routes"] = tuple(_route(route, shown) for route in routes)
    network = Network(**given)
    check_types(network)
    return network


def _route(item: object, network: str) -> Route:
    if not isinstance(item, dict):
        raise InvalidNetworkError("routes", item, "a route is an object of fields", network)
    known = {field.name for field in fields(Route)}
    for field, value in item.items():
        if field not in known:
            reason = "routes have no such field"
            raise InvalidNetworkError("routes", {field: value}, reason, network)
        _check_text("routes", value, network)
        if isinstance(value, bool) and field != "onlink":  # to Python they are numbers
            raise InvalidNetworkError("routes", {field: value}, "a number is wanted", network)
    if "destination" not in item:
        raise InvalidNetworkError("routes", item, "a route needs a destination", network)
    return Route(**item)


def _check_text(field: str, value: object, network: str) -> None:
    """Refuses halves of characters, which JSON can hold and no system call takes."""
    try:
        if isinstance(value, str):
            os.fsencode(value)
    except UnicodeEncodeError:
        reason = "half a surrogate pair is not text"
        raise InvalidNetworkError(field, ascii(value), reason, network) from None
