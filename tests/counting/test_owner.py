"""The owner of a container, from the alias of the host end of its veth pair."""

from __future__ import annotations

import pytest
import support
from helpers_counting import ID, discovered, in_cgroup
from support import add_container_veth, seen

from pynetstrat import (
    Batch,
    Container,
    Network,
    NetworkNamespace,
    RtnetlinkSocket,
    discover,
    set_up_networks,
    tear_down_networks,
)


def set_alias(link: str, alias: str) -> None:
    with RtnetlinkSocket() as rtnetlink:
        rtnetlink.execute(Batch().set_link(link, alias=alias))


def test_the_owner_of_a_container_is_its_label_and_known_at_once(net, run, host_counters):
    with NetworkNamespace.create("blue") as blue:
        networks = set_up_networks(
            [Network(type="veth", name="eth0", owner="web", address="10.0.0.2/24")],
            netns=blue,
        )
        for containers in (discover().containers, host_counters.refresh().containers):
            container = next(c for c in containers if c.inode == blue.id[1])
            assert container == Container("web", "/run/netns/blue", blue.id[1])
            assert (container.owner, container.name, container.ids) == ("web", "blue", ())
        assert [key.owner for key in host_counters.read()] == ["web"]
        # The pair is gone before the namespace: the label stays.
        tear_down_networks(networks, netns=blue)
        assert host_counters.refresh().containers == (container,)


def test_an_id_is_the_label_before_the_owner(net, run, host_counters, only, tmp_path):
    with (
        NetworkNamespace.create("blue") as blue,
        support.process_inside(blue.fileno()) as process,
        in_cgroup(process.pid, f"0::/docker/{ID}\n", tmp_path),
    ):
        add_container_veth(net, blue.fileno(), "v0", 3)
        set_alias("v0", "pynetstrat:web")
        only(process.pid)
        for container in (*host_counters.refresh().containers, *discovered(blue.fileno())):
            assert (container.label, container.owner, container.name) == (ID, "web", "blue")
        (container,) = host_counters.read()
        assert (container.label, container.owner, container.name) == (ID, "web", "blue")


def test_an_owner_that_is_set_or_changed_later_is_found(net, host_counters, run):
    with NetworkNamespace.create("blue") as blue:
        add_container_veth(net, blue.fileno(), "v0", 3)
        labels = []
        for alias in ("", "of something else", "pynetstrat:", "pynetstrat:a", "pynetstrat:b", ""):
            set_alias("v0", alias)
            host_counters.refresh()
            ((container, interfaces),) = host_counters.read().items()
            labels.append(container.label)
            assert interfaces == {"eth0": seen("eth0", 3)}
        assert labels == ["blue", "blue", "blue", "a", "b", "b"]


def test_an_owner_is_found_although_the_label_stays_the_same(net, host_counters, run):
    with NetworkNamespace.create("blue") as blue:
        add_container_veth(net, blue.fileno(), "v0", 3)
        host_counters.refresh()
        set_alias("v0", "pynetstrat:blue")
        (container,) = host_counters.refresh().containers
        ((key, interfaces),) = host_counters.read().items()
        assert container.owner == key.owner == key.label == "blue"
        assert interfaces == {"eth0": seen("eth0", 3)}


@pytest.mark.parametrize("owner", ["h\u00e4user", "a\\b", "\x1b[31mred", "o" * 200])
def test_the_label_of_an_owner_is_printable(net, host_counters, run, owner):
    with NetworkNamespace.create("blue") as blue:
        add_container_veth(net, blue.fileno(), "v0", 3)
        set_alias("v0", f"pynetstrat:{owner}")
        (container,) = host_counters.refresh().containers
        assert container.owner == owner
        assert container.label.isprintable()
        assert (container.label == owner) == (owner.isprintable() and "\\" not in owner)


def test_a_namespace_that_nothing_shows_has_its_owner_as_label(
    net, host_counters, run, only, new_namespace
):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 3)
    host_counters.refresh()
    assert [key.label[:5] for key in host_counters.read()] == ["nsid:"]
    set_alias("v0", "pynetstrat:web")
    for found in (host_counters.refresh(), discover()):
        (unseen,) = found.unseen
        assert (unseen.label, unseen.owner, unseen.inode) == ("web", "web", 0)
    assert host_counters.read() == {unseen: {"eth0": seen("eth0", 3)}}
    with support.process_inside(netns) as process:
        only(process.pid)
        assert [c.owner for c in discovered(netns)] == ["web"]


def test_unseen_namespaces_of_one_owner_are_counted_apart(net, host_counters, run, new_namespace):
    for number in range(3):
        add_container_veth(net, new_namespace(), f"v{number}", number)
        set_alias(f"v{number}", "pynetstrat:web")
    set_alias("v2", "pynetstrat:nsid:1")  # an owner that looks like an nsid
    for found in (host_counters.refresh(), discover()):
        labels = [container.label for container in found.unseen]
        assert labels.count("web") == 1
        assert sum(label.startswith("nsid:") for label in labels) == len(set(labels) - {"web"}) == 2
    readings = host_counters.read().values()
    assert sorted(rows["eth0"].rx_bytes for rows in readings) == sorted(
        seen("eth0", number).rx_bytes for number in range(3)
    )


def test_a_container_does_not_get_the_owner_of_another(net, run, host_counters, only):
    with NetworkNamespace.create("blue") as blue, NetworkNamespace.create("red"):
        add_container_veth(net, blue.fileno(), "v0", 3)
        set_alias("v0", "pynetstrat:web")
        for found in (host_counters.refresh(), discover()):
            assert {(one.name, one.owner) for one in found.containers} == {
                ("blue", "web"),
                ("red", ""),
            }
