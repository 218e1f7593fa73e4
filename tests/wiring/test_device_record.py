"""wiring/_device_record.py: the record of a device, in the network and in its file."""

from __future__ import annotations

import contextlib
import errno
import gc
import itertools
import json
import os
import signal
import stat
import traceback
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import support
from devices import (
    RECORDS,
    add_device,
    assert_unchanged,
    change,
    device,
    refused,
    state,
    strategy,
)
from helpers_network import names

from pynetstrat import (
    Batch,
    InterfaceNotFoundError,
    InvalidNetworkError,
    KernelError,
    NetstratError,
    Network,
    NetworkNamespace,
    PermissionDeniedError,
    RtnetlinkSocket,
    check_networks,
    set_up_networks,
    tear_down_networks,
)
from pynetstrat.cli import main as command
from pynetstrat.wiring import _device_move, _device_record, _run_folder
from pynetstrat.wiring._session import Session


def record_file() -> Path:
    (found,) = RECORDS.iterdir()
    return found


# ---- field and file ----


def test_the_record_holds_the_identity_and_the_settings_of_the_device(configured_device, container):
    link = configured_device.get_link("d0")
    made = strategy.create(device(name="eth0"), netns=container)
    expected = {
        "name": "d0",
        "index": link.index,
        "kind": "veth",
        "parent_bus": "",
        "parent_device": "",
        "permanent_mac": "",
        "peer": link.link_index,
        "mtu": 1400,
        "mac": link.mac,
        "txqueuelen": 77,
        "group": 5,
        "alias": "uplink",
        "altnames": ["a-rather-long-alternative-name"],
        "master": link.master,
        "hairpin": True,
        "up": True,
    }
    assert expected.items() <= made.device.items()
    assert Network.from_dict(json.loads(json.dumps(made.to_dict()))) == made


def test_the_record_is_in_a_private_file_until_the_device_is_back(quiet_host, container):
    add_device()
    made = strategy.create(device(name="eth0"), netns=container)
    file = record_file()
    assert json.loads(file.read_text()) == made.device
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (file, RECORDS, RECORDS.parent)]
    assert modes == [0o600, 0o700, 0o700]
    strategy.destroy(made, netns=container)
    assert not list(RECORDS.iterdir())


def test_a_create_that_failed_leaves_no_record(quiet_host, container):
    add_device()
    bad = device(address="10.7.0.1/24", gateway="203.0.113.1")
    with pytest.raises(KernelError, match="unreachable"):
        strategy.create(bad, netns=container)
    assert "d0" in names()
    assert not list(RECORDS.iterdir())


def test_destroy_finds_the_record_by_owner_name_and_device(quiet_host, container):
    add_device()
    strategy.create(device(name="eth0"), netns=container)
    with pytest.raises(InvalidNetworkError, match="tear down with the output of set-up"):
        strategy.destroy(device(name="eth0", owner="c2"), netns=container)
    assert check_networks([device(name="eth0")], netns=container) == []
    strategy.destroy(device(name="eth0"), netns=container)
    assert "d0" in names()


def test_a_network_without_its_record_is_refused_while_the_device_is_away(quiet_host, container):
    add_device()
    strategy.create(device(name="eth0"), netns=container)
    record_file().unlink()
    before = state(container)
    with pytest.raises(InvalidNetworkError, match="tear down with the output of set-up") as caught:
        strategy.destroy(device(name="eth0"), netns=container)
    assert (caught.value.field, caught.value.value) == ("device", None)
    assert_unchanged(before, container)


def test_destroy_needs_only_the_record(quiet_host, container):
    add_device()
    made = strategy.create(device(name="eth0"), netns=container)
    record_file().unlink()
    strategy.destroy(made, netns=container)
    assert "d0" in names()


