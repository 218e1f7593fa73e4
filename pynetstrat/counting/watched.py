"""`WatchedHost`: a `HostCounters` that also processes notifications between its readings."""

from __future__ import annotations

from .host import HostCounters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..counters import FinalCounters
    from ..types import Netns
    from .containers import HostContainers
    from .naming import Container

_MAX_ENDED = 10_000  # containers that are remembered until `take_ended`


class WatchedHost(HostCounters):
    """`HostCounters` for a process that runs for long, such as the exporter.

    Parameters:
        netns, limit, timeout, routed: see `HostCounters`.
    """

    __slots__ = ("_ended", "_gone")

    def __init__(
        self, *, netns: Netns | None, limit: int, timeout: float, routed: bool = True
    ) -> None:
        self._ended: dict[Container, dict[str, FinalCounters]] = {}
        self._gone: set[Any] = set()  # those that had ended at the last `take_ended`
        super().__init__(netns=netns, limit=limit, timeout=timeout, routed=routed)
        self._locked(lambda counters, _: counters.keep_late(), "recv")

    def descriptors(self) -> list[int]:
        """Returns the descriptors that are ready to read while notifications are queued."""
        found: list[int] = self._locked(lambda counters, _: counters.descriptors(), "poll")
        return found

    def process_pending(self) -> None:
        """Processes the queued notifications, so that the queues do not overflow.

        A queue that overflows makes the next reading dump every container.
        """
        self._locked(lambda counters, _: counters.process_pending(), "recv")

    def counted(self) -> list[Container]:
        """Returns the containers that are counted and had not ended at the last `take_ended`."""
        containers = [sighting.container for sighting in self._known.values()]
        gone = self._gone
        return [one for one in containers if one not in gone] if gone else containers

    def take_ended(self) -> dict[Container, dict[str, FinalCounters]]:
        """Returns the final counters of the containers that have ended since the last call.

        A container can be returned twice, the second time with more complete counters.
        """

        def work(counters: HostContainers, _: object) -> dict[Any, dict[str, FinalCounters]]:
            late, gone = counters.take_late(), counters.gone()
            self._gone = set(gone)
            return {**late, **_find_final(counters, gone)}

        final = self._locked(work, "final")
        ended, self._ended = {**self._ended, **final}, {}
        return ended

    def _find_ended(self, counters: HostContainers) -> list[Any]:
        found = super()._find_ended(counters)
        if len(self._ended) > _MAX_ENDED:  # the caller does not take them
            self._ended.clear()
        self._ended.update(_find_final(counters, found))
        return found


def _find_final(counters: HostContainers, ended: list[Any]) -> dict[Any, dict[str, FinalCounters]]:
    if not ended:
        return {}
    final = counters.final()
    return {container: final[container] for container in ended}
