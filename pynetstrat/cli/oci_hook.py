"""`pynetstrat oci-hook`: a hook of an OCI runtime, which wires a container by its annotation.

Whoever writes annotations is not trusted (SECURITY.md): what they may ask for is what the arguments
of this command allow, and unless that is more than loopback and veth an annotation names nothing of
the host's but an allowed bridge.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace

from .. import NetworkNamespace, set_up_networks, tear_down_networks
from ..errors import InvalidNetworkError, NetstratError
from .configuration import networks_from_json, read_standard_input

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from ..network import Network

ANNOTATION = "pynetstrat.networks"
_DEFAULT_TYPES = ["loopback", "veth"]
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
    networks = [_restrict(network, state["id"], allowed, options.bridge) for network in asked]
    if options.hook == "createRuntime":
        with NetworkNamespace.of_process(_pid(state)) as netns, NetworkNamespace.current() as own:
            if netns.id == own.id:
                raise StateError("the container has no network namespace of its own")
            set_up_networks(networks, netns=netns)
    else:
        # The process, and the namespace with it, may be gone: what is marked as the container's is
        # deleted, and nothing else.
        tear_down_networks(networks)
    return ""


def _read_state(text: bytes) -> dict[str, Any]:
    try:
        state = json.loads(text)
        if not isinstance(state, dict):
            raise ValueError("an object is wanted")
        if not isinstance(state.get("id"), str) or not os.fsencode(state["id"]):
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
    return replace(network, owner=container)
