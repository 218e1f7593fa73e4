"""errors.py: what the errors are, what they say, and that they travel."""

from __future__ import annotations

import copy
import errno
import pickle

import pytest

import pynetstrat
from pynetstrat import errors
from pynetstrat.errors import kernel_error

ERRORS = [
    errors.NetstratError("any text"),
    errors.UnknownStrategyError('a "b"\n'),
    errors.StrategyLoadError("t", "no such module"),
    errors.InvalidInterfaceNameError("a/b", "the rule"),
    errors.InvalidInterfaceNameError(b"\xff", "the rule"),
    errors.InvalidCounterNameError("eth0", "../x"),
    errors.CounterParseError("/p/rx_bytes", "-1", "eth0", "is no unsigned decimal number"),
    errors.KernelError(errno.EIO, "send", "eth0", "words", "hint", "/path"),
    errors.KernelError(errno.EIO, "send"),
    errors.InterfaceNotFoundError(errno.ENODEV, "RTM_GETLINK", "eth0"),
    errors.CounterNotFoundError(errno.ENOENT, "openat", "eth0", filename="/p/x"),
    errors.PermissionDeniedError(errno.EPERM, "RTM_NEWLINK", "eth0", "", "hint"),
    errors.NetlinkUnavailableError(errno.EPERM, "socket", hint="hint"),
]

# The public table: each error and what it can be caught as.
BASES = {
    "NetstratError": {Exception},
    "UnknownStrategyError": {LookupError},
    "StrategyLoadError": {ImportError},
    "InvalidInterfaceNameError": {ValueError},
    "InvalidCounterNameError": {ValueError},
    "CounterParseError": {ValueError},
    "KernelError": {OSError},
    "InterfaceNotFoundError": {errors.KernelError, FileNotFoundError},
    "CounterNotFoundError": {errors.KernelError, FileNotFoundError},
    "PermissionDeniedError": {errors.KernelError, PermissionError},
    "NetlinkUnavailableError": {errors.KernelError},
}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    "travel",
    [
        copy.copy,
        copy.deepcopy,
        *(
            lambda e, protocol=protocol: pickle.loads(pickle.dumps(e, protocol))
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
        ),
    ],
)
def test_every_error_pickles_and_copies(error, travel):
    arrived = travel(error)
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert arrived.args == error.args
    for attribute in (
        *("type", "reason", "interface", "counter", "path", "text", "errno", "strerror"),
        *("operation", "kernel_message", "hint", "filename"),
    ):
        missing = object()
        assert getattr(arrived, attribute, missing) == getattr(error, attribute, missing) or (
            not hasattr(arrived, attribute) and not hasattr(error, attribute)
        )


def test_what_each_error_can_be_caught_as():
    public = {
        name: value
        for name in pynetstrat.__all__
        if isinstance(value := getattr(pynetstrat, name), type) and issubclass(value, Exception)
    }
    assert public.keys() == BASES.keys()
    for name, bases in BASES.items():
        assert issubclass(public[name], errors.NetstratError), name
        assert all(issubclass(public[name], base) for base in bases), name
    # and every one of them is tried above
    assert {type(error) for error in ERRORS} == set(public.values())


@pytest.mark.parametrize(
    ("type", "text"),
    [
        ("vxlan", 'unknown strategy type "vxlan"'),
        ("", 'unknown strategy type ""'),
        ('a"b', 'unknown strategy type "a\\"b"'),
        ("a\\b", 'unknown strategy type "a\\\\b"'),
        ("a\nb\x00\x1b[31m", 'unknown strategy type "a\\nb\\x00\\x1b[31m"'),
        ("\u202e", 'unknown strategy type "\\u202e"'),
        ("\udcff", 'unknown strategy type "\\udcff"'),
        ("straße", 'unknown strategy type "straße"'),
    ],
)
def test_unknown_strategy_to_the_letter(type, text):
    error = errors.UnknownStrategyError(type)
    assert str(error) == text
    assert error.type == type


def test_texts():
    assert [str(error) for error in ERRORS[2:9]] == [
        'strategy type "t" can\'t be loaded: no such module',
        'invalid interface name "a/b": the rule',
        "invalid interface name b'\\xff': the rule",
        "interface \"eth0\": invalid counter name '../x': it is one file name, such as rx_bytes",
        'interface "eth0": parse /p/rx_bytes: "-1" is no unsigned decimal number',
        'interface "eth0": send /path: Input/output error (the kernel says: words); hint',
        "send: Input/output error",
    ]


@pytest.mark.parametrize(
    ("code", "operation", "kind", "says"),
    [
        (errno.EPERM, "socket", errors.NetlinkUnavailableError, "seccomp"),
        (errno.EACCES, "socket", errors.NetlinkUnavailableError, "SELinux"),
        (errno.EAFNOSUPPORT, "socket", errors.NetlinkUnavailableError, "kernel without"),
        (errno.EMFILE, "socket", errors.KernelError, "Too many open files"),
        (errno.EPERM, "RTM_NEWLINK", errors.PermissionDeniedError, "CAP_NET_ADMIN"),
        (errno.EPERM, "send", errors.PermissionDeniedError, "a seccomp filter"),
        (errno.ESRCH, "setns", errors.KernelError, "the process has ended"),
        (errno.EPERM, "setns", errors.PermissionDeniedError, "CAP_SYS_ADMIN"),
        (errno.EACCES, "open netns", errors.PermissionDeniedError, "CAP_SYS_PTRACE"),
        (errno.EACCES, "openat", errors.PermissionDeniedError, "the file's mode"),
        (errno.EINVAL, "setns", errors.KernelError, "neither a network namespace nor a pidfd"),
        (errno.EBADF, "setns", errors.KernelError, "Bad file descriptor"),
        (errno.ENOENT, "open netns", errors.KernelError, "/run/netns/NAME"),
        (errno.ENODEV, "RTM_GETLINK", errors.InterfaceNotFoundError, "no such interface"),
        (errno.ENODEV, "pread", errors.InterfaceNotFoundError, "No such device"),
        (errno.ENOENT, "openat", errors.CounterNotFoundError, "No such file"),
        (errno.ENOENT, "open", errors.KernelError, "is sysfs mounted there?"),
        (errno.ETIMEDOUT, "recvfrom", errors.KernelError, "did not answer in time"),
        (errno.EIO, "send", errors.KernelError, "Input/output error"),
    ],
)
def test_errno_to_exception(code, operation, kind, says):
    error = kernel_error(code, operation, "eth0", "its words", "/a/path")
    assert type(error) is kind
    assert (error.errno, error.operation, error.interface) == (code, operation, "eth0")
    assert (error.kernel_message, error.filename) == ("its words", "/a/path")
    for part in ('"eth0"', operation, "/a/path", error.strerror, "its words", says):
        assert part in str(error)


def test_a_name_that_does_not_pickle_travels_as_text():
    nameless = errors.InvalidInterfaceNameError(memoryview(b"lo"), "the rule")
    arrived = pickle.loads(pickle.dumps(nameless))
    assert arrived.interface == repr(nameless.interface)


def test_paths_are_fit_for_a_terminal():
    path = "/sys/class/net/\x1b[31m/statistics"
    for error in (
        errors.KernelError(errno.ENODEV, "open", "\x1b[31m", filename=path),
        errors.CounterParseError(path, "\x1b", "\x1b[31m", "is none"),
    ):
        assert "\x1b" not in str(error)
        assert r"net/\x1b[31m" in str(error)