@pytest.mark.slow
def test_set_up_prints_the_record_and_tear_down_reads_it(quiet_host, container, tmp_path, capsys):
    add_device()
    given, made = tmp_path / "given.json", tmp_path / "made.json"
    given.write_text(json.dumps([device(name="eth0").to_dict()]))
    with support.process_inside(container.fileno()) as process:
        options = ["--pid", str(process.pid)]
        assert command(["network", "set-up", str(given), *options]) == 0
        made.write_text(capsys.readouterr().out)
        (network,) = json.loads(made.read_text())
        assert network["device"]["name"] == "d0"
        record_file().unlink()
        assert command(["network", "tear-down", str(made), *options]) == 0
        assert "d0" in names()
        assert command(["network", "set-up", str(given), *options]) == 0
        assert command(["network", "tear-down", str(given), *options]) == 0  # by the file
    assert "d0" in names()


def test_two_host_namespaces_that_share_run_have_records_of_their_own(quiet_host, container):
    add_device()
    made = strategy.create(device(name="eth0"), netns=container)
    with NetworkNamespace.create() as host, NetworkNamespace.create() as other:
        change("link", "add", "d0", "type", "veth", "peer", "name", "pd0", netns=host)
        host.call(strategy.create, device(name="eth0"), None, netns=other)
        assert len(list(RECORDS.iterdir())) == 2
        strategy.destroy(made, netns=container)
        host.call(strategy.destroy, device(name="eth0"), netns=other)
        assert "d0" in names(host)
    assert not list(RECORDS.iterdir())


def test_a_record_of_an_earlier_move_is_replaced(quiet_host, container):
    add_device()
    made = strategy.create(device(name="eth%d"), netns=container)
    strategy.destroy(made, netns=container)
    again = strategy.create(made, netns=container)
    assert again.device != made.device
    strategy.destroy(replace(again, device=None), netns=container)
    assert not list(RECORDS.iterdir())


# ---- validation ----


def test_a_record_without_a_boot_id_brings_the_device_back(
    quiet_host, container, monkeypatch, tmp_path
):
    add_device()
    monkeypatch.setattr(_device_record, "_BOOT_ID", str(tmp_path / "missing"))
    made = strategy.create(device(name="eth0"), netns=container)
    monkeypatch.undo()
    assert made.device["boot_id"] == ""
    assert check_networks([made], netns=container) == []
    strategy.destroy(replace(made, device=None), netns=container)
    assert "d0" in names()
    assert not list(RECORDS.iterdir())


CHANGES = {
    "an-older-version": ({"version": 0}, "version 1, not 0"),
    "another-boot": ({"boot_id": "0" * 36}, "is from an earlier boot"),
    "another-device": ({"name": "d1"}, "of device d0"),
    "another-owner": ({"owner": "c2"}, "owner 'c1'"),
    "another-host": ({"host": 1}, "the host namespace"),
    "another-container": ({"container": 1}, "a record of a device in "),
    "an-index-of-0": ({"index": 0}, "out of range"),
    "an-index-as-text": ({"index": "3"}, "its index is '3'"),
    "a-negative-mtu": ({"mtu": -1}, "its mtu is -1"),
    "a-number-for-true": ({"up": 1}, "its up is 1"),
    "too-few-counters": ({"counters": [1, 2]}, r"its counters is \[1, 2\]"),
    "a-negative-counter": ({"counters": [0, -1, 0, 0, 0, 0, 0, 0]}, "its counters is"),
    "names-of-numbers": ({"altnames": [1]}, r"its altnames is \[1\]"),
    "a-key-more": ({"colour": "red"}, "wrong keys: colour"),
    "up-without-the-flag": ({"up": True}, "up and flags differ"),
}


def in_its_places(cases):
    """Each case with the record in the field and in its file; a sample alternates between them."""
    places = ("field", "file")
    pairs = [
        (place, *case)
        for number, case in enumerate(cases)
        for place in places[:: 1 - number % 2 * 2]
    ]
    return support.sample(pairs, step=2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "change_", "words"),
    in_its_places(CHANGES.values()),
)
def test_a_record_that_does_not_fit_the_call_is_refused(
    quiet_host, container, change_, words, place
):
    add_device()
    made = strategy.create(device(name="eth0"), netns=container)
    wrong = {**made.device, **change_}
    file = record_file()
    if place == "file":
        file.write_text(json.dumps(wrong))
        given = replace(made, device=None, name="eth0")
    else:
        file.unlink()
        given = replace(made, device=wrong)
    before = state(container)
    with pytest.raises(InvalidNetworkError, match=words) as caught:
        strategy.destroy(given, netns=container)
    assert caught.value.field == "device"
    if place == "file" and change_.keys().isdisjoint({"host", "container"}):
        assert str(file) in str(caught.value)
    assert_unchanged(before, container)
    file.unlink(missing_ok=True)
    strategy.destroy(made, netns=container)
    assert "d0" in names()


