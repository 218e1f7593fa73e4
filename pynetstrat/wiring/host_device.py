"""The strategy `host-device`: moves a device into the container namespace, and back.

The device's settings are recorded in `Network.device` and in a file (_device_record.py) before it
moves (_device_move.py). It is moved back (_device_return.py) only if it is proven to be the same
device (_device_identity.py).
"""

from __future__ import annotations

from contextlib import nullcontext, suppress
from errno import EBUSY
from time import monotonic, sleep

from .._dataclass import replace
from ..counters import host_view
from ..errors import InvalidNetworkError, KernelError, quote
from ..strategy import refuse_fields
from ._device_identity import Location, Place, find_device, is_random
from ._device_move import plan_move, restore_altname
from ._device_record import Record, Store, open_store, parse_record
from ._device_return import TRUST, bring_back, check_names, finish, unproven
from ._difference import check_container_link
from ._links import find_bridge
from ._strategy import SessionStrategy
from ._sysctls import check_sysctls, validate_sysctls
from ._validation import validate_link_name, validate_options, validate_values
from .network import Network, invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._session import Session

_ENDING = 1.0  # seconds that the kernel may take to end a namespace


class HostDevice(SessionStrategy):
    """Moves a device of the host namespace into the container namespace, and back.

    These fields of a `Network` matter:

    - `host_interface_name`, required: the device.
    - `name`: its name in the container. "" keeps its name; `eth%d` lets the kernel choose a number.
    - `mtu`, `txqueuelen`, `mac_address`: settings in the container; 0 and "" keep the device's.
    - `address`, `ipv6_address`, `addresses`, `gateway`, `ipv6_gateway`, `routes`, `metric`: added
      in the container. The device also keeps its permanent addresses of global scope.
    - `sysctls`: set in the container.
    - `bridge`, `hairpin_mode`: the bridge of which the device is a port once it is back. Without
      `bridge` it becomes a port of its former master.
    - `device`: the record that `create` returns and `destroy` needs.
    - `options`: `trust_container`, see below.

    `destroy` restores the device's name, index, MTU, MAC address, queue length, group, alias,
    alternative names, flags and master, without its addresses. It brings back only a link that is
    proven to be the device: a physical device by its parent device (Linux 5.14), a veth by its peer
    in the host namespace. A device of any other kind (macvlan, ipvlan, VLAN, tap, ifb, VXLAN,
    dummy, or a veth whose peer is not in the host namespace) ends with the container's namespace,
    because root of the container could put a link of its own in its place.
    `options={"trust_container": True}` brings back any link that fits the record.

    The kernel deletes queueing disciplines, filters, neighbours, the settings under /proc/sys/net
    and those of a bridge port (except hairpin mode) when a device moves. They are not restored.
    Settings of ethtool(8) stay as the container left them.

    `create` moves the device and configures it; `initialize` does nothing. `destroy` uses the
    record in `device` or, without one, the file that `create` wrote. If the container namespace has
    ended, the kernel has moved a physical device back, which then gets its name and settings again;
    any other device has ended with the namespace. An error of `destroy` says where the device is:
    its record does not fit (InvalidNetworkError), one of its names is taken (EEXIST), the link is
    not proven to be the device (EPERM), or the device is in a third namespace (EBUSY).

    It needs Linux 5.12, where the index of a moved device can be chosen.

    Example:
        >>> network = Network("host-device", host_interface_name="eth1", name="eth0", owner="c1")
        >>> made = set_up_networks([network], netns="blue")
        >>> tear_down_networks(made, netns="blue")
    """

    type = "host-device"
    _keeps_name = True

    def validate(self, network: Network) -> None:
        """Checks the fields of a network.

        Raises:
            InvalidNetworkError: a field has an invalid value.
        """
        validate_values(network)
        validate_options(network, (TRUST,))
        validate_sysctls(network)
        refuse_fields(network, ("addresses", "sysctls"))
        if not isinstance(network.options.get(TRUST, False), bool):
            raise invalid(network, "options", f"{TRUST} must be true or false")
        validate_link_name(network, "host_interface_name")
        if network.host_interface_name == "lo":
            raise invalid(network, "host_interface_name", "each namespace has its own lo")
        if network.name:
            validate_link_name(network, "name", pattern=True)
        if network.bridge:
            validate_link_name(network, "bridge")
        elif network.hairpin_mode:
            raise invalid(network, "hairpin_mode", "requires `bridge`")

    def _create(self, session: Session, network: Network) -> Network:
        session.refuse_host_namespace(network.name or network.host_interface_name)
        network = replace(network, device=None)  # the record of an earlier move
        with Store(session.host_namespace.id) as store:
            store.lock(session.until)
            move = plan_move(session, network, store)
            session.undo_stack.push(move.undo, f"device {quote(move.record.name)}")
            made = move.move()
        move.configure(made)
        return made

    def _destroy(self, session: Session, network: Network) -> None:
        with open_store(session.host_namespace.id) or nullcontext() as store:
            if store is not None:
                store.lock(session.until)
            _tear_down(session, network, store)

    def _check(self, session: Session, network: Network) -> list[str]:
        with open_store(session.host_namespace.id) or nullcontext() as store:
            record = _find_record(session, network, store)
        missing = [f"{network.host_interface_name}: not in the container"]
        if record is None:
            return missing
        found = find_device(session, record, None)
        if found.place is not Place.CONTAINER:
            return missing
        device = session.container.get_device(found.index)
        if device is None:
            return missing
        wanted = network.name or network.host_interface_name
        differences = check_container_link(
            session, network, device.link, mac=record.mac, mtu=record.mtu
        )
        differences += check_sysctls(session, network, device.link.name)
        if "%d" not in wanted and device.link.name != wanted:
            differences.insert(0, f"{device.link.name}: the name should be {wanted}")
        return differences


