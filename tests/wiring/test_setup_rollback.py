"""setup.py: after an error everything is as before."""

from __future__ import annotations

import contextlib
import gc
import pickle
import warnings
from collections.abc import Callable
from functools import partial

import pytest
from faults_for_tests import at_line
from helpers_network import (
    EXCHANGES,
    LO,
    dumps,
    ip,
    quick_dumps,
    three_networks,
    veth,
)
from support import descriptors, sample

from pynetstrat import (
    Batch,
    InvalidNetworkError,
    KernelError,
    Network,
    NetworkNamespace,
    RtnetlinkSocket,
    check_networks,
    set_up_networks,
    tear_down_networks,
)
from pynetstrat._native.socket import Socket


@contextlib.contextmanager
def _failing(at: int, error: BaseException, *, after: bool) -> list[str]:
    """Makes exchange number `at` fail, before or after it is carried out. Yields the exchanges."""
    done: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for name in EXCHANGES:
            faulty = _faulty(getattr(Socket, name), name, done, at, error, after)
            patch.setattr(Socket, name, faulty)
        yield done


def _faulty(
    function: Callable[..., object],
    name: str,
    done: list[str],
    at: int,
    error: BaseException,
    after: bool,
) -> Callable[..., object]:
    def work(self: Socket, *arguments: object) -> object:
        number = len(done)
        done.append(name)
        if number == at and not after:
            raise error
        result = function(self, *arguments)
        if number == at:
            raise error
        return result

    return work


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", [KernelError, KeyboardInterrupt])
def test_everything_is_as_before_after_any_exchange_fails(host, bridge, quiet_blue, kind, after):
    """Each exchange fails once: before it is carried out, or after (as if its ack was lost)."""
    before, open_before = (dumps(), dumps(quiet_blue)), descriptors()
    for at in (points := sample(range(100), (kind is KernelError) + 2 * after)):
        error = kind(5, "fault") if kind is KernelError else kind()
        with _failing(at, error, after=after) as done:
            try:
                made = set_up_networks(three_networks(), netns=quiet_blue)
            except kind as raised:
                assert raised is error
                assert "could not be restored" not in str(raised)
            else:
                break
        assert (dumps(), dumps(quiet_blue)) == before, (at, done)
        assert descriptors() == open_before
    assert at - points.step < len(done) <= at
    assert at > 7
    tear_down_networks(made, netns=quiet_blue)


@pytest.mark.slow
def test_everything_is_as_before_after_an_interrupt_at_any_line(host, bridge, quiet_blue):
    """An interrupt at each line of the modules in FILES leaves all or nothing.

    A complete set-up remains only if the interrupt came when it was complete, while the session
    ended: at how many lines differs between versions of Python.
    """

    look = partial(quick_dumps, host, quiet_blue)
    networks, before, complete = three_networks()[:2], look(), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of sockets that the interrupt left open
        for at in sample(range(10_000), step=5):
            if not _interrupted_at_line(at, networks, quiet_blue):
                break
            if look() != before:
                assert check_networks(networks, netns=quiet_blue) == [], at
                complete.append(at)
                tear_down_networks(networks, netns=quiet_blue)
                with RtnetlinkSocket(quiet_blue) as container:
                    container.link_set_down("lo")
                    container.execute(Batch().delete_address(1, "127.0.0.1/8"))
            assert look() == before, at
        gc.collect()
    assert at > 200
    assert min(complete, default=at) > at - 20
    assert len(complete) < 10
    tear_down_networks(networks, netns=quiet_blue)


# The modules that decide what is done and undone.
FILES = (
    *("batch.py", "links.py", "network.py", "setup.py", "_session.py", "_strategy.py"),
    *("_undo.py", "veth.py", "_veth_names.py", "_veth_pair.py"),
)


def _interrupted_at_line(at: int, networks: list[Network], netns: NetworkNamespace) -> bool:
    """Whether the call has so many lines. Those of `close` don't count: everything is done then."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    try:
        with at_line(at + 1, FILES, interrupt, traces=lambda code: code.co_name != "close"):
            set_up_networks(networks, netns=netns)
    except KeyboardInterrupt:
        return True
    return False


def test_lo_that_was_up_stays_up_after_an_error(host, bridge, quiet_blue):
    with RtnetlinkSocket(quiet_blue) as sock:
        sock.link_set_up("lo")
    before = dumps(quiet_blue)
    with pytest.raises(KernelError):
        set_up_networks([LO, veth(gateway="192.0.2.1")], netns=quiet_blue)
    assert dumps(quiet_blue) == before


LO_ADDRESSES = [
    ["127.0.0.9/8"],
    ["127.0.0.1/8", "127.0.0.9/8"],
    ["127.0.0.9/8", "127.0.0.1/8", "10.1.1.1/32"],
    ["fd00::9/128", "127.0.0.9/32", "fd00::8/128"],
]


@pytest.mark.slow
@pytest.mark.parametrize("addresses", LO_ADDRESSES)
def test_lo_that_was_down_keeps_its_addresses_after_an_error(host, bridge, quiet_blue, addresses):
    for address in addresses:
        ip("address", "add", address, "dev", "lo", netns=quiet_blue)
    before = dumps(quiet_blue)
    with pytest.raises(KernelError) as raised:
        set_up_networks([LO, veth(gateway="192.0.2.1")], netns=quiet_blue)
    assert "could not be restored" not in str(raised.value)
    assert dumps(quiet_blue) == before


def test_two_networks_are_undone_if_the_third_is_refused(host, bridge, quiet_blue):
    before = dumps(), dumps(quiet_blue)
    third = veth(name="eth2", host_interface_name="h2", bridge="br1", metric=5)
    networks = [*three_networks(), third]
    with pytest.raises(InvalidNetworkError, match='network "eth2": invalid bridge "br1"'):
        set_up_networks(networks, netns=quiet_blue)
    assert (dumps(), dumps(quiet_blue)) == before


def test_the_error_names_the_network_the_step_and_the_cause(host, bridge, quiet_blue):
    with pytest.raises(KernelError) as raised:
        set_up_networks([LO, veth(gateway="192.0.2.1")], netns=quiet_blue)
    text = str(raised.value)
    assert "RTM_NEWROUTE default: Network is unreachable" in text
    assert "(the kernel says: Nexthop has invalid gateway)" in text
    assert 'step initialize of network "eth0" (veth)' in text
    assert str(pickle.loads(pickle.dumps(raised.value))) == text
