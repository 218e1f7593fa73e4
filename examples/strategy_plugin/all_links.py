"""A plug-in, a strategy in a package of its own: brings up every link in the namespace.

pyproject.toml registers the strategy as an entry point. The operations that it does not need, such
as `create`, are inherited and do nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pynetstrat import InterfaceNotFoundError, NetworkStrategy, RtnetlinkSocket

if TYPE_CHECKING:
    from pynetstrat import Netns, Network


class AllLinks(NetworkStrategy):
    """For a container whose links are moved into its namespace before it starts."""

    def initialize(self, network: Network | None = None, *, netns: Netns | None = None) -> None:
        """Brings up every link in `netns`, or in the calling thread's namespace."""
        with RtnetlinkSocket(netns) as socket:
            for name, link in socket.dump_links().items():
                if link.up:
                    continue
                try:
                    socket.link_set_up(name)
                except InterfaceNotFoundError:  # deleted or renamed since the dump
                    continue