def test_a_record_without_a_key_is_refused(quiet_host, container):
    add_device()
    made = strategy.create(device(name="eth0"), netns=container)
    wrong = {key: value for key, value in made.device.items() if key != "peer"}
    with pytest.raises(InvalidNetworkError, match="wrong keys: peer"):
        strategy.destroy(replace(made, device=wrong), netns=container)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "key", "value"),
    in_its_places(
        [
            ("peer", 1 << 31),
            ("master", 1 << 31),
            ("mtu", 1 << 31),
            ("txqueuelen", 1 << 32),
            ("group", 1 << 32),
            ("flags", 1 << 32),
            ("mac", "x"),
            ("mac", "02:00:00:00:00:0g"),
            ("alias", "\ud800"),
            ("alias", "x" * 256),
            ("altnames", [""]),
            ("altnames", ["x" * 128]),
            ("wanted", "\ud800"),
            ("kind", "macvlan"),
            ("index", 0),
        ]
    ),
)
def test_a_record_that_the_kernel_would_refuse_is_refused_before_the_device_moves(
    quiet_host, container, place, key, value
):
    add_device()
    made = strategy.create(device(name="eth0"), netns=container)
    edited = {**made.device, key: value}
    if place == "file":
        record_file().write_text(json.dumps(edited))
        network = replace(made, name="eth0", device=None)
    else:
        record_file().unlink()
        network = replace(made, device=edited)
    with pytest.raises(InvalidNetworkError, match="must be a record"):
        strategy.destroy(network, netns=container)
    assert names(container) == {"lo", "eth0"}


