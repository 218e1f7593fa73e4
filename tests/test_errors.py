"""The exceptions: their classes, their sentences, and that they can be pickled and copied."""

from __future__ import annotations

import copy
import errno
import pickle
from pathlib import Path

import pytest
from pynetstrat._core import ffi, lib

import pynetstrat
from pynetstrat import Batch, NetworkNamespace, Route, RtnetlinkSocket, _native, errors
from pynetstrat._native import table as native_table

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
        *("operation", "kernel_message", "hint", "filename", "subject"),
    ):
        missing = object()
        assert getattr(arrived, attribute, missing) == getattr(error, attribute, missing) or (
            not hasattr(arrived, attribute) and not hasattr(error, attribute)
        )


def test_each_error_has_its_base_classes():
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
def test_the_error_of_an_unknown_strategy_lists_the_known_ones(type, text):
    error = errors.UnknownStrategyError(type)
    assert str(error) == text
    assert (error.type, error.known) == (type, ())
    error = errors.UnknownStrategyError(type, ("loopback", 'a "b"'))
    assert str(error) == text + r'; known: "loopback", "a \"b\""'


def test_each_error_has_its_sentence():
    assert [str(error) for error in ERRORS[3:10]] == [
        'strategy type "t" can\'t be loaded: no such module',
        'invalid interface name "a/b": the rule',
        "invalid interface name b'\\xff': the rule",
        'interface "eth0": invalid counter name "../x": must be one file name, such as rx_bytes',
        'interface "eth0": parse /p/rx_bytes: "-1" is not an unsigned decimal number',
        'interface "eth0": send /path: Input/output error (the kernel says: words); hint',
        "send: Input/output error",
    ]


def table():
    """Yields the rows of the core's table of failures: operation, request, errno, kind and hint."""
    failure, number = ffi.new("struct netstrat_failure *"), 0
    while lib.netstrat_failure_get(number, failure):
        number += 1
        yield (
            *(failure.operation, failure.request or 16, failure.code or errno.EIO),
            *(failure.kind, ffi.string(failure.hint).decode()),
        )


def python_error(operation, request, code):
    """Returns the exception for a failure of the core with the text `its words`."""
    if operation in (lib.NETSTRAT_OP_NAME, lib.NETSTRAT_OP_LINK_NAME):
        return _native.invalid_name("eth0", operation)
    if operation == lib.NETSTRAT_OP_FILE:
        return errors.InvalidCounterNameError("eth0", "its words")
    native = ffi.new("struct netstrat_error *", [code, operation, request])
    if operation == lib.NETSTRAT_OP_PARSE:
        hint = _native.hint_of(-code, native)
        return errors.CounterParseError("PATH", "its words", "eth0", hint)
    return _native.kernel_error(code, operation, request, "eth0", "its words")


def test_c_and_python_say_the_same_of_every_row_of_the_table():
    rows = list(table())
    assert len(rows) > 80
    seen = set()
    for operation, request, code, kind, hint in rows:
        if (operation, request, code) in seen:
            continue  # the first row that fits counts
        seen.add((operation, request, code))
        error = python_error(operation, request, code)
        assert type(error) is native_table.CLASSES[kind]
        assert hint in str(error)
        native = ffi.new("struct netstrat_error *")
        native.code, native.operation, native.request = -code, operation, request
        native.text, native.text_length = b"its words", 9
        text = ffi.new("char[]", 1024)
        assert lib.netstrat_error_describe(native, b"eth0", text, len(text)) < len(text)
        # The core does not know the path of a file: it has no room for it.
        assert str(error).replace(" PATH", "") == ffi.string(text).decode()
    assert {kind for *_, kind, _ in rows} == set(native_table.CLASSES)


# ---- failures that the kernel can be made to give ----


def test_an_address_where_ipv6_is_disabled_names_the_setting(host):
    host.execute(Batch().add_veth("v0", "w0"))
    Path("/proc/sys/net/ipv6/conf/v0/disable_ipv6").write_text("1")
    index = host.get_link("v0").index
    with pytest.raises(errors.KernelError, match="disable_ipv6=0") as caught:
        host.execute(Batch().add_address(index, "2001:db8::1/64"))
    error = caught.value
    assert error.errno == errno.EACCES
    assert error.kernel_message.endswith("IPv6 is disabled on this device")
    assert not isinstance(error, errors.PermissionDeniedError)
    assert "seccomp" not in str(error)


def test_a_route_where_ipv6_is_disabled_names_the_setting(host):
    host.execute(Batch().add_veth("v0", "w0", up=True))
    Path("/proc/sys/net/ipv6/conf/v0/disable_ipv6").write_text("1")
    index = host.get_link("v0").index
    with pytest.raises(errors.KernelError, match="disable_ipv6=0") as caught:
        host.execute(Batch().add_route(Route("2001:db8:1::/64", ifindex=index)))
    assert caught.value.errno == errno.EACCES
    assert not isinstance(caught.value, errors.PermissionDeniedError)


@pytest.mark.slow
def test_a_full_bridge_is_named(bridge):
    batch = Batch()
    for number in range(1023):
        batch.add_veth(f"v{number}", f"w{number}", master=bridge)
    with RtnetlinkSocket(timeout=300) as sock:  # a busy machine takes its time for the pairs
        sock.execute(batch)
        with pytest.raises(errors.KernelError, match="the bridge has no free port") as caught:
            sock.execute(Batch().add_veth("one", "more", master=bridge))
    assert caught.value.errno == errno.EXFULL


