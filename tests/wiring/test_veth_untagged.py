"""veth.py: pairs that a killed create left without a tag, and pairs of other processes."""

from __future__ import annotations

import contextlib
import os
from functools import partial
from time import sleep

import pytest
import support
from helpers_network import (
    dumps,
    names,
    veth,
    wait_for_workers,
)

from pynetstrat import (
    Batch,
    KernelError,
    NetworkNamespace,
    TeardownError,
    Veth,
    check_networks,
    set_up_networks,
    tear_down_networks,
)
from pynetstrat.wiring import _links, _veth_pair
from pynetstrat.wiring._session import Session


@pytest.fixture
def untagged(host, bridge, blue, monkeypatch):
    """Leaves a pair as a process does that is killed between its first two messages."""
    made = {}

    def leave(network):
        class Killed(BaseException):
            pass

        def kill(*_: object) -> None:
            raise Killed

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_veth_pair, "_finish_port", kill)
            patch.setattr(_veth_pair, "_finish_point_to_point", kill)
            patch.setattr(Session, "roll_back", lambda *_: None)
            with pytest.raises(Killed):
                set_up_networks([network], netns=blue)
        made.update(host.dump_links())
        assert [link.alias for link in made.values() if link.kind == "veth"] == [""]

    return leave


LEFT = [{}, {"owner": ""}, {"bridge": "", "gateway": ""}, {"host_interface_name": ""}]


@pytest.mark.parametrize("fields", LEFT)
def test_an_untagged_pair_is_cleared_by_tear_down(host, blue, untagged, fields):
    untagged(veth(**fields))
    tear_down_networks([veth(**fields)], netns=blue)
    assert names() == {"lo", "br0"}
    assert names(blue) == {"lo"}


@pytest.mark.slow
@pytest.mark.parametrize("fields", LEFT)
def test_an_untagged_pair_is_cleared_by_the_next_set_up(host, blue, untagged, fields, monkeypatch):
    monkeypatch.setattr(_links, "_TAGGING", 0.01)  # no process is about to tag it
    untagged(veth(**fields))
    made = set_up_networks([veth(**fields)], netns=blue)
    assert check_networks(made, netns=blue) == []
    tear_down_networks(made, netns=blue)
    assert names() == {"lo", "br0"}


def test_an_untagged_pair_of_another_owner_or_name_is_left_alone(host, blue, untagged):
    untagged(veth())
    wait_for_workers()
    before = host.get_link("h0")
    others = [veth(owner="c2"), veth(owner=""), veth(name="eth1")]
    for other in others:
        with contextlib.suppress(TeardownError):
            tear_down_networks([other], netns=blue)
        with pytest.raises(KernelError, match='the name "h0" is already in use'):
            set_up_networks([other], netns=blue)
        assert host.get_link("h0") == before


@pytest.mark.slow
def test_one_of_several_processes_that_set_up_a_network_at_once_succeeds(host, bridge, blue):
    def set_up() -> bool:
        try:
            set_up_networks([veth()], netns=blue, timeout=60)
        except KernelError:
            return False
        return True

    for _ in range(8):
        assert sorted(support.run_processes(*[set_up] * 3)) == [False, False, True]
        assert check_networks([veth()], netns=blue) == []
        tear_down_networks([veth()], netns=blue)


def test_a_point_to_point_pair_that_another_process_has_replaced_is_not_tagged(
    host, blue, monkeypatch
):
    network = veth(bridge="", gateway="")
    finish = _veth_pair._finish_point_to_point

    def after_another(*arguments: object) -> None:
        host.delete_links(["h0"])
        host.execute(Batch().add_veth("h0", "eth0", netns=blue))
        finish(*arguments)

    monkeypatch.setattr(_veth_pair, "_finish_point_to_point", after_another)
    with pytest.raises(KernelError, match="another process has set this network up"):
        Veth().create(network, netns=blue)
    assert host.get_link("h0").alias == ""


@pytest.mark.slow
def test_a_process_that_stands_still_before_it_tags_its_pair_keeps_it(host, bridge, blue):
    def set_up(pause: float) -> str:
        finish = _veth_pair._finish_port

        def finish_late(*arguments: object) -> None:
            sleep(pause)
            finish(*arguments)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_veth_pair, "_finish_port", finish_late)
            try:
                set_up_networks([veth()], netns=blue, timeout=60)
            except KernelError as error:
                return str(error)
        return ""

    def set_up_second() -> str:
        support.wait_until(lambda: "h0" in names())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_links, "_TAGGING", 60)  # on a busy machine
            return set_up(0)

    assert _links._TAGGING > 0.15
    first, second = support.run_processes(partial(set_up, 0.15), set_up_second)
    assert first == ""
    assert "already set up: tear it down first" in second
    assert check_networks([veth()], netns=blue) == []


