"""A plug-in, a strategy in a package of its own: a macvlan on one of the host's interfaces.

It uses only public names. If `initialize` or a later network fails, `set_up_networks` calls
`destroy`, which deletes the macvlan that `create` has made.
"""

from __future__ import annotations

from pynetstrat import Batch, Netns, Network, NetworkStrategy, Route, RtnetlinkSocket


class Macvlan(NetworkStrategy):
    """A macvlan `name` in the container, on the host's link `host_interface_name`."""

    def create(
        self, network: Network, nspid: int | None = None, *, netns: Netns | None = None
    ) -> None:
        """Makes the macvlan in the container's namespace, in one message."""
        where = f"/proc/{nspid}/ns/net" if netns is None else netns
        with RtnetlinkSocket() as host:
            parent = host.get_link(network.host_interface_name)
            mac, mtu = network.mac_address or None, network.mtu or None
            batch = Batch().add_macvlan(network.name, parent.index, netns=where, mac=mac, mtu=mtu)
            host.execute(batch)

    def initialize(self, network: Network | None = None, *, netns: Netns | None = None) -> None:
        """Adds the address, brings the macvlan up and adds the default route."""
        assert network is not None
        with RtnetlinkSocket(netns) as container:
            index = container.get_link(network.name).index
            batch = Batch().add_address(index, network.address).set_link(index, up=True)
            if network.gateway:
                batch.add_route(Route("default", network.gateway, ifindex=index))
            container.execute(batch)

    def destroy(self, network: Network, *, netns: Netns | None = None) -> None:
        """Deletes the macvlan. It does not outlive its namespace, which may have ended."""
        if netns is not None:
            with RtnetlinkSocket(netns) as container:
                link = container.dump_links().get(network.name)
                if link is not None and link.kind == "macvlan":
                    container.delete_links([network.name], missing_ok=True)
