"""_group_delete.py: many links deleted at once, all or none."""

from __future__ import annotations

import pytest
from helpers_network import dumps, ip, names

from pynetstrat import (
    Batch,
    InterfaceNotFoundError,
    InvalidInterfaceNameError,
    KernelError,
    NetworkNamespace,
    RtnetlinkSocket,
)
from pynetstrat._native.socket import Socket
from pynetstrat.rtnetlink import _group_delete


def _add(host: RtnetlinkSocket, *wanted: str) -> None:
    batch = Batch()
    for name in wanted:
        batch.add_link(name, "ifb")
    host.execute(batch)


def _groups(host: RtnetlinkSocket) -> dict[str, int]:
    return {name: link.group for name, link in host.dump_links().items()}


@pytest.mark.slow
def test_a_thousand_links_are_deleted_in_two_sends(host):
    batch = Batch()
    for number in range(1000):
        batch.add_veth(f"a{number}", f"b{number}")
    host.execute(batch)
    assert len(names()) == 2001
    sends = []
    original = Socket.execute

    def execute(self, encoded):
        sends.append([message.type for message in encoded.messages])
        return original(self, encoded)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Socket, "execute", execute)
        host.delete_links(f"a{number}" for number in range(1000))
    assert names() == {"lo"}
    assert [len(send) for send in sends] == [1000, 1]  # into the group; the group
    assert [entry["ifname"] for entry in ip("link")] == ["lo"]


def test_only_named_links_are_deleted(host):
    _add(host, "a", "b", "c", "d")
    host.delete_links(["b", "d"])
    assert names() == {"lo", "a", "c"}
    assert _groups(host) == {"lo": 0, "a": 0, "c": 0}


def test_names_are_given_as_text_or_bytes_and_may_be_repeated(host):
    _add(host, "a", "b")
    host.delete_links(iter(["a", b"b", "a"]))
    assert names() == {"lo"}


def test_an_empty_list_of_names_deletes_nothing(host):
    host.delete_links([])
    assert names() == {"lo"}


def test_one_name_in_place_of_several_is_refused(host):
    _add(host, "a", "b")
    for name in ("ab", b"ab"):
        with pytest.raises(TypeError, match="names must be a list of names"):
            host.delete_links(name)
    assert names() == {"lo", "a", "b"}


def test_alternative_names_are_names(host, net):
    _add(host, "a", "b")
    net.add_altname("a", "a-very-long-name-of-a-link")
    host.delete_links(["a-very-long-name-of-a-link", "a"])
    assert names() == {"lo", "b"}


def test_both_ends_of_a_pair_may_be_named(host):
    host.execute(Batch().add_veth("a", "b").add_veth("c", "d"))
    host.delete_links(["b", "a", "c"])
    assert names() == {"lo"}


def test_a_peer_in_another_namespace_is_deleted_too(host):
    with NetworkNamespace.create() as blue:
        host.execute(Batch().add_veth("a", "eth0", netns=blue))
        host.delete_links(["a"])
        assert names() == names(blue) == {"lo"}


def test_a_missing_name_is_an_error_and_nothing_is_deleted(host):
    _add(host, "a", "b")
    before = dumps()
    with pytest.raises(InterfaceNotFoundError) as raised:
        host.delete_links(["a", "nope", "b"])
    assert raised.value.interface == "nope"
    assert dumps() == before


def test_an_invalid_name_is_an_error_and_nothing_is_deleted(host):
    _add(host, "a")
    with pytest.raises(InvalidInterfaceNameError):
        host.delete_links(["a", "x" * 128])
    assert names() == {"lo", "a"}


def test_missing_ok_ignores_missing_names(host):
    _add(host, "a", "b")
    host.delete_links(["a", "nope"], missing_ok=True)
    assert names() == {"lo", "b"}
    host.delete_links(["nope", "neither"], missing_ok=True)
    assert names() == {"lo", "b"}


