"""errors.py: what the errors are, what they say, and that they travel."""

from __future__ import annotations

import copy
import errno
import pickle

import pytest
from pynetstrat._core import ffi, lib

import pynetstrat
from pynetstrat import _native, errors

ERRORS = [
    errors.NetstratError("any text"),
    errors.UnknownStrategyError('a "b"\n'),
    errors.UnknownStrategyError("vxlan", ("loopback", 'a "b"')),
    errors.StrategyLoadError("t", "no such module"),
    errors.InvalidInterfaceNameError("a/b", "the rule"),
    errors.InvalidInterfaceNameError(b"\xff", "the rule"),
    errors.InvalidCounterNameError("eth0", "../x"),
    errors.CounterParseError("/p/rx_bytes", "-1", "eth0", "is not an unsigned decimal number"),
    errors.KernelError(errno.EIO, "send", "eth0", "words", "hint", "/path"),
    errors.KernelError(errno.EIO, "send"),
    errors.InterfaceNotFoundError(errno.ENODEV, "RTM_GETLINK", "eth0"),
    errors.CounterNotFoundError(errno.ENOENT, "openat", "eth0", filename="/p/x"),
    errors.PermissionDeniedError(errno.EPERM, "RTM_NEWLINK", "eth0", "", "hint"),
    errors.NetlinkUnavailableError(errno.EPERM, "socket", hint="hint"),
    errors.ForeignSysfsError(errno.EPERM, "fsopen", "eth0", hint="hint"),
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
    "ForeignSysfsError": {errors.KernelError},
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
        *("type", "known", "reason", "interface", "counter", "path", "text", "errno", "strerror"),
        *("operation", "kernel_message", "hint", "filename"),
    ):
        missing = object()
        assert getattr(arrived, attribute, missing) == getattr(error, attribute, missing) or (
            not hasattr(arrived, attribute) and not hasattr(error, attribute)
        )


def test_what_each_error_can_be_caught_as():
    public = {
        name: value
        for name in BASES
        if isinstance(value := getattr(pynetstrat, name), type) and issubclass(value, Exception)
    }
    assert public.keys() == BASES.keys() <= set(pynetstrat.__all__)
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
    assert (error.type, error.known) == (type, ())
    error = errors.UnknownStrategyError(type, ("loopback", 'a "b"'))
    assert str(error) == text + r'; known: "loopback", "a \"b\""'


def test_texts():
    assert [str(error) for error in ERRORS[3:10]] == [
        'strategy type "t" can\'t be loaded: no such module',
        'invalid interface name "a/b": the rule',
        "invalid interface name b'\\xff': the rule",
        "interface \"eth0\": invalid counter name '../x': it must be one file name, "
        "such as rx_bytes",
        'interface "eth0": parse /p/rx_bytes: "-1" is not an unsigned decimal number',
        'interface "eth0": send /path: Input/output error (the kernel says: words); hint',
        "send: Input/output error",
    ]


KINDS = {
    lib.NETSTRAT_KIND_OTHER: errors.KernelError,
    lib.NETSTRAT_KIND_LINK_NOT_FOUND: errors.InterfaceNotFoundError,
    lib.NETSTRAT_KIND_COUNTER_NOT_FOUND: errors.CounterNotFoundError,
    lib.NETSTRAT_KIND_PERMISSION: errors.PermissionDeniedError,
    lib.NETSTRAT_KIND_UNAVAILABLE: errors.NetlinkUnavailableError,
}


def table():
    """The rows of the core's table of failures: step, request, errno, kind and hint."""
    failure, number = ffi.new("struct netstrat_failure *"), 0
    while lib.netstrat_failure_get(number, failure):
        number += 1
        yield (
            *(failure.step, failure.request or 16, failure.code or errno.EIO),
            *(failure.kind, ffi.string(failure.hint).decode()),
        )


