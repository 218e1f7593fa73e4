"""What is missing from the counters of this host's containers, for stats and the exporter."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .. import Container, Discovery, NetstratError


def reasons(
    discovery: Discovery,
    refused: Mapping[Container, NetstratError],
    interfaces: Mapping[Container, int],
) -> dict[str, str]:
    """What is not counted, a text for each kind; empty if nothing is missing.

    Parameters:
        interfaces: how many were left out, by container.
    """
    found = {}
    if discovery.hidden:
        takes = "seeing their namespaces takes CAP_SYS_PTRACE"
        found["hidden"] = f"processes: {discovery.hidden} ({takes})"
    if refused:
        container, error = next(iter(refused.items()))
        found["refused"] = f"containers: {len(refused)}, such as {container.label} ({error})"
    if discovery.omitted:
        found["omitted"] = f"namespaces beyond the limit: {discovery.omitted}"
    if interfaces:
        container = max(interfaces, key=lambda key: interfaces[key])
        number = sum(interfaces.values())
        found["interfaces"] = f"interfaces beyond the limit: {number}, such as of {container.label}"
    return found


def line(texts: Iterable[str]) -> str:
    """These texts in one line, for a warning."""
    return f"not counted: {'; '.join(texts)}"