def test_an_unknown_kind_of_link_is_named(host):
    with pytest.raises(errors.KernelError, match="does not support this kind of link") as caught:
        host.execute(Batch().add_link("x0", "nosuchkind"))
    assert caught.value.errno == errno.EOPNOTSUPP


def test_the_limit_of_namespaces_is_named(net):
    limit = Path("/proc/sys/user/max_net_namespaces")
    before = limit.read_text()
    limit.write_text("0")
    try:
        with pytest.raises(errors.KernelError, match=r"user\.max_net_namespaces") as caught:
            NetworkNamespace.create()
    finally:
        limit.write_text(before)
    assert (caught.value.errno, caught.value.operation) == (errno.ENOSPC, "unshare")


def test_a_missing_parent_of_the_directory_of_names_is_named(tmp_path):
    error = ffi.new("struct netstrat_error *")
    directory = tmp_path / "missing" / "netns"
    path = directory / "blue"
    with NetworkNamespace.create() as namespace:
        code = lib.netstrat_netns_bind(
            namespace.fileno(), str(directory).encode(), str(path).encode(), error
        )
    assert code == -errno.ENOENT
    with pytest.raises(errors.KernelError, match="its parent directory does not exist") as caught:
        _native.fail(code, error)
    assert caught.value.operation == "mkdir"


@pytest.mark.parametrize(
    ("operation", "code", "says"),
    [
        ("pthread_create", errno.EAGAIN, "pids.max"),
        ("pthread_create", errno.EINVAL, "CLONE_NEWPID"),
        ("fsopen", errno.ENOSYS, "Linux 5.2"),
        ("fsconfig", errno.ENOSYS, "Linux 5.2"),
        ("fsmount", errno.ENOSYS, "Linux 5.2"),
        ("mount", errno.ENOENT, "check that /proc is mounted"),
        ("openat", errno.ENFILE, "fs.file-max"),
        ("open", errno.ENFILE, "fs.file-max"),
        ("open netns", errno.ENFILE, "fs.file-max"),
        ("socket", errno.ENFILE, "fs.file-max"),
        ("send", errno.EOPNOTSUPP, "qemu-user"),
        ("RTM_GETSTATS", errno.EOPNOTSUPP, "Linux 4.7"),
    ],
)
def test_a_failure_that_takes_an_exhausted_or_older_system_has_a_hint(operation, code, says):
    number = OPERATIONS.get(operation, lib.NETSTRAT_OP_REQUEST)
    error = _native.kernel_error(code, number, 94 if operation == "RTM_GETSTATS" else 0)
    assert type(error) is errors.KernelError
    assert error.operation == operation
    assert says in error.hint


OPERATIONS = {
    ffi.string(name).decode(): operation
    for operation in range(lib.NETSTRAT_OPERATIONS)
    if (name := lib.netstrat_operation_name(operation))
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
        (errno.EINVAL, "setns", errors.KernelError, "must be a network namespace or a pidfd"),
        (errno.EBADF, "setns", errors.KernelError, "Bad file descriptor"),
        (errno.ENOENT, "open netns", errors.KernelError, "/run/netns"),
        (errno.ENODEV, 18, errors.InterfaceNotFoundError, "no such interface"),
        (errno.ENODEV, "pread", errors.InterfaceNotFoundError, "No such device"),
        (errno.ENOENT, "openat", errors.CounterNotFoundError, "No such file"),
        (errno.ENOENT, "open", errors.KernelError, "check that sysfs is mounted there"),
        (errno.EMFILE, "openat", errors.KernelError, "RLIMIT_NOFILE"),
        (errno.ETIMEDOUT, "recvfrom", errors.KernelError, "did not answer in time"),
        (errno.EIO, "send", errors.KernelError, "Input/output error"),
    ],
)
def test_each_errno_becomes_its_exception(code, operation, kind, says):
    request = operation if isinstance(operation, int) else 0
    number = lib.NETSTRAT_OP_REQUEST if request else OPERATIONS[operation]
    operation = {16: "RTM_NEWLINK", 18: "RTM_GETLINK"}.get(operation, operation)
    error = _native.kernel_error(code, number, request, "eth0", "its words", "/a/path")
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
    error = _native.kernel_error(errno.EPERM, lib.NETSTRAT_OP_REQUEST, request_type)
    assert error.operation == operation


def test_a_name_that_can_not_be_pickled_is_pickled_as_text():
    nameless = errors.InvalidInterfaceNameError(memoryview(b"lo"), "the rule")
    arrived = pickle.loads(pickle.dumps(nameless))
    assert arrived.interface == repr(nameless.interface)


def test_a_value_that_is_nested_too_deeply_to_be_shown_is_left_out():
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    error = errors.InvalidNetworkError("options", value, "must be flat")
    assert str(error) == "invalid options ...: must be flat"
    assert str(pickle.loads(pickle.dumps(error))) == 'invalid options "...": must be flat'


def test_unprintable_characters_of_a_path_are_escaped():
    path = "/sys/class/net/\x1b[31m/statistics"
    for error in (
        errors.KernelError(errno.ENODEV, "open", "\x1b[31m", filename=path),
        errors.CounterParseError(path, "\x1b", "\x1b[31m", "is none"),
    ):
        assert "\x1b" not in str(error)
        assert r"net/\x1b[31m" in str(error)
