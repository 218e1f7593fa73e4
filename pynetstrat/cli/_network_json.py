"""A list of networks as JSON, in a file or in the annotation of a container."""

from __future__ import annotations

import json

from ..errors import InvalidNetworkError
from ..wiring.network import Network

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def networks_from_json(text: str | bytes) -> list[Network]:
    """Reads networks from a JSON list of objects whose keys are the fields of `Network`.

    Raises:
        InvalidNetworkError: the text is not valid JSON or not a list, or a field is unknown or
            invalid.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = f"must be valid JSON: {error}"
        raise InvalidNetworkError("networks", _excerpt(text), reason) from None
    if not isinstance(found, list):
        raise InvalidNetworkError("networks", _excerpt(text), "must be a list of networks")
    return [Network.from_dict(item) for item in found]


def networks_to_json(networks: Sequence[Network]) -> str:
    """Returns networks as JSON, without the fields that have their default value."""
    return json.dumps([network.to_dict() for network in networks], indent=2)


def _excerpt(text: str | bytes) -> str:
    shown = text if isinstance(text, str) else text.decode("utf-8", "backslashreplace")
    return shown if len(shown) <= 60 else shown[:60] + "..."
