"""`macvlan`: a link in the container with a MAC address of its own on a link of the host.

The alias tag of the owner needs a second message after the one that makes the link, so a process
that is killed between the two leaves a link without a tag. Therefore the index of the link
identifies the network as well: it contains a hash of the owner, the network's name and the parent.
"""

from __future__ import annotations

import os
from errno import EEXIST, EINVAL

from .._dataclass import dataclass
from .._native.links import MACVLAN_MODES
from ..counters import host_view
from ..errors import BatchError, KernelError, quote
from ..rtnetlink.batch import Batch
from ..strategy import refuse_fields
from ._container_link import ContainerLinkStrategy
from ._difference import check_container_link
from ._links import delete_by_index, delete_counted, execute_for, find_link, wait_for_tag
from ._sysctls import check_sysctls, validate_sysctls
from ._validation import MIN_IPV6_MTU, validate_link_name, validate_options, validate_values
from ._veth_names import digest_of, has_other_tag, owner_key, tag_of, validate_owner
from .network import has_ipv6, invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..rtnetlink.links import Link
    from ._session import Session
    from .network import Network

_MODE = "mode"
# An index is far above those that the kernel gives, which count up from 1. Its lowest 15 bits are
# random; those above are a hash, modulo the largest prime below 2^14: the highest bits of the hash
# hardly depend on the last character.
_FIRST_INDEX, _RANDOM_BITS, _HASHES = 1 << 29, 15, 16381


class Macvlan(ContainerLinkStrategy):
    """The strategy `macvlan`: a macvlan in the container's namespace, on a link of the host.

    The container is a station of the parent's network, without a bridge and without routes of the
    host. The kernel delivers nothing between a macvlan and the host's own addresses on the parent.

    Fields of a `Network`:

    - `host_interface_name` (required): the parent, an existing link of the host.
    - `name` (required): the name of the link in the container.
    - `options`: `mode`, which is "private", "vepa", "bridge" (the default) or "passthru".
    - `mac_address`: "" derives it from the first IP address; without one the kernel chooses it. It
      must not be set in the mode "passthru", in which the link has that of the parent.
    - `mtu`: at most that of the parent; 0 means that of the parent.
    - `address`, `ipv6_address`, `addresses`, `gateway`, `ipv6_gateway`, `routes`, `metric`,
      `sysctls`, `txqueuelen`: as for `veth`.
    - `owner`: the link gets the alias "pynetstrat:" and the owner.

    The link is in the container's namespace and ends with it. So `destroy` needs the namespace, and
    does nothing if that is unknown or has ended. It deletes only a macvlan that this strategy has
    made for a network of the same owner, name and parent, whatever its name is by now.

    Example:
        >>> network = Network(
        ...     "macvlan", name="eth0", host_interface_name="eno1", address="192.0.2.2/24"
        ... )
        >>> set_up_networks([Network("loopback"), network], netns="/run/netns/web-1")
    """

    type = "macvlan"
    _shares_host_interface = True

    def validate(self, network: Network) -> None:
        """Raises InvalidNetworkError for an invalid field."""
        validate_values(network)
        validate_options(network, (_MODE,))
        if network.options.get(_MODE, "bridge") not in (*MACVLAN_MODES,):
            raise invalid(network, "options", f"{_MODE} must be one of {', '.join(MACVLAN_MODES)}")
        if network.mac_address and network.options.get(_MODE) == "passthru":
            reason = "must not be set in the mode passthru: the link has that of its parent"
            raise invalid(network, "mac_address", reason)
        validate_sysctls(network)
        refuse_fields(network, ("addresses", "sysctls"))
        validate_link_name(network, "name")
        validate_link_name(network, "host_interface_name")
        validate_owner(network)

    def _mac(self, network: Network) -> str:
        if network.options.get(_MODE) == "passthru":  # it has the MAC address of the parent
            return network.mac_address
        return super()._mac(network)

    def _create(self, session: Session, network: Network) -> Network:
        session.refuse_host_namespace(network.name)
        parent = _find_parent(session, network)
        _ = session.container  # opened before the link is made, because the undo step needs it
        first = _first_index(session, network)
        try:
            _make(session, network, parent, first, self._mac(network))
        except BatchError as error:
            if error.errno != EEXIST or not _delete_left_over(session, network, first, error):
                raise
            _make(session, network, parent, first, self._mac(network))
        return network

    def _destroy(self, session: Session, network: Network) -> None:
        if session.namespace is None:
            return
        for link in _find_own(session, network, _first_index(session, network)):
            counters = delete_counted(session.container, link.index, link.name)
            # A link without a tag is what a killed `create` left: its container has never run.
            if counters is not None and link.alias:
                session.counters[network.name] = host_view(network.name, counters)

    def _check(self, session: Session, network: Network) -> list[str]:
        parent = find_link(session.host, network.host_interface_name)
        found = [] if parent is not None else ["missing"]
        if parent is not None and not parent.up:
            found.append("down")
        differences = [f"{network.host_interface_name} (host): {one}" for one in found]
        link = find_link(session.container, network.name)
        if link is None:
            return [*differences, f"{network.name}: missing"]
        found = []
        if link.kind != "macvlan":
            found.append(f"of kind {link.kind or 'none'}, not macvlan")
        elif parent is not None and link.link_index != _lower_index(parent):
            found.append(f"the parent is not {parent.name}")
        mode = network.options.get(_MODE, "bridge")
        if link.macvlan_mode not in ("", mode):
            found.append(f"mode {link.macvlan_mode}, not {mode}")
        if link.alias != tag_of(network):
            found.append(f"alias {link.alias!r}, not {tag_of(network)!r}")
        differences += [f"{network.name}: {one}" for one in found]
        differences += check_container_link(session, network, link, mac=self._mac(network))
        return differences + check_sysctls(session, network, link.name)


