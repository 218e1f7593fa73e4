"""`pynetstrat oci-hook`: sets up the networks in a container's annotation, as an OCI hook.

The author of an annotation is not trusted (SECURITY.md). The arguments of this command limit what
an annotation can request. With the default types, loopback and veth, an annotation can refer to
nothing of the host except an allowed bridge. Tearing down networks of the built-in types needs no
such limit, because it deletes only what carries the container's id. It therefore still works after
the hook's arguments changed. A type of another package has to be allowed for poststop as well.
"""

from __future__ import annotations

import json

from .. import NetworkNamespace, RtnetlinkSocket, set_up_networks, tear_down_networks
from .._dataclass import replace
from ..errors import InterfaceNotFoundError, InvalidNetworkError, NetstratError, TeardownError
from . import _annotation_policy
from ._exit import EXIT_STATUS
from ._network_json import networks_from_json
from ._output import read_standard_input

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any

    from ..wiring.network import Network

ANNOTATION = "pynetstrat.networks"
# The types whose `destroy` deletes or moves only what is proven to be the owner's.
_TYPES_WITH_PROOF = ["loopback", "veth", "host-device", "macvlan"]
_MAX_NETWORKS = 64

HELP = f"""\
The OCI runtime passes the container's state on standard input. The networks
are in the container's annotation {ANNOTATION}, a JSON list. A container
without it is left alone.

The author of an annotation is not trusted: a network that the options do not
allow is an error, and nothing is changed. A device record, an owner and options
are always refused. The names of host interfaces are
generated from the container's id, and poststop deletes only what carries that
id. For a type of another package poststop needs the same --allow as
createRuntime.

example, in the "hooks" of a container's config.json:
  "createRuntime": [{{"path": "/usr/local/bin/pynetstrat",
    "args": ["pynetstrat", "oci-hook", "--bridge", "br0", "createRuntime"]}}],
  "poststop": [{{"path": "/usr/local/bin/pynetstrat",
    "args": ["pynetstrat", "oci-hook", "poststop"]}}]

{EXIT_STATUS}"""


class StateError(NetstratError):
    """Standard input is not the state of a container whose networks can be set up."""


ARGUMENTS = {
    **_annotation_policy.ARGUMENTS,
    "hook": {
        "choices": ["createRuntime", "poststop"],
        "help": "createRuntime sets the networks up, poststop tears them down",
    },
}


def run(options: argparse.Namespace) -> str:
    """Sets up or tears down the networks of the container on standard input."""
    state = _read_state(read_standard_input())
    annotation = state["annotations"].get(ANNOTATION)
    if annotation is None:
        return ""
    policy = _annotation_policy.policy_of(options)
    asked = networks_from_json(annotation, f"annotation {ANNOTATION}")
    if len(asked) > _MAX_NETWORKS:
        raise InvalidNetworkError("networks", len(asked), f"must be at most {_MAX_NETWORKS}")
    if options.hook == "poststop":
        _tear_down(asked, state["id"], policy.types)
        return ""
    networks = [policy.restrict(network, state["id"]) for network in asked]
    _check_mtus(networks)
    with NetworkNamespace.of_process(_pid(state)) as netns, NetworkNamespace.current() as own:
        if netns.id == own.id:
            raise StateError("the container has no network namespace of its own")
        set_up_networks(networks, netns=netns)
    return ""


def _tear_down(asked: list[Network], container: str, allowed: Sequence[str]) -> None:
    """Tears down what belongs to the container, whose namespace may have ended.

    A strategy of another package is called only if its type is still allowed: an annotation must
    not choose which code runs.
    """
    networks, errors = [], []
    for network in asked:
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


def _owned_by(container: str, network: Network) -> Network:
    """Returns the network owned by the container, without what an annotation can't request."""
    name = "" if network.type == "veth" else network.host_interface_name
    return replace(network, owner=container, host_interface_name=name, device=None, options={})


def _read_state(text: bytes) -> dict[str, Any]:
    try:
        state = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _invalid_state(f"must be valid JSON: {error}") from None
    if not isinstance(state, dict):
        raise _invalid_state("must be an object")
    if not _is_id(state.get("id")):
        raise _invalid_state("the id must be a non-empty string")
    if state.get("annotations") is None:
        state["annotations"] = {}
    if not isinstance(state["annotations"], dict):
        raise _invalid_state("the annotations must be an object")
    if not isinstance(state["annotations"].get(ANNOTATION, ""), str):
        raise _invalid_state(f"the annotation {ANNOTATION} must be a string")
    return state


def _invalid_state(reason: str) -> StateError:
    return StateError(f"standard input is not the state of a container: {reason}")


def _is_id(value: object) -> bool:
    try:
        return isinstance(value, str) and value.encode("utf-8", "surrogateescape") != b""
    except UnicodeEncodeError:  # JSON can contain lone surrogates
        return False


def _pid(state: dict[str, Any]) -> int:
    pid = state.get("pid")
    if not isinstance(pid, int) or isinstance(pid, bool) or pid <= 0:
        raise StateError("the container's state has no pid")
    return pid


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
