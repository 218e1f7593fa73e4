"""Deletes the links on top of a device that has returned: macvlans, VLANs and the like.

Root of the container may have added them. They survive the move of the device, and would receive
its frames.
"""

from __future__ import annotations

import contextlib
from errno import EBUSY, EINVAL

from ..errors import BatchError, KernelError, quote
from ..rtnetlink._group_delete import unused_group
from ..rtnetlink.batch import Batch
from ._device_identity import is_random, random_name
from .network import invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._session import Session
    from ._socket import Device
    from .network import Network

_DELETIONS = 4  # attempts to delete the links on a device

# Kinds whose IFLA_LINK is the peer, not a lower link.
_PAIRS = ("veth", "netkit", "vxcan")


# Kinds of links that receive the frames of their lower link in place of a bridge
# (netdev_rx_handler_register, Linux net/core/dev.c).
_RECEIVERS = ("macvlan", "macvtap", "ipvlan", "ipvtap")


def refuse_receivers(session: Session, network: Network, device: Device) -> None:
    """Raises InvalidNetworkError if the device can't be a port of the network's bridge later.

    It could not be moved back: the kernel refuses a port with a macvlan (EBUSY).
    """

    def is_receiver(kind: str, link: int, nsid: int, _bus: str, _device: str) -> bool:
        return link == device.link.index and nsid < 0 and kind in _RECEIVERS

    if session.host.find_devices(is_receiver):
        shown = quote(device.link.name)
        reason = f"{shown} can't be its port: a macvlan or ipvlan is on top of it; delete that"
        raise invalid(network, "bridge", reason)


def delete_upper_links(session: Session, device: Device) -> None:
    """Deletes the links of the container namespace that are on top of a device of the host.

    Raises:
        KernelError: EBUSY, a link is left, which is in a third namespace.
    """
    for _ in range(_DELETIONS):
        if session.namespace is not None:
            _delete_container_links(session, device.link.index)
        if _may_go_up(session, device):
            return
    hint = (
        "a link of another namespace is on top of the device, which is therefore left down: delete "
        "that link, or end its namespace"
    )
    raise KernelError(EBUSY, "find", device.link.name, hint=hint)


def _may_go_up(session: Session, device: Device) -> bool:
    """Whether a device may go up: no link of another namespace is known to receive its frames.

    The kernel refuses a macvlan in passthru mode on a device with another macvlan (EINVAL) or any
    other receiver (EBUSY), in whatever namespace (macvlan_common_newlink, drivers/net/macvlan.c).
    So creating such a macvlan is the test.
    """
    link = device.link
    if len(link.mac) != 17 or link.kind in ("macvlan", "macvtap"):
        return True  # not Ethernet; or its macvlans would be on top of its lower link
    probe = random_name()
    try:
        session.host.execute(Batch().add_macvlan(probe, link.index, mode="passthru"))
    except BatchError as error:
        if error.errno in (EBUSY, EINVAL):
            return _has_host_links(session, link.index)
    if session.host.get_device(probe) is not None:
        session.host.execute(Batch().delete_link(probe))
    # Also if the kernel refused the probe for another reason, such as missing support of macvlans:
    # a device must not stay down because the test is impossible.
    return True


def _has_host_links(session: Session, index: int) -> bool:
    """Whether links of the host namespace are on top of a device. Others can't be detected then.

    The probe of a killed process is deleted.
    """

    def is_upper(kind: str, link: int, nsid: int, _bus: str, _device: str) -> bool:
        return link == index and nsid < 0 and kind not in _PAIRS

    found = [session.host.get_device(one) for one in session.host.find_devices(is_upper)]
    probes = [one for one in found if one is not None and is_random(one.link.name)]
    for probe in probes:
        session.host.execute(Batch().delete_link(probe.link.index))
    return len(found) > len(probes)


def _delete_container_links(session: Session, index: int) -> None:
    """Deletes the links of the container namespace that are on top of a link of the host."""

    def is_upper(kind: str, link: int, nsid: int, _bus: str, _device: str) -> bool:
        matches = link == index and nsid >= 0 and kind not in _PAIRS
        if matches:
            nsids.append(nsid)
        return matches

    nsids: list[int] = []
    found = session.container.find_devices(is_upper)
    host = session.container.get_nsid(session.host_namespace) if found else None
    upper = [one for one, nsid in zip(found, nsids, strict=True) if nsid == host]
    if not upper:
        return
    group = unused_group()
    batch = Batch()
    for one in upper:
        batch.set_group(one, group)
    batch.delete_group(group)
    with contextlib.suppress(BatchError):  # the caller checks whether a link is left
        session.container.execute(batch)
