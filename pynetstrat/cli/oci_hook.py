"""`pynetstrat oci-hook`: a hook of an OCI runtime, which wires a container by its annotation.

The author of an annotation is not trusted (SECURITY.md): the arguments of this command limit what
an annotation can request. With the default, loopback and veth, it can name nothing of the host but
an allowed bridge. Tearing down needs no such limit, since it deletes only what carries the
container's id: it works after the arguments of the hook were changed.
"""

from __future__ import annotations

import json
from dataclasses import replace

from .. import NetworkNamespace, RtnetlinkSocket, set_up_networks, tear_down_networks
from ..errors import InterfaceNotFoundError, InvalidNetworkError, NetstratError, TeardownError
from .configuration import networks_from_json, read_standard_input

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from ..wiring.network import Network

ANNOTATION = "pynetstrat.networks"
_DEFAULT_TYPES = ["loopback", "veth"]
# Their `destroy` touches only what is proven to be the owner's.
_TYPES_WITH_PROOF = ["loopback", "veth", "host-device"]
_MOST = 64  # networks of a container

_HELP = f"""\
The container's state is read from standard input, its networks from its annotation
{ANNOTATION}, a JSON list; without that annotation there is nothing to do. Whoever
writes it is not trusted: it gets what is allowed here, or else an error, and nothing
is changed. The names of the host's interfaces are made of the container's id, and
poststop deletes only what is marked with that id."""


class StateError(NetstratError):
    """Standard input does not hold the state of a container that can be wired."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _HELP
    parser.add_argument(
        "--allow",
        action="append",
        metavar="TYPE",
        help="a type of network that annotations may ask for (without any: loopback and veth); "
        "with host-device they may ask for any device",
    )
    parser.add_argument(
        "--bridge",
        action="append",
        metavar="NAME",
        help="a bridge that they may ask for (without any: every bridge there is)",
    )
    parser.add_argument("hook", choices=["createRuntime", "poststop"], help="which hook this is")


def run(options: argparse.Namespace) -> str:
    """Wires the container of the state on standard input, or takes its wiring down."""
    state = _read_state(read_standard_input())
    annotation = state["annotations"].get(ANNOTATION)
    if annotation is None:
        return ""
    allowed = options.allow or _DEFAULT_TYPES
    asked = networks_from_json(annotation)
    if len(asked) > _MOST:
        raise InvalidNetworkError("networks", len(asked), f"at most {_MOST} are allowed")
    if options.hook == "poststop":
        _tear_down(asked, state["id"], allowed)
        return ""
    networks = [_restrict(network, state["id"], allowed, options.bridge) for network in asked]
    _check_mtus(networks)
    with NetworkNamespace.of_process(_pid(state)) as netns, NetworkNamespace.current() as own:
        if netns.id == own.id:
            raise StateError("the container has no network namespace of its own")
        set_up_networks(networks, netns=netns)
    return ""


def _tear_down(asked: list[Network], container: str, allowed: list[str]) -> None:
    """Tears down what is the container's. The process, and the namespace with it, may be gone.

    A strategy of another package is only called if it is still allowed: an annotation must not
    choose which code runs.
    """
    networks, errors = [], []
    for network in asked:
        if network.type in _TYPES_WITH_PROOF or network.type in allowed:
            networks.append(_owned_by(container, network))
        else:
            reason = f"this hook allows {', '.join(allowed)}: tear it down by hand"
            errors.append(InvalidNetworkError("type", network.type, reason, network.name))
    try:
        tear_down_networks(networks)
    except TeardownError as error:
        raise TeardownError([*errors, *error.errors]) from None
    if errors:
        raise TeardownError(errors)


def _owned_by(container: str, network: Network) -> Network:
    """The network with the container as its owner, and without what only `create` can know."""
    name = "" if network.type == "veth" else network.host_interface_name
    return replace(network, owner=container, host_interface_name=name, device=None)


def _read_state(text: bytes) -> dict[str, Any]:
    try:
        state = json.loads(text)
        if not isinstance(state, dict):
            raise ValueError("must be an object")
        if not isinstance(state.get("id"), str) or not state["id"].encode(
            "utf-8", "surrogateescape"
        ):
            raise ValueError("it has no id")
        if state.get("annotations") is None:
            state["annotations"] = {}
        if not isinstance(state["annotations"], dict):
            raise ValueError("the annotations must be an object")
        if not isinstance(state["annotations"].get(ANNOTATION, ""), str):
            raise ValueError(f"the annotation {ANNOTATION} must be text")
    except (ValueError, RecursionError) as error:
        raise StateError(f"standard input does not hold a container's state: {error}") from None
    return state


def _pid(state: dict[str, Any]) -> int:
    pid = state.get("pid")
    if not isinstance(pid, int) or isinstance(pid, bool) or pid <= 0:
        raise StateError("the container's state has no pid")
    return pid


def _restrict(
    network: Network, container: str, types: list[str], bridges: list[str] | None
) -> Network:
    """The network as it may be set up: the container's own, within what is allowed."""

    def refuse(field: str, reason: str) -> InvalidNetworkError:
        return InvalidNetworkError(field, getattr(network, field), reason, network.name)

    if network.type not in types:
        raise refuse("type", f"this hook allows {', '.join(types)}")
    if network.owner not in ("", container):
        raise refuse("owner", "the owner is the container")
    if network.bridge and bridges and network.bridge not in bridges:
        raise refuse("bridge", f"this hook allows {', '.join(bridges)}")
    if network.type == "veth" and not network.bridge:
        raise refuse("bridge", "this hook makes no point-to-point links: name a bridge")
    if network.type == "veth" and network.host_interface_name:
        raise refuse("host_interface_name", "an annotation must not name the host's interfaces")
    if network.device is not None:
        raise refuse("device", "an annotation must not contain a device record")
    if network.type == "host-device" and network.options:
        raise refuse("options", "an annotation must not contain options of host-device")
    return replace(network, owner=container)


def _check_mtus(networks: list[Network]) -> None:
    """Raises InvalidNetworkError for an MTU below its bridge's, whose other ports would suffer.

    A bridge takes the lowest MTU of its ports (br_mtu_auto_adjust, Linux net/bridge/br_if.c), and
    loses its IPv6 addresses for good below 1280.
    """
    lower = [network for network in networks if network.bridge and network.mtu]
    if not lower:
        return
    with RtnetlinkSocket() as host:
        for network in lower:
            try:
                bridge = host.get_link(network.bridge)
            except InterfaceNotFoundError:  # the strategy reports it
                continue
            if network.mtu < bridge.mtu:
                reason = f"must be 0 or at least {bridge.mtu}, the MTU of bridge {network.bridge}"
                raise InvalidNetworkError("mtu", network.mtu, reason, network.name)
