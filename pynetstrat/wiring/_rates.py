"""Limits the rates of a veth pair, where root of the container cannot lift them.

What the container receives is limited by a tbf on the host end. What it sends is redirected, as the
host end receives it, to the queue of an ifb of its own, which has a tbf as well (csrc/qdisc.c draws
it). The host end takes its queueing disciplines with it when it is deleted, by the end of the
container too, but not the ifb. So the name of the ifb is generated from the owner and the name of
the host end, and the ifb has the alias tag and a MAC address like that of the host end.
"""

from __future__ import annotations

from errno import EEXIST, ENOENT, EOPNOTSUPP, EPERM

from .._native.batch import Message
from .._native.qdiscs import NEWTFILTER, TBF_LATENCY, add_redirect, tbf_burst, tbf_limit
from ..errors import BatchError, KernelError
from ..rtnetlink.batch import Batch
from ._hash import stable_hash
from ._links import append, delete_by_index, execute_for, find_link
from ._veth_names import (
    HOST_MAC,
    digest_of,
    has_other_tag,
    host_end_name,
    host_mac_prefix,
    new_host_mac,
    tag_of,
)
from ._veth_pair import push_undo
from .network import invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..rtnetlink.links import Link, Qdisc
    from ..rtnetlink.socket import RtnetlinkSocket
    from ._session import Session
    from ._socket import SessionSocket
    from .network import Network

_ETHERNET = 14  # bytes of an Ethernet header: ETH_HLEN, linux/if_ether.h
_DEFAULT_MTU = 1500
# A tbf counts its burst in units of 64 ns. Two of them allow for rounding.
_BURST_STEP = 128e-9


def validate_rates(network: Network) -> None:
    """Raises InvalidNetworkError for a rate that is below one packet per second."""
    if not network.rate_in and not network.rate_out:
        return
    least = ((network.mtu or _DEFAULT_MTU) + _ETHERNET) * 8
    for field in ("rate_in", "rate_out"):
        if 0 < getattr(network, field) < least:
            reason = f"must be 0 or at least {least}, which is one packet per second"
            raise invalid(network, field, reason)


def ifb_name(network: Network, host_end: str) -> str:
    """Returns the name of a network's ifb, of 15 bytes.

    Parameters:
        host_end: the name of the host end.
    """
    text = f"{network.owner}\0{host_end}"
    return f"ifb{stable_hash(text.encode('utf-8', 'surrogateescape')) >> 16:012x}"


def _tbf_options(rate: int, link: Link) -> dict[str, Any]:
    """The options of the tbf for a rate.

    Its burst holds a packet of the largest size, since a tbf drops what is larger.

    Parameters:
        link: the link that the tbf is attached to.
    """
    burst = max(tbf_burst(rate), link.mtu + _ETHERNET)
    return {"rate": rate, "burst": burst, "latency": TBF_LATENCY}


# ---- set up ----


def limit_rates(session: Session, network: Network, digest: int) -> None:
    """Limits the rates of a network whose pair has been made.

    Parameters:
        network: with the name of the host end filled in.
        digest: the result of `digest_of`.
    """
    if not network.rate_in and not network.rate_out:
        return
    host, name = session.host, network.host_interface_name
    link = host.get_link(name)
    batch, needs = Batch(), []  # what the kernel must have, for each message
    if network.rate_out:
        ifb = _make_ifb(session, network, digest)
        batch.add_qdisc(ifb.index, "tbf", **_tbf_options(network.rate_out, link))
        # Up only now: a change of the queueing discipline of a link that is up takes longer.
        batch.set_link(ifb.index, alias=tag_of(network), up=True)
        batch.add_qdisc(link.index, "ingress")
        append(batch, Message(NEWTFILTER, add_redirect, link.index, ifb.index, link=name))
        needs += [
            "the queueing discipline tbf (sch_tbf)",
            "",
            "the queueing discipline ingress (sch_ingress)",
            "the filter u32 (cls_u32) or the action mirred (act_mirred)",
        ]
    if network.rate_in:
        batch.add_qdisc(link.index, "tbf", **_tbf_options(network.rate_in, link))
        needs.append("the queueing discipline tbf (sch_tbf)")
    try:
        execute_for(host, batch, name)
    except BatchError as error:
        if error.errno in (ENOENT, EOPNOTSUPP) and needs[error.item]:
            error.hint = _lacks(needs[error.item])
        raise


def _lacks(what: str) -> str:
    return f"rate_in and rate_out need a kernel that has {what}"


