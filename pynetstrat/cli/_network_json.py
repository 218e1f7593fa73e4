"""A list of networks as JSON, in a file or in the annotation of a container."""

from __future__ import annotations

import json

from ..errors import InvalidNetworkError
from ..wiring.network import Network
from ._exit import EndError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def networks_from_json(text: str | bytes, source: str) -> list[Network]:
    """Reads networks from a JSON list of objects whose keys are the fields of `Network`.

    Parameters:
        source: where the text is from, for errors.

    Raises:
        EndError: the text is not valid JSON or not a list, or a network has no type or a field that
            is unknown or invalid. The text names the source and the network.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise EndError(f"{source}: not valid JSON: {error}") from None
    if not isinstance(found, list):
        raise EndError(f"{source}: must be a list of networks, not {_excerpt(found)}")
    return [_network(item, f"{source}: network {n}") for n, item in enumerate(found, 1)]


def _network(item: Any, where: str) -> Network:
    if not isinstance(item, dict):
        raise EndError(f"{where}: must be a JSON object, not {_excerpt(item)}")
    if item.get("type", "") == "":
        from ..wiring.plugins import sources  # which loads importlib.metadata, for 20 ms

        known = ", ".join(sorted(sources()))
        raise EndError(f'{where}: "type" is required; known types: {known}')
    if isinstance(item["type"], str):
        where += f" ({item['type']})"
    try:
        return Network.from_dict(item)
    except InvalidNetworkError as error:
        reason = f"invalid {error.field} {_excerpt(error.value)}: {error.reason}"
        raise EndError(f"{where}: {reason}") from error


def networks_to_json(networks: Sequence[Network]) -> str:
    """Returns networks as JSON, without the fields that have their default value."""
    return json.dumps([network.to_dict() for network in networks], indent=2)


def _excerpt(value: object) -> str:
    """Returns the beginning of a value, as JSON."""
    try:
        shown = json.dumps(value, ensure_ascii=False, default=repr)
    except RecursionError:
        return "a value that is nested too deeply"
    return shown if len(shown) <= 60 else shown[:60] + "..."