def test_lo_is_refused_by_name_with_a_hint_and_all_keep_their_groups(host):
    _add(host, "a", "b")
    host.execute(Batch().set_group(host.get_link("a").index, 77))
    before, groups = dumps(), _groups(host)
    with pytest.raises(KernelError) as raised:
        host.delete_links(["a", "lo", "b"])
    assert raised.value.interface == "lo"
    assert raised.value.hint.endswith("leave out lo")
    assert "Operation not supported" in str(raised.value)
    assert _groups(host) == groups == {"lo": 0, "a": 77, "b": 0}
    assert dumps() == before


@pytest.fixture
def meanwhile(monkeypatch):
    """Calls a function once the links are in their group, before the members are read."""

    def happen(work):
        original = _group_delete._set_group

        def enter(sock, chosen, group, missing_ok):
            original(sock, chosen, group, missing_ok)
            work(group)

        monkeypatch.setattr(_group_delete, "_set_group", enter)

    return happen


def test_a_foreign_link_in_the_group_stops_the_deletion(host, meanwhile):
    _add(host, "a", "b", "stranger")

    def join(group: int) -> None:
        with RtnetlinkSocket() as other:
            other.execute(Batch().set_group(other.get_link("stranger").index, group))

    meanwhile(join)
    with pytest.raises(KernelError, match=r'interface "stranger": .*try again'):
        host.delete_links(["a", "b"])
    assert names() == {"lo", "a", "b", "stranger"}
    groups = _groups(host)
    assert (groups["a"], groups["b"]) == (0, 0)


def test_a_link_renamed_during_the_call_stops_the_deletion(host, meanwhile):
    _add(host, "a", "b")
    index = host.get_link("a").index

    def rename(group: int) -> None:
        with RtnetlinkSocket() as other:
            other.execute(Batch().set_link(index, new_name="c"))

    meanwhile(rename)
    with pytest.raises(KernelError, match=r'interface "c": .*try again'):
        host.delete_links(["a", "b"])
    assert _groups(host) == {"lo": 0, "b": 0, "c": 0}


def test_a_link_deleted_during_the_call_is_no_error(host, meanwhile):
    _add(host, "a", "b")

    def delete(group: int) -> None:
        with RtnetlinkSocket() as other:
            other.execute(Batch().delete_link("a"))

    meanwhile(delete)
    host.delete_links(["a", "b"])
    assert names() == {"lo"}


@pytest.mark.parametrize("missing_ok", [False, True])
def test_a_link_deleted_before_it_joins_the_group_counts_as_missing(host, monkeypatch, missing_ok):
    """With missing_ok the others are deleted; without, none of them."""
    _add(host, "a", "b", "c")
    original = _group_delete._choose

    def choose(*arguments):
        chosen = original(*arguments)
        with RtnetlinkSocket() as other:
            other.execute(Batch().delete_link("b"))
        return chosen

    monkeypatch.setattr(_group_delete, "_choose", choose)
    if missing_ok:
        host.delete_links(["a", "b", "c"], missing_ok=True)
        assert names() == {"lo"}
    else:
        with pytest.raises(KernelError, match='interface "b": RTM_NEWLINK: No such device'):
            host.delete_links(["a", "b", "c"])
        assert _groups(host) == {"lo": 0, "a": 0, "c": 0}


def test_the_group_is_unused(host, monkeypatch):
    _add(host, "a", "b", "c")
    host.execute(Batch().set_group(host.get_link("c").index, 5))
    given = iter([(5 << 1).to_bytes(4, "little"), (0).to_bytes(4, "little"), b"\x0c\0\0\0"])
    monkeypatch.setattr("os.urandom", lambda size: next(given))
    host.delete_links(["a", "b"])
    assert names() == {"lo", "c"}


def test_a_closed_socket_is_an_error(net):
    with RtnetlinkSocket() as host:
        pass
    with pytest.raises(KernelError, match="closed"):
        host.delete_links(["a"])
