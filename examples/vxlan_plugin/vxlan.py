"""A plug-in, a strategy in a package of its own: a VXLAN from the container to another host.

It uses only public names. If `initialize` or a later network fails, `set_up_networks` calls
`destroy`, which deletes the VXLAN that `create` has made.
"""

from __future__ import annotations

from pynetstrat import (
    Batch,
    InvalidNetworkError,
    Netns,
    Network,
    NetworkStrategy,
    Route,
    RtnetlinkSocket,
)


class Vxlan(NetworkStrategy):
    """A VXLAN `name` in the container, whose packets the host sends.

    `options` has the network identifier as `vni` and the address of the other host as `remote`.
    """

    def validate(self, network: Network) -> None:
        """Checks the options, before anything is created."""
        if set(network.options) != {"vni", "remote"}:
            reason = "must have vni and remote, and nothing else"
            raise InvalidNetworkError("options", network.options, reason, network.name)

    def create(
        self, network: Network, nspid: int | None = None, *, netns: Netns | None = None
    ) -> None:
        """Makes the VXLAN in the container's namespace, in one message."""
        where = f"/proc/{nspid}/ns/net" if netns is None else netns
        options = network.options
        mac, mtu = network.mac_address or None, network.mtu or None
        batch = Batch().add_vxlan(
            network.name, options["vni"], remote=options["remote"], netns=where, mac=mac, mtu=mtu
        )
        with RtnetlinkSocket() as host:
            host.execute(batch)

    def initialize(self, network: Network | None = None, *, netns: Netns | None = None) -> None:
        """Adds the address, brings the VXLAN up and adds the default route."""
        assert network is not None
        with RtnetlinkSocket(netns) as container:
            index = container.get_link(network.name).index
            batch = Batch().add_address(index, network.address).set_link(index, up=True)
            if network.gateway:
                batch.add_route(Route("default", network.gateway, ifindex=index))
            container.execute(batch)

    def destroy(self, network: Network, *, netns: Netns | None = None) -> None:
        """Deletes the VXLAN. It does not outlive its namespace, which may have ended."""
        if netns is not None:
            with RtnetlinkSocket(netns) as container:
                link = container.dump_links().get(network.name)
                if link is not None and link.kind == "vxlan":
                    container.delete_links([network.name], missing_ok=True)