def _find_record(session: Session, network: Network, store: Store | None) -> Record | None:
    """The record of a network, from its field or its file. None if there is neither.

    Raises:
        InvalidNetworkError: the record is not valid, not that of `create`, or of another host
            namespace.
    """
    stored = store.read(network) if store is not None else None
    if network.device is None:
        record = stored
    else:
        record = parse_record(network.device, network)
        if stored is not None and stored != record:
            reason = "must be the record that create returned: the one that create wrote differs"
            raise InvalidNetworkError("device", record.name, reason, network.name)
    if record is not None and _differ(record.host, session.host_namespace.cookie):
        reason = "must be a record of the host namespace"
        raise InvalidNetworkError("device", record.name, reason, network.name)
    return record


def _differ(cookie: int, other: int | None) -> bool:
    """Whether two cookies are of two namespaces. 0 and None: unknown, which counts as equal."""
    return bool(cookie and other and cookie != other)


def _tear_down(session: Session, network: Network, store: Store | None) -> None:
    record = _find_record(session, network, store)
    name = network.host_interface_name
    if record is None:
        if session.host.get_device(name) is not None:
            return  # it was not moved, or is back
        reason = (
            'is missing: tear down with the output of set-up, or set the "owner" that set-up had, '
            "so that the record under /run/pynetstrat can be found"
        )
        raise InvalidNetworkError("device", None, reason, network.name)
    if session.namespace is not None and _differ(record.container, session.namespace.cookie):
        reason = f"must be a record of a device in {session.namespace}"
        raise InvalidNetworkError("device", record.name, reason, network.name)
    found = _wait_for(session, record)
    if found.place is Place.CONTAINER:
        _return_from_container(session, network, record, found)
    elif found.place is Place.HOST:
        _complete_return(session, network, record, found, store)
    elif found.place is Place.OTHER:
        raise _in_third_namespace(record, found)
    if store is not None:
        store.remove(network)


def _return_from_container(
    session: Session, network: Network, record: Record, found: Location
) -> None:
    if not found.proven and not network.options.get(TRUST, False):
        raise unproven(session, record)
    device = session.container.get_device(found.index)
    shown = quote(device.link.name) if device is not None else "missing"
    name = network.name or record.name
    if "%d" in name and device is not None:
        name = device.link.name
    check_names(session, record, f"the device is still {shown} in {session.container_namespace}")
    if network.bridge:
        find_bridge(session.host, network)
    found.index = bring_back(session, record, found, None)
    with suppress(KernelError):  # counters are no reason to leave the device unfinished
        _count(session, record, found.index, name)
    finish(session, record, found.index, network)


def _count(session: Session, record: Record, index: int, name: str) -> None:
    """Keeps the final counters of a device that is back and still down.

    Parameters:
        index: the device's index in the host namespace.
        name: its name in the container.
    """
    now = session.host.read_counters(index, record.name)
    if record.counters:
        counters = [last - first for last, first in zip(now, record.counters, strict=True)]
        if min(counters) >= 0:  # otherwise the driver has begun to count anew
            session.counters[name] = host_view(name, counters)


def _complete_return(
    session: Session, network: Network, record: Record, found: Location, store: Store | None
) -> None:
    """Completes what a killed call or the end of the namespace left undone.

    A complete return removes the file of the record. A device that was changed after that is left
    alone.
    """
    device = session.host.get_device(found.index)
    has_file = store is not None and store.read(network) is not None
    if device is not None and device.link.name != record.name:
        name = device.link.name
        if has_file or name == network.name or is_random(name):
            finish(session, record, found.index, network)
    elif has_file:
        restore_altname(session, record)


def _wait_for(session: Session, record: Record) -> Location:
    """Finds the device. A namespace that has just ended gives up its devices a little later."""
    until = min(session.until, monotonic() + _ENDING)
    while True:
        found = find_device(session, record, None)
        if session.namespace is not None or found.place is not Place.OTHER or monotonic() > until:
            return found
        sleep(0.01)


def _in_third_namespace(record: Record, found: Location) -> KernelError:
    where = "" if found.nsid is None else f" (nsid {found.nsid})"
    hint = (
        f"the device is in another namespace{where}, not in the host namespace or the given one: "
        "name its namespace, or move it back manually"
    )
    return KernelError(EBUSY, "find", record.name, hint=hint)
