"""The networks in a container's annotation, which `oci-hook` sets up and tears down."""

from __future__ import annotations

from .. import NetworkNamespace, RtnetlinkSocket, tear_down_networks
from .._dataclass import replace
from ..errors import InterfaceNotFoundError, InvalidNetworkError, TeardownError
from ..wiring.setup import set_up as set_up_all
from ._annotation_policy import policy_of
from ._exit import EndError
from ._hook_state import HookState
from ._network_json import networks_from_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..wiring.network import Network

# The types whose `destroy` deletes or moves only what is proven to be the owner's.
_TYPES_WITH_PROOF = ["loopback", "veth", "host-device", "macvlan"]
_MAX_NETWORKS = 64


def set_up(annotation: str, source: str, options: Any, container: str, pid: int) -> None:
    """Sets up the networks of a container.

    Parameters:
        annotation: a JSON list of networks.
        source: where it is from, for errors.
        options: the arguments of the command, which limit what it may request.
        container: the container's id.
        pid: a process in the container's network namespace.
    """
    policy = policy_of(options)
    networks = [policy.restrict(one, container) for one in _read(annotation, source)]
    _check_mtus(networks)
    with NetworkNamespace.of_process(pid) as netns, NetworkNamespace.current() as own:
        if netns.id == own.id:
            raise EndError("the container has no network namespace of its own")
        state = HookState(container)
        is_first = state.read() is None  # otherwise the file is of a container that may be running
        if is_first:
            state.write(networks)  # for the case that this process is killed
        try:
            set_up_all(networks, netns, state.write)
        except BaseException:
            if is_first:
                state.remove()
            raise


def tear_down(annotation: str, source: str, options: Any, container: str) -> None:
    """Tears down what belongs to a container, whose namespace may have ended.

    The networks are read from the file that `set_up` has stored, or, if it is missing, from the
    annotation. A strategy of another package is then called only if its type is still allowed: an
    annotation must not choose which code runs.

    Parameters:
        annotation, source, options, container: as for `set_up`.
    """
    state = HookState(container)
    stored = state.read()
    if stored is None:
        _tear_down_requested(_read(annotation, source), policy_of(options).types, container)
    else:
        tear_down_networks(stored)
    state.remove()


def _tear_down_requested(requested: list[Network], allowed: Sequence[str], container: str) -> None:
    networks, errors = [], []
    for network in requested:
        if network.type in _TYPES_WITH_PROOF or network.type in allowed:
            networks.append(_owned_by(container, network))
        else:
            reason = f"this hook allows {', '.join(allowed)}; tear the network down manually"
            errors.append(InvalidNetworkError("type", network.type, reason, network.name))
    try:
        tear_down_networks(networks)
    except TeardownError as error:
        raise TeardownError([*errors, *error.errors]) from None
    if errors:
        raise TeardownError(errors)


def _read(annotation: str, source: str) -> list[Network]:
    networks = networks_from_json(annotation, source)
    if len(networks) > _MAX_NETWORKS:
        raise InvalidNetworkError("networks", len(networks), f"must be at most {_MAX_NETWORKS}")
    return networks


def _owned_by(container: str, network: Network) -> Network:
    """Returns the network owned by the container, without what an annotation can't request."""
    name = "" if network.type == "veth" else network.host_interface_name
    return replace(network, owner=container, host_interface_name=name, device=None, options={})


def _check_mtus(networks: list[Network]) -> None:
    """Raises InvalidNetworkError for an MTU that is lower than the bridge's.

    A bridge adopts the lowest MTU of its ports (br_mtu_auto_adjust in Linux net/bridge/br_if.c),
    which would affect all other containers. Below 1280 it also loses its IPv6 addresses for good.
    """
    lower = [network for network in networks if network.bridge and network.mtu]
    if not lower:
        return
    with RtnetlinkSocket() as host:
        for network in lower:
            try:
                bridge = host.get_link(network.bridge)
            except InterfaceNotFoundError:  # reported by the strategy
                continue
            if network.mtu < bridge.mtu:
                reason = f"must be 0 or at least {bridge.mtu}, the MTU of bridge {network.bridge}"
                raise InvalidNetworkError("mtu", network.mtu, reason, network.name)
