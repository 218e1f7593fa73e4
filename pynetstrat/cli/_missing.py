"""What the counters of the host's containers leave out, for `stats` and `exporter`."""

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
    """Returns a text for each kind of thing that is not counted; empty if everything is counted.

    Parameters:
        discovery: the result of a refresh.
        refused: the containers that could not be read, and why.
        interfaces: the number of interfaces that were left out, by container.
    """
    found = {}
    if discovery.hidden:
        needs = "seeing their namespaces needs CAP_SYS_PTRACE"
        found["hidden"] = f"processes: {discovery.hidden} ({needs})"
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
    """Joins these texts into one line for a warning."""
    return f"not counted: {'; '.join(texts)}"