def test_a_pair_that_another_process_is_about_to_tag_is_left_alone(
    host, bridge, blue, untagged, monkeypatch
):
    untagged(veth())
    before = host.get_link("h0")

    def tag(_: float) -> None:
        host.execute(Batch().set_link("h0", alias="pynetstrat:c1"))

    monkeypatch.setattr(_links, "sleep", tag)
    with pytest.raises(KernelError, match="already set up: tear it down first"):
        set_up_networks([veth()], netns=blue)
    assert host.get_link("h0").index == before.index


def test_tear_down_leaves_a_pair_of_the_same_owner_in_another_container(host, bridge, blue):
    with NetworkNamespace.create() as green:
        first = set_up_networks([veth()], netns=blue)
        second = set_up_networks([veth(host_interface_name="h1")], netns=green)
        for _ in range(2):
            tear_down_networks(first, netns=blue)
            tear_down_networks(first)
        assert names() == {"lo", "br0", "h1"}
        tear_down_networks(second, netns=green)
        assert names() == {"lo", "br0"}


def test_tear_down_leaves_a_pair_with_the_tag_of_another_owner_and_an_equal_mac(host, bridge, blue):
    made = set_up_networks([veth(host_interface_name="")], netns=blue)
    mac = host.get_link(made[0].host_interface_name).mac
    tear_down_networks(made, netns=blue)
    host.execute(Batch().add_veth("h7", "h8", mac=mac).set_link("h7", alias="pynetstrat:c2"))
    tear_down_networks(made, netns=blue)
    assert "h7" in names()


def test_a_foreign_pair_without_a_tag_is_left_alone(host, bridge, blue):
    host.execute(Batch().add_veth("h0", "eth0", netns=blue))
    wait_for_workers()
    before = host.get_link("h0")
    with pytest.raises(KernelError, match='the name "h0" is already in use'):
        set_up_networks([veth()], netns=blue)
    tear_down_networks([veth()], netns=blue)
    assert host.get_link("h0") == before


def test_a_pair_that_exists_already_is_an_error_with_a_remedy(host, bridge, blue):
    set_up_networks([veth()], netns=blue)
    with pytest.raises(KernelError, match="already set up: tear it down first"):
        set_up_networks([veth()], netns=blue)


def test_destroy_leaves_a_link_of_another_kind_with_the_tag(host, blue):
    host.execute(Batch().add_link("h0", "ifb").set_link("h0", alias="pynetstrat:c1"))
    tear_down_networks([veth()])
    assert "h0" in names()


def test_destroy_may_be_repeated(host, bridge, blue):
    made = set_up_networks([veth()], netns=blue)
    for _ in range(2):
        tear_down_networks(made, netns=blue)
        tear_down_networks(made)
        Veth().destroy(made[0], netns=blue)
        Veth().destroy(made[0])
        assert names() == {"lo", "br0"}


def test_destroy_without_create_does_nothing(host, bridge, blue):
    before = dumps(), dumps(blue)
    Veth().destroy(veth(), netns=blue)
    Veth().destroy(veth())
    assert (dumps(), dumps(blue)) == before


def test_destroy_after_the_container_has_ended_leaves_nothing(host, bridge):
    process = None
    with NetworkNamespace.create() as blue:
        process = blue.popen(["sleep", "60"])
        path = f"/proc/{process.pid}/ns/net"
        made = set_up_networks([veth()], netns=path)
    process.kill()
    process.wait()
    tear_down_networks(made, netns=path)
    assert names() == {"lo", "br0"}
    tear_down_networks(made, netns=path)


@pytest.mark.slow
def test_the_same_host_name_can_be_used_again_at_once(host, bridge):
    """The kernel deletes the links of an ended namespace later."""
    for _ in range(3):
        with NetworkNamespace.create() as blue:
            made = set_up_networks([veth()], netns=blue)
        tear_down_networks(made)
        with NetworkNamespace.create() as red:
            made = set_up_networks([veth()], netns=red)
            assert "h0" in names()
            tear_down_networks(made, netns=red)


def test_tear_down_accepts_a_pidfd_whose_process_has_ended(host, bridge, blue):
    made = set_up_networks([veth()], netns=blue)
    process = blue.popen(["true"])
    pidfd = os.pidfd_open(process.pid)
    process.wait()
    try:
        tear_down_networks(made, netns=pidfd)
    finally:
        os.close(pidfd)
    assert "h0" not in names()
