"""`WatchedHost`: a `HostCounters` that also processes notifications between its readings."""

from __future__ import annotations

from .host import HostCounters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..types import Netns
    from ._scan import Scanner
    from .containers import HostContainers
    from .naming import Container

_MAX_ENDED = 10_000  # containers that are remembered until `take_ended`


class WatchedHost(HostCounters):
    """`HostCounters` for a process that runs for long, such as the exporter.

    Parameters:
        netns, limit, timeout, routed: see `HostCounters`.
    """

    __slots__ = ("_ended",)

    def __init__(
        self, *, netns: Netns | None, limit: int, timeout: float, routed: bool = True
    ) -> None:
        self._ended: dict[Container, None] = {}
        super().__init__(netns=netns, limit=limit, timeout=timeout, routed=routed)

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
        """Returns the containers that are counted and have not ended."""
        containers = [sighting.container for sighting in self._known.values()]
        ended = self._locked(lambda counters, _: set(counters.gone()), "RTM_DELNSID")
        return [one for one in containers if one not in ended] if ended else containers

    def take_ended(self) -> list[Container]:
        """Returns the containers that have ended since the last call, as far as it is known."""
        gone = self._locked(lambda counters, _: counters.gone(), "RTM_DELNSID")
        ended, self._ended = [*self._ended, *gone], {}
        return ended

    def _drop_ended(self, counters: HostContainers, scanner: Scanner) -> list[Container]:
        found = super()._drop_ended(counters, scanner)
        if len(self._ended) > _MAX_ENDED:  # nobody takes them
            self._ended.clear()
        self._ended.update(dict.fromkeys(found))
        return found