def test_every_row_of_the_table_is_what_python_and_c_say():
    rows = list(table())
    assert len(rows) > 40
    seen = set()
    for step, request, code, kind, hint in rows:
        if (step, request, code) in seen:
            continue  # the first row that fits counts
        seen.add((step, request, code))
        error = _native.kernel_error(code, step, request, "eth0", "its words")
        assert type(error) is KINDS[kind]
        assert (error.errno, error.interface, error.hint) == (code, "eth0", hint)
        # The sentence of netstrat_error_describe.
        native = ffi.new("struct netstrat_error *")
        native.code, native.step, native.request = -code, step, request
        native.text, native.text_length = b"its words", 9
        text = ffi.new("char[]", 1024)
        assert lib.netstrat_error_describe(native, b"eth0", text, len(text)) < len(text)
        if step != lib.NETSTRAT_STEP_PARSE:
            assert str(error) == ffi.string(text).decode()
    assert {kind for *_, kind, _ in rows} == set(KINDS)


STEPS = {
    ffi.string(name).decode(): step
    for step in range(lib.NETSTRAT_STEPS)
    if (name := lib.netstrat_step_name(step))
}


@pytest.mark.parametrize(
    ("code", "operation", "kind", "says"),
    [
        (errno.EPERM, "socket", errors.NetlinkUnavailableError, "seccomp"),
        (errno.EACCES, "socket", errors.NetlinkUnavailableError, "SELinux"),
        (errno.EAFNOSUPPORT, "socket", errors.NetlinkUnavailableError, "kernel without"),
        (errno.EMFILE, "socket", errors.KernelError, "RLIMIT_NOFILE"),
        (errno.EPERM, 16, errors.PermissionDeniedError, "CAP_NET_ADMIN"),
        (errno.EPERM, "send", errors.PermissionDeniedError, "a seccomp filter"),
        (errno.ESRCH, "setns", errors.KernelError, "the process has ended"),
        (errno.EPERM, "setns", errors.PermissionDeniedError, "CAP_SYS_ADMIN"),
        (errno.EACCES, "open netns", errors.PermissionDeniedError, "CAP_SYS_PTRACE"),
        (errno.EACCES, "openat", errors.PermissionDeniedError, "the file's mode"),
        (errno.EINVAL, "setns", errors.KernelError, "neither a network namespace nor a pidfd"),
        (errno.EBADF, "setns", errors.KernelError, "Bad file descriptor"),
        (errno.ENOENT, "open netns", errors.KernelError, "/run/netns"),
        (errno.ENODEV, 18, errors.InterfaceNotFoundError, "no such interface"),
        (errno.ENODEV, "pread", errors.InterfaceNotFoundError, "No such device"),
        (errno.ENOENT, "openat", errors.CounterNotFoundError, "No such file"),
        (errno.ENOENT, "open", errors.KernelError, "is sysfs mounted there?"),
        (errno.EMFILE, "openat", errors.KernelError, "RLIMIT_NOFILE"),
        (errno.ETIMEDOUT, "recvfrom", errors.KernelError, "did not answer in time"),
        (errno.EIO, "send", errors.KernelError, "Input/output error"),
    ],
)
def test_errno_to_exception(code, operation, kind, says):
    request = operation if isinstance(operation, int) else 0
    step = lib.NETSTRAT_STEP_REQUEST if request else STEPS[operation]
    operation = {16: "RTM_NEWLINK", 18: "RTM_GETLINK"}.get(operation, operation)
    error = _native.kernel_error(code, step, request, "eth0", "its words", "/a/path")
    assert type(error) is kind
    assert (error.errno, error.operation, error.interface) == (code, operation, "eth0")
    assert (error.kernel_message, error.filename) == ("its words", "/a/path")
    for part in ('"eth0"', operation, "/a/path", error.strerror, "its words", says):
        assert part in str(error)


@pytest.mark.parametrize(
    ("request_type", "operation"),
    [(17, "RTM_DELLINK"), (20, "RTM_NEWADDR"), (94, "RTM_GETSTATS"), (99, "message type 99")],
)
def test_a_refused_message_is_reported_under_its_own_name(request_type, operation):
    error = _native.kernel_error(errno.EPERM, lib.NETSTRAT_STEP_REQUEST, request_type)
    assert error.operation == operation


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
