"""What the counters of this host's containers lack, and why: for stats and for the exporter."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .. import Container, Discovery, NetstratError


def reasons(discovery: Discovery, refused: Mapping[Container, NetstratError]) -> dict[str, str]:
    """What is not counted, each kind of it in words; empty: nothing is missing."""
    found = {}
    if discovery.hidden:
        takes = "seeing their namespaces takes CAP_SYS_PTRACE"
        found["hidden"] = f"processes: {discovery.hidden} ({takes})"
    if refused:
        container, error = next(iter(refused.items()))
        found["refused"] = f"containers: {len(refused)}, such as {container.label} ({error})"
    if discovery.omitted:
        found["omitted"] = f"namespaces beyond the limit: {discovery.omitted}"
    return found


def line(texts: Iterable[str]) -> str:
    """The same in one line, for a warning."""
    return f"not counted: {'; '.join(texts)}"