def _make_ifb(session: Session, network: Network, digest: int) -> Link:
    """Makes the ifb of a network, which is down, and returns it."""
    host, name = session.host, ifb_name(network, network.host_interface_name)
    mac = new_host_mac(digest)
    push_undo(session, name, mac)
    batch = Batch().add_link(name, "ifb", mac=mac)
    try:
        execute_for(host, batch, name)
    except BatchError as error:
        if error.errno == EOPNOTSUPP:
            error.hint = _lacks("links of the kind ifb (ifb)")
        # The network's pair was made by this call, so an ifb of the network is an older one.
        if error.errno != EEXIST or not _delete_ifb(host, network, name, host_mac_prefix(digest)):
            raise
        execute_for(host, batch, name)
    return host.get_link(name)


# ---- tear down ----


def delete_ifb(session: Session, network: Network, key: str) -> None:
    """Deletes the ifb of a network whose pair does not exist any more, if there is one.

    It looks for one whatever `rate_out` is: the network may be another one than `create` got.

    Parameters:
        key: the result of `owner_key`.

    Raises:
        KernelError: a link may be the network's ifb, but nothing proves it (EPERM).
    """
    name = ifb_name(network, host_end_name(network, key))
    prefix = host_mac_prefix(digest_of(key, network)) if key else HOST_MAC
    _delete_ifb(session.host, network, name, prefix)


def _delete_ifb(host: RtnetlinkSocket, network: Network, name: str, prefix: str) -> bool:
    """Deletes an ifb that is the network's. Returns whether there was one.

    Parameters:
        prefix: how its MAC address begins. A killed `create` may have left it without a tag.
    """
    link, tag = find_link(host, name), tag_of(network)
    if link is None or link.kind != "ifb" or has_other_tag(link, tag):
        return False
    if link.alias != tag:
        if not link.mac.startswith(prefix):
            return False
        if link.alias:
            hint = (
                f"it is this network's by its MAC address, but its alias is {link.alias!r}: "
                f"set that to {tag!r} again, or delete the link"
            )
            raise KernelError(EPERM, "find", name, hint=hint)
    delete_by_index(host, link.index, name)
    return True


# ---- check ----


def check_rates(host: SessionSocket, network: Network, host_end: Link) -> list[str]:
    """Returns the differences in what limits the rates of a network."""
    found = []
    if network.rate_in:
        options = _tbf_options(network.rate_in, host_end)
        found += [f"rate_in: {text}" for text in _check_tbf(host, host_end, options)]
    if network.rate_out:
        name = ifb_name(network, host_end.name)
        found += [f"rate_out: {text}" for text in _check_ifb(host, network, host_end, name)]
    return found


def _check_ifb(host: SessionSocket, network: Network, host_end: Link, name: str) -> list[str]:
    ifb = find_link(host, name)
    if ifb is None or ifb.kind != "ifb":
        return [f"the ifb {name} is missing"]
    tag = tag_of(network)
    found = [] if ifb.up else [f"{name} is down"]
    if ifb.alias != tag:
        found.append(f"{name} has the alias {ifb.alias!r}, not {tag!r}")
    options = _tbf_options(network.rate_out, host_end)
    found += [f"{name}: {text}" for text in _check_tbf(host, ifb, options)]
    # The kernel uses the first filter that applies.
    if host.dump_redirects(host_end.index)[:1] != [ifb.index]:
        found.append(f"what the container sends is not redirected to {name}")
    return found


def _check_tbf(host: SessionSocket, link: Link, options: dict[str, Any]) -> list[str]:
    """Returns the differences of the tbf at the root of a link."""
    present = [qdisc for qdisc in host.dump_qdiscs(link.index) if qdisc.parent == "root"]
    if not present or present[0].kind != "tbf":
        kind = f" (found: {present[0].kind})" if present else ""
        return [f"the tbf is missing{kind}"]
    return _compare(present[0], options)


def _compare(qdisc: Qdisc, wanted: dict[str, Any]) -> list[str]:
    has = qdisc.options
    rate = wanted["rate"] // 8 * 8  # the kernel counts bytes
    if has["rate"] != rate:
        return [f"{has['rate']} bit/s, not {rate}"]
    step = rate / 8 * _BURST_STEP + 2  # bytes
    if abs(has["burst"] - wanted["burst"]) > step:
        return [f"a burst of {has['burst']} bytes, not {wanted['burst']}"]
    if abs(tbf_limit(**has) - tbf_limit(**wanted)) > 2 * step:
        return [f"a latency of {has['latency']:.3f} s, not {wanted['latency']}"]
    return []