def test_a_record_that_differs_from_its_file_is_refused(quiet_host, container):
    add_device()
    add_device("veth", "d1")
    made = strategy.create(device(name="eth0"), netns=container)
    edited = {**made.device, "peer": quiet_host.get_link("pd1").index}
    with pytest.raises(InvalidNetworkError, match="the one that create wrote differs"):
        strategy.destroy(replace(made, device=edited), netns=container)
    assert names() >= {"pd0", "d1", "pd1"}


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\xff", "[" * 100_000])
def test_the_error_names_a_file_that_is_not_a_record(quiet_host, container, text):
    add_device()
    strategy.create(device(name="eth0"), netns=container)
    file = record_file()
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(InvalidNetworkError, match=rf"{file}: must be a record in JSON"):
        strategy.destroy(device(name="eth0"), netns=container)


def test_a_record_that_is_a_symbolic_link_is_refused(quiet_host, container):
    add_device()
    strategy.create(device(name="eth0"), netns=container)
    file = record_file()
    elsewhere = file.rename(f"{file}.elsewhere")
    file.symlink_to(elsewhere)
    with pytest.raises(KernelError, match="must be a regular file: delete it") as caught:
        strategy.destroy(device(name="eth0"), netns=container)
    assert caught.value.filename == str(file)


# ---- /run/pynetstrat ----


def make_symbolic_link(folder: Path) -> None:
    elsewhere = Path("/run/elsewhere")
    elsewhere.mkdir(mode=0o700)
    folder.symlink_to(elsewhere)


def make_writable_by_all(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)


BAD_FOLDERS = {
    "a-symbolic-link": (make_symbolic_link, KernelError, "not a symbolic link"),
    "a-file": (Path.touch, KernelError, "not a symbolic link or a file"),
    "writable-by-all": (
        make_writable_by_all,
        PermissionDeniedError,
        "must not be writable by other users",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("part", [RECORDS.parent, RECORDS], ids=["pynetstrat", "devices"])
@pytest.mark.parametrize(("make", "kind", "words"), BAD_FOLDERS.values(), ids=BAD_FOLDERS)
def test_a_bad_folder_is_refused_before_anything_changes(
    quiet_host, container, part, make, kind, words
):
    add_device()
    part.parent.mkdir(mode=0o700, exist_ok=True)
    make(part)
    error = refused(container, device(name="eth0"), kind, words, str(part))
    assert error.filename == str(part)


def test_a_folder_that_belongs_to_another_user_is_refused(quiet_host, container, monkeypatch):
    """The user namespace of the tests has one user, so geteuid() is replaced."""
    add_device()
    RECORDS.parent.mkdir(mode=0o700)
    monkeypatch.setattr(_run_folder.os, "geteuid", lambda: 12345)
    refused(container, device(), PermissionDeniedError, "must belong to user 12345")


def test_a_read_only_run_is_refused_before_anything_changes(quiet_host, container):
    add_device()
    support.mount("tmpfs", Path("/run"), "tmpfs", 1)  # MS_RDONLY
    try:
        error = refused(container, device(), KernelError, "make it writable")
    finally:
        support.unmount("/run")
    assert error.filename == "/run/pynetstrat"


def test_destroy_with_a_record_works_without_the_folder(quiet_host, container):
    add_device()
    made = strategy.create(device(), netns=container)
    support.mount("tmpfs", Path("/run"), "tmpfs", 1)
    try:
        strategy.destroy(made, netns=container)
    finally:
        support.unmount("/run")
    assert "d0" in names()


# ---- killed ----


def kill_at(target: int, network: Network, netns: NetworkNamespace) -> bool:
    """Runs `create` and `destroy` in a forked child that is killed before or after a batch.

    Returns whether the child was killed before it ended.

    Parameters:
        target: where: before batch target // 2 if `target` is even, otherwise after it.
    """
    pid = os.fork()
    if pid:
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert status in (0, -signal.SIGKILL)
        return status != 0
    status, count, execute = 1, itertools.count(), RtnetlinkSocket.execute

    def execute_or_die(sock: RtnetlinkSocket, batch: Batch) -> None:
        if next(count) == target:
            os.kill(os.getpid(), signal.SIGKILL)
        execute(sock, batch)
        if next(count) == target:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        RtnetlinkSocket.execute = execute_or_die
        strategy.destroy(strategy.create(network, netns=netns), netns=netns)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["veth", "ifb"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_after_a_kill_at_any_batch_tear_down_and_set_up_succeed(request, kind, when):
    """The process is killed before or after each batch of `create` and of `destroy`."""
    configured_device = request.getfixturevalue(
        "configured_device" if kind == "veth" else "quiet_host"
    )
    container = request.getfixturevalue("container")
    options = {} if kind == "veth" else {"trust_container": True}
    if kind == "ifb":
        add_device("ifb")
    before = configured_device.get_link("d0")
    network = device(name="eth0", options=options)
    for batch in support.sample(range(100), (kind == "ifb") + 2 * (when == "after")):
        is_killed = kill_at(2 * batch + (when == "after"), network, container)
        tear_down_networks([network], netns=container)
        assert replace(configured_device.get_link("d0"), running=before.running) == before
        assert names(container) == {"lo"}
        assert not list(RECORDS.iterdir())
        if not is_killed:
            break
        made = set_up_networks([network], netns=container)
        tear_down_networks(made, netns=container)
    assert batch > 5


@pytest.mark.parametrize("create_again", [True, False])
def test_an_alternative_name_that_a_killed_create_deleted_is_restored(
    quiet_host, container, create_again
):
    class Killed(BaseException):
        pass

    add_device()
    change("link", "property", "add", "dev", "d0", "altname", "uplink")
    execute = _device_move.execute_for

    def kill_after(*arguments: object) -> None:
        execute(*arguments)
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_device_move, "execute_for", kill_after)
        patch.setattr(Session, "roll_back", lambda *_: None)
        with pytest.raises(Killed):
            strategy.create(device(name="uplink"), netns=container)
    assert quiet_host.get_link("d0").altnames == ()
    if create_again:
        strategy.create(device(name="uplink"), netns=container)
    strategy.destroy(device(name="uplink"), netns=container)
    assert quiet_host.get_link("d0").altnames == ("uplink",)
    assert list(RECORDS.iterdir()) == []


def test_the_error_says_that_an_interrupted_call_has_moved_the_device(quiet_host, container):
    add_device()
    strategy.create(device(), netns=container)
    with pytest.raises(InterfaceNotFoundError, match="an interrupted call has moved it"):
        strategy.create(device(), netns=container)


# ---- two processes at once ----


def move(owner: str, netns: NetworkNamespace) -> str:
    try:
        strategy.create(device(name="eth0", owner=owner), netns=netns)
    except NetstratError as error:
        return f"lost {type(error).__name__}"
    return "won"


@pytest.mark.slow
def test_of_two_processes_that_move_one_device_the_second_changes_nothing(quiet_host, container):
    add_device()
    with NetworkNamespace.create() as second:
        where = (container, second)
        for namespace in where:
            change("link", "add", "eth1", "type", "ifb", netns=namespace)
        for _ in range(5):
            results = support.run_processes(
                partial(move, "c1", container), partial(move, "c2", second)
            )
            assert sorted(results) == ["lost InterfaceNotFoundError", "won"]
            winner = results.index("won")
            assert names(where[winner]) == {"lo", "eth0", "eth1"}
            assert names(where[1 - winner]) == {"lo", "eth1"}
            assert names() == {"lo", "pd0"}
            owner = f"c{winner + 1}"
            strategy.destroy(device(name="eth0", owner=owner), netns=where[winner])


@pytest.mark.slow
def test_two_tear_downs_at_once_bring_the_device_back_once(quiet_host, container):
    add_device()
    network = device(name="eth0")
    for _ in range(5):
        strategy.create(network, netns=container)
        support.run_processes(*[partial(strategy.destroy, network, netns=container)] * 2)
        assert names() == {"lo", "d0", "pd0"}
        assert names(container) == {"lo"}


def test_a_lock_that_the_kernel_refuses_is_a_kernel_error_and_the_device_stays(
    quiet_host, container, monkeypatch
):
    def refuse(fd, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    add_device()
    monkeypatch.setattr(_run_folder.fcntl, "flock", refuse)
    with pytest.raises(KernelError, match="flock") as caught:
        strategy.create(device(name="eth0"), netns=container)
    assert caught.value.errno == errno.ENOLCK
    assert caught.value.filename == str(RECORDS)
    assert "d0" in names()


@pytest.mark.slow
def test_create_waits_for_the_lock_of_another_process_until_its_timeout(quiet_host, container):
    add_device()
    before = state(container)
    with _device_record.Store((0, 0)) as store:
        store.lock(0)
        with pytest.raises(KernelError, match="another process works with these files"):
            set_up_networks([device()], netns=container, timeout=1)
    assert_unchanged(before, container)


@pytest.mark.slow
def test_an_interrupt_while_create_unlocks_the_records_does_not_stop_its_rollback(
    quiet_host, container, monkeypatch
):
    add_device()
    network = device(name="eth0")
    close = _device_record.Store.close
    gc.collect()  # otherwise the finalizer of an older store may be interrupted

    def interrupt(store: _device_record.Store) -> None:
        monkeypatch.setattr(_device_record.Store, "close", close)
        raise KeyboardInterrupt

    monkeypatch.setattr(_device_record.Store, "close", interrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        strategy.create(network, netns=container)
    assert not getattr(caught.value, "__notes__", ())
    assert "d0" in names()
    # The error still refers to the frames of the call.
    made = strategy.create(network, netns=container)
    strategy.destroy(made, netns=container)


@pytest.mark.slow
def test_a_full_or_read_only_run_leaves_no_file_and_no_note_about_undoing(quiet_host, container):
    add_device()
    support.run(["mount", "-t", "tmpfs", "-o", "size=12k", "none", "/run"])
    try:
        made = strategy.create(device(), netns=container)
        strategy.destroy(made, netns=container)
        fill = Path("/run/fill")
        with contextlib.suppress(OSError), fill.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        error = refused(container, device(), KernelError, "No space left on device")
        assert "could not be restored" not in str(error)
        assert list(RECORDS.iterdir()) == []
        support.run(["mount", "-o", "remount,ro", "/run"])
        error = refused(container, device(), KernelError, "Read-only file system")
        assert "could not be restored" not in str(error)
        strategy.destroy(made, netns=container)
    finally:
        support.unmount("/run")