def _find_parent(session: Session, network: Network) -> Link:
    """Returns the parent. Raises InvalidNetworkError if it can't have this macvlan."""
    parent = find_link(session.host, network.host_interface_name)
    if parent is None:
        reason = "must be an existing link of the host: create it, or choose another"
        raise invalid(network, "host_interface_name", reason)
    if parent.index == 1:  # lo, whatever its name
        raise invalid(network, "host_interface_name", "must not be the loopback device")
    if has_ipv6(network) and parent.mtu < MIN_IPV6_MTU:
        reason = f"its MTU is {parent.mtu}, and IPv6 needs {MIN_IPV6_MTU}: raise it"
        raise invalid(network, "host_interface_name", reason)
    if network.mtu > parent.mtu:
        raise invalid(network, "mtu", f"must be at most {parent.mtu}, the MTU of {parent.name}")
    return parent


def _lower_index(parent: Link) -> int | None:
    """The index of the link that a macvlan on `parent` is on.

    The kernel puts a macvlan that is made on another macvlan on the parent of that
    (macvlan_common_newlink, drivers/net/macvlan.c).
    """
    return parent.link_index if parent.kind in ("macvlan", "macvtap") else parent.index


# ---- the link ----


@dataclass(slots=True)
class _Made:
    """The undo step of a macvlan.

    Attributes:
        index: the index of the link.
        is_refused: the kernel refused to make it, so that a link with this index is another one.
    """

    session: Session
    name: str
    index: int
    is_refused: bool = False

    def __call__(self) -> None:
        if not self.is_refused:
            delete_by_index(self.session.container, self.index, self.name)


def _make(session: Session, network: Network, parent: Link, first: int, mac: str) -> None:
    """Makes the link, then tags it.

    Parameters:
        mac: the MAC address of the link, or "".
        first: the result of `_first_index`.
    """
    made = _Made(session, network.name, first + int.from_bytes(os.urandom(2), "big") // 2)
    session.undo_stack.push(made, f"the state before {quote(network.name)} was made")
    session.created.add(network.name)
    batch = Batch().add_macvlan(
        network.name,
        parent.index,
        mode=network.options.get(_MODE, "bridge"),
        netns=session.container_netns,
        mac=mac or None,
        mtu=network.mtu or None,
        index=made.index,
    )
    try:
        execute_for(session.host, batch, network.name)
    except BatchError as error:
        made.is_refused = error.errno == EEXIST
        if error.errno == EINVAL and not error.kernel_message:
            error.hint = f"a link like {quote(parent.name)} can't be the parent of a macvlan"
        raise
    batch = Batch().set_link(
        made.index, alias=tag_of(network), txqueuelen=network.txqueuelen or None
    )
    execute_for(session.container, batch, network.name)


# ---- which links are the network's ----


def _first_index(session: Session, network: Network) -> int:
    """Returns the lowest of the indexes that identify a network."""
    digest = digest_of(owner_key(network, session), network)
    return _FIRST_INDEX + (digest % _HASHES << _RANDOM_BITS)


def _find_own(session: Session, network: Network, first: int) -> list[Link]:
    """Returns the links in the container that are the network's, with or without its tag."""
    tag = tag_of(network)
    try:
        links = session.container.dump_links().values()
    except KernelError as error:
        error.interface = network.name
        raise
    return [
        link
        for link in links
        if link.kind == "macvlan"
        and first <= link.index < first + (1 << _RANDOM_BITS)
        and not has_other_tag(link, tag)
    ]


def _delete_left_over(session: Session, network: Network, first: int, error: BatchError) -> bool:
    """Deletes the untagged link that a killed `create` of this network left, and returns True.

    Returns False if there is no such link. If a tagged link of the network exists, the hint of
    `error` then says what to do about it.
    """
    for link in _find_own(session, network, first):
        link = wait_for_tag(session.container, link, session.until)
        if not link.alias:
            delete_by_index(session.container, link.index, link.name)
            return True
        error.hint = f"already set up as {quote(link.name)}: tear it down first"
    return False
