"""`RtnetlinkSocket` without capabilities, and where AF_NETLINK is refused."""

from __future__ import annotations

import errno
import os

import pytest
import support
from helpers_rtnetlink import NOWHERE, SECCOMP

from pynetstrat import (
    InterfaceNotFoundError,
    KernelError,
    NetlinkUnavailableError,
    PermissionDeniedError,
    RtnetlinkSocket,
    link_set_up,
)

# ---- without CAP_NET_ADMIN ----


def test_without_the_capability_only_a_change_is_refused(net, rtnetlink):
    net.add_veth("v0", "w0", up=False)
    net.set_up("w0")
    with support.without(support.CAP_NET_ADMIN), RtnetlinkSocket() as unprivileged:
        unprivileged.link_set_up("w0")  # it is up: a success
        unprivileged.link_set_down("v0")  # and it is down
        link_set_up("w0")
        assert unprivileged.link_is_up("w0")
        assert unprivileged.get_stats("w0").name == "w0"
        for call in (
            lambda: unprivileged.link_set_up("v0"),
            lambda: unprivileged.link_set_down("w0"),
            lambda: link_set_up("v0"),
        ):
            with pytest.raises(PermissionDeniedError) as caught:
                call()
            error = caught.value
            assert (error.errno, error.operation) == (errno.EPERM, "RTM_NEWLINK")
            assert error.interface in ("v0", "w0")
            assert "CAP_NET_ADMIN" in str(error)
        with pytest.raises(InterfaceNotFoundError):  # no right is missing to learn that
            unprivileged.link_set_up(NOWHERE)


def test_root_in_a_user_namespace_has_no_capability_over_this_namespace(net):
    net.set_up("lo")
    net.add_veth("v0", "w0", up=False)
    code = """
from pynetstrat import PermissionDeniedError, get_strategy, link_set_up
from pynetstrat.cli import _fresh_namespaces
_fresh_namespaces.unshare(_fresh_namespaces.CLONE_NEWUSER)
get_strategy("loopback").initialize()
try:
    link_set_up("v0")
except PermissionDeniedError as error:
    print(error)
"""
    done = support.python(code)
    assert done.stderr == ""
    assert done.stdout.startswith('interface "v0": RTM_NEWLINK: Operation not permitted')
    assert "CAP_NET_ADMIN" in done.stdout


# ---- AF_NETLINK refused ----


@pytest.mark.slow
@pytest.mark.parametrize("code", [errno.EPERM, errno.EACCES, errno.EAFNOSUPPORT])
def test_the_error_says_that_seccomp_refuses_netlink(net, code):
    done = support.python(SECCOMP, str(code))
    assert done.stderr == ""
    by_hand, by_strategy = done.stdout.splitlines()
    assert by_hand.startswith(f"socket: {os.strerror(code)}; ")
    assert by_strategy == f'interface "lo": {by_hand}'
    for part in ("AF_NETLINK", "seccomp", "SELinux", "AppArmor"):
        assert part in by_hand


def test_the_error_says_that_no_descriptor_is_free(net):
    """The error does not blame AF_NETLINK."""
    import resource

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
    try:
        with pytest.raises(KernelError) as caught:
            RtnetlinkSocket()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert not isinstance(caught.value, NetlinkUnavailableError)
    assert (caught.value.errno, caught.value.operation) == (errno.EMFILE, "socket")
