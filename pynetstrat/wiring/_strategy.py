"""Calls a strategy in a session: one of this package, or one of another package."""

from __future__ import annotations

from _collections_abc import Iterable  # `collections` takes longer to load

from .._partial import partial
from ..errors import quote
from ..strategy import Loopback, NetworkStrategy
from ._session import open_session, open_session_if_alive
from .network import Network, copy_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..types import Netns
    from ._session import Session


class SessionOperations(NetworkStrategy):
    """The operations of a strategy in a session.

    `set_up_networks`, `tear_down_networks` and `check_networks` call the methods below, which share
    the sockets and the undo stack of one session. The network is valid, and a copy that `_create`
    may fill in. Each change pushes its undo step onto `session.undo_stack` before it is made; the
    session runs the stack after an error.
    """

    _adds_routes = False  # whether it adds exactly the routes of requested_routes()
    _takes_names = True  # whether no other network of the container may have the same names
    _shares_host_interface = False  # whether several networks may have one `host_interface_name`
    _keeps_name = False  # whether an empty `name` stands for `host_interface_name`

    def _create(self, session: Session, network: Network) -> Network:
        return network

    def _initialize(self, session: Session, network: Network) -> None:
        pass

    def _destroy(self, session: Session, network: Network) -> None:
        pass

    def _check(self, session: Session, network: Network) -> list[str]:
        return []


class SessionStrategy(SessionOperations):
    """The public methods of a strategy of this package, for use on a single network.

    Each method checks the network, opens a session and calls the method of the same name with an
    underscore. After an error everything is as before; the error lists anything that could not be
    restored.

    Attributes:
        type: the strategy's type, for errors.
    """

    type: str
    _adds_routes = True

    def create(
        self, network: Network, nspid: int | None = None, *, netns: Netns | None = None
    ) -> Network:
        """Does the strategy's work on the host, before the container starts.

        Parameters:
            network: the configuration. It is left alone.
            nspid: a process in the container's network namespace, if `netns` is None.
            netns: the container's network namespace.

        Returns:
            The network with generated names filled in.

        Raises:
            InvalidNetworkError: a field is invalid, or no namespace is given; nothing was changed.
            KernelError: the kernel refused a change.
        """
        self.validate(network)
        with open_session(nspid, netns, self.type) as session, session:
            return self._create(session, copy_of(network))

    def destroy(self, network: Network, *, netns: Netns | None = None) -> None:
        """Reverses `create`. A second call does nothing.

        Parameters:
            network: the configuration as `create` returned it, or the one given to `create` if it
                has an owner.
            netns: the container's network namespace, or None if it is unknown. It may have ended.

        Raises:
            InvalidNetworkError: a field is invalid.
            KernelError: the link exists but is not proven to be the network's, or the kernel
                refused the change.
        """
        self.validate(network)
        with open_session_if_alive(netns) as session, session:
            self._destroy(session, network)

    def check(self, network: Network, *, netns: Netns | None = None) -> list[str]:
        """Returns the differences from the network as it was requested, one text each.

        Parameters:
            network: the configuration as `create` returned it.
            netns: the container's network namespace.

        Returns:
            The differences, such as `eth0: MTU 1500, not 1400`.

        Raises:
            InvalidNetworkError: a field is invalid, or no namespace is given.
            KernelError: the kernel refused a query.
        """
        self.validate(network)
        with open_session(None, netns, self.type) as session, session:
            return self._check(session, network)


_LO_ADDRESSES = "127.0.0.1/8", "::1/128"


class SessionLoopback(SessionOperations, Loopback):
    """The strategy `loopback` in a session. `Loopback` itself must load nothing of wiring."""

    _takes_names = False

    def _initialize(self, session: Session, network: Network) -> None:
        session.set_up_link("lo")

    def _check(self, session: Session, network: Network) -> list[str]:
        container = session.container
        if not container.link_is_up("lo"):
            return ["lo: down"]
        addresses = container.dump_addresses()
        index = container.get_link("lo").index
        own = {address.address for address in addresses if address.ifindex == index}
        # If no link has an IPv6 address, IPv6 is disabled.
        has_ipv6 = any(":" in address.address for address in addresses)
        wanted = _LO_ADDRESSES if has_ipv6 else _LO_ADDRESSES[:1]
        return [f"lo: the address {address} is missing" for address in wanted if address not in own]


class ThirdParty(SessionOperations):
    """A strategy of another package, called through its public methods.

    They get a handle of the container namespace as `netns`, and run in a thread that is in the host
    namespace.
    """

    def __init__(self, strategy: NetworkStrategy) -> None:
        self._strategy = strategy
        self._takes_names = not isinstance(strategy, Loopback)
        if isinstance(strategy, SessionStrategy):  # a subclass of a strategy of this package
            self._adds_routes = strategy._adds_routes
            self._shares_host_interface = strategy._shares_host_interface
            self._keeps_name = strategy._keeps_name

    def _create(self, session: Session, network: Network) -> Network:
        # With its undo step: Ctrl-C is raised here, although create() has returned in its thread.
        return session.call_on_host(self._create_there, session, network)

    def _create_there(self, session: Session, network: Network) -> Network:
        strategy, netns = self._strategy, session.container_namespace
        returned = strategy.create(network, netns=netns)
        made = returned if isinstance(returned, Network) else network
        what = f"the state before network {quote(made.name)} ({made.type}) was made"
        undo = partial(session.call_on_host, strategy.destroy, made, netns=netns)
        session.undo_stack.push(undo, what)
        if returned is not None and returned is not made:
            kind = type(strategy).__qualname__
            raise TypeError(f"{kind}.create must return a Network or None, not {returned!r}")
        return made

    def _initialize(self, session: Session, network: Network) -> None:
        netns = session.container_namespace
        session.call_on_host(self._strategy.initialize, network, netns=netns)

    def _destroy(self, session: Session, network: Network) -> None:
        session.call_on_host(self._strategy.destroy, network, netns=session.namespace)

    def _check(self, session: Session, network: Network) -> list[str]:
        netns = session.container_namespace
        found = session.call_on_host(self._strategy.check, network, netns=netns)
        if isinstance(found, str) or not isinstance(found, Iterable):
            kind = type(self._strategy).__qualname__
            raise TypeError(f"{kind}.check must return a list of texts, not {found!r}")
        return list(found)
