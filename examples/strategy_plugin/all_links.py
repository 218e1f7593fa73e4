"""A strategy in a package of its own: every interface of the namespace up, not `lo` alone.

Shows what a strategy is made of, and how a package registers one: see pyproject.toml. The
operations that it has no use for (`create` and its like) are inherited and do nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pynetstrat import InterfaceNotFoundError, NetworkStrategy, RtnetlinkSocket

if TYPE_CHECKING:
    from pynetstrat import Netns, Network


class AllLinks(NetworkStrategy):
    """For a container that was given its interfaces before it starts."""

    def initialize(self, network: Network | None = None, *, netns: Netns | None = None) -> None:
        """Brings every interface up: in `netns`, or in the calling thread's namespace."""
        with RtnetlinkSocket(netns) as socket:
            for name, link in socket.dump_links().items():
                if link.up:
                    continue
                try:
                    socket.link_set_up(name)
                except InterfaceNotFoundError:  # deleted or renamed since
                    continue
