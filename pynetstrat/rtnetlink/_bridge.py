"""Makes a bridge or completes an existing one, also while other processes do the same."""

from __future__ import annotations

import os
from errno import EAGAIN, EEXIST, EINVAL
from itertools import count
from time import monotonic

from .._native.batch import Encoded
from .._native.prefixes import normal_prefix
from .._native.queries import wait_for_local_routes
from .._native.values import check_integer
from .._partial import partial
from ..errors import (
    BatchError,
    InterfaceNotFoundError,
    InvalidInterfaceNameError,
    InvalidNetworkError,
    KernelError,
)
from .batch import ETHERNET_MTU, Batch, execute
from .links import Address, Link

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .._native.socket import Socket
    from ..types import Name

_LONGEST = 1.0  # seconds that a worker of the kernel is waited for
_TRIES = 16  # to find or make the bridge, while other processes make and delete it


class Bridge:
    """The arguments of `RtnetlinkSocket.ensure_bridge`, checked.

    Parameters:
        name, mac, mtu, addresses, up: as for `RtnetlinkSocket.ensure_bridge`.
    """

    def __init__(
        self, name: Name, mac: str | None, mtu: int | None, addresses: Sequence[str], up: bool
    ) -> None:
        if "%" in str(name):
            reason = "must not contain %: the kernel would make a bridge of another name"
            raise InvalidInterfaceNameError(name, reason)
        # Without a MAC address at creation the bridge would take the lowest of its ports, and
        # change it with them. With an MTU at creation it would follow the MTU of its ports, and
        # lose it with the last one (br_mtu_auto_adjust in net/bridge/br_if.c of the kernel).
        self._new = Batch().add_bridge(name, mac=_random_mac() if mac is None else mac)
        self._name = os.fsdecode(name)
        self._mac, self._mtu, self._addresses, self._up = mac, mtu, list(addresses), up
        if mtu is not None:
            check_integer("mtu", mtu, *ETHERNET_MTU)
        Batch().set_link(1, up=up)
        for address in self._addresses:
            if not isinstance(address, str):
                reason = 'must be texts in CIDR, such as "192.0.2.1/24"'
                raise InvalidNetworkError("addresses", address, reason)
            Batch().add_address(1, address)

    def ensure(self, sock: Socket) -> Link:
        """Makes or completes the bridge, and returns it."""
        link = self._find_or_make(sock)
        batch = Batch()
        if self._mac is not None and link.mac != self._mac.lower():
            batch.set_link(link.index, mac=self._mac)
        if self._mtu is not None and link.mtu != self._mtu:
            batch.set_link(link.index, mtu=self._mtu)
        # Before the link goes up: the kernel announces IPv4 addresses then.
        present = _addresses_of(sock, link)
        missing = [one for one in self._addresses if normal_prefix(one) not in present]
        numbers = {}
        for number, address in zip(count(len(batch)), missing, strict=False):
            numbers[number] = address
            batch.add_address(link.index, address, nodad=":" in address)
        if self._up and not link.up:
            batch.set_link(link.index, up=True)
        if batch:
            self._complete(sock, link, batch, numbers)
            if self._up or link.up:
                _wait_until_receiving(sock, link, missing)
        return Link(*sock.get_link(link.name))

    def _find_or_make(self, sock: Socket) -> Link:
        for _ in range(_TRIES):
            try:
                link = Link(*sock.get_link(self._name))
            except InterfaceNotFoundError:
                try:
                    execute(sock, Encoded(self._new.messages))
                except BatchError as error:
                    if error.errno != EEXIST:  # EEXIST: another process has just made it
                        raise
                continue
            if link.kind == "bridge":
                return link
            kind = f"a link of kind {link.kind}" if link.kind else "a device"
            hint = f"the name is taken by {kind}: choose another name, or rename that link"
            raise KernelError(EEXIST, "find", self._name, hint=hint)
        hint = "another process keeps deleting the bridge"
        raise KernelError(EAGAIN, "RTM_NEWLINK", self._name, hint=hint)

    def _complete(self, sock: Socket, link: Link, batch: Batch, numbers: dict[int, str]) -> None:
        """Executes the batch that completes the bridge.

        Parameters:
            numbers: the addresses that it adds, by the numbers of their messages.
        """
        try:
            execute(sock, Encoded(batch.messages))
        except BatchError as error:
            error.interface = link.name
            present = _addresses_of(sock, link)
            for number, result in enumerate(error.results):
                if result is None:
                    continue
                address = numbers.get(number)
                if address is None or not isinstance(result, KernelError):
                    raise
                if result.errno == EINVAL and ":" in address and not result.kernel_message:
                    error.hint = "IPv6 needs a link with an MTU of at least 1280"
                if result.errno != EEXIST:
                    raise
                if normal_prefix(address) not in present:  # otherwise another process added it
                    error.hint = f"{address} exists with another prefix length: delete that first"
                    raise


def _random_mac() -> str:
    """Returns a locally administered unicast address (IEEE 802: the two low bits of byte 0)."""
    first, *rest = os.urandom(6)
    return bytes([first & 0xFC | 2, *rest]).hex(":")


def _wait_until_receiving(sock: Socket, link: Link, added: Sequence[str]) -> None:
    """Waits until the host receives what it sends to the added addresses, for a second at most.

    What is sent to an IPv6 address before fails after three seconds (EHOSTUNREACH). The bridge is
    complete, so an error is no reason to fail.
    """
    bare = [one.partition("/")[0] for one in added if ":" in one]
    if bare:
        dump = partial(sock.dump_local_routes, link.index)
        addresses = {normal_prefix(f"{one}/128") for one in bare}
        try:  # noqa: SIM105  # contextlib takes long to load
            wait_for_local_routes(dump, addresses, monotonic() + _LONGEST)
        except KernelError:
            pass


def _addresses_of(sock: Socket, link: Link) -> set[str]:
    return {Address(**fields).address for fields in sock.dump_addresses(link.index)}
