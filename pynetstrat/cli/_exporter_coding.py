"""Content codings of the exporter's responses (RFC 9110, sections 8.4 and 12.5.3)."""

from __future__ import annotations

import gzip
import re

_WEIGHT = re.compile(r"[ \t]*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*", re.IGNORECASE)


def choose_coding(values: list[str]) -> str | None:
    """Returns "gzip" or "identity", or None if the client accepts neither.

    Parameters:
        values: the values of the request's Accept-Encoding headers. Members that are not valid are
            ignored.
    """
    weights: dict[str, float] = {}
    for member in ",".join(values).lower().split(","):
        coding, semicolon, parameter = member.partition(";")
        weight = _WEIGHT.fullmatch(parameter if semicolon else "q=1")
        if weight is not None:
            name = coding.strip(" \t").removeprefix("x-")
            weights[name] = min(float(weight[1]), weights.get(name, 1))
    gzip_weight = weights.get("gzip", weights.get("*", 0))
    if gzip_weight > 0 and gzip_weight >= weights.get("identity", 0):
        return "gzip"
    # "identity" is acceptable unless "identity;q=0" or "*;q=0" excludes it.
    return "identity" if weights.get("identity", weights.get("*", 1)) > 0 else None


def encode(text: bytes, coding: str) -> bytes:
    """Returns `text` in a coding that `choose_coding` returned."""
    return gzip.compress(text, compresslevel=1) if coding == "gzip" else text
