"""cli/oci_hook.py: what an annotation may request, and what is refused.

(tests/check/runtime.sh tests it with runc.)
"""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import helpers_network
import pytest
import support

from pynetstrat import (
    Batch,
    Network,
    NetworkNamespace,
    NetworkStrategy,
    RtnetlinkSocket,
    cli,
    strategy,
)
from pynetstrat.cli import _annotation, _hook_state
from pynetstrat.wiring.egress import read_egress

ANNOTATION = "pynetstrat.networks"
LOOPBACK = {"type": "loopback"}
VETH = {
    "type": "veth",
    "name": "eth0",
    "bridge": "br0",
    "address": "10.0.0.2/24",
    "gateway": "10.0.0.1",
}


TAG = "net.ipv4.conf.IFNAME.tag"


@pytest.fixture
def host(net, run):
    """A host with two bridges and a device."""
    helpers_network.add_bridge()
    helpers_network.add_bridge("br1", "10.1.0.1/24")
    with RtnetlinkSocket() as sock:
        sock.execute(Batch().add_veth("d0", "d1"))


@pytest.fixture
def container(host):
    """A container: its namespace and a process in it."""
    with (
        NetworkNamespace.create() as netns,
        support.process_inside(netns.fileno()) as process,
    ):
        yield netns, process.pid


def state(networks, pid, name="c1", **fields):
    annotations = {ANNOTATION: json.dumps(networks), "other": "x"}
    return {"ociVersion": "1.0.2", "id": name, "pid": pid, "annotations": annotations, **fields}


@pytest.fixture
def hook(capsys, monkeypatch):
    """Runs a hook with a state on standard input; returns the status and standard error."""

    def run(which, given, *options):
        text = given if isinstance(given, bytes) else json.dumps(given).encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
        status = cli.main(["oci-hook", *options, which])
        printed = capsys.readouterr()
        assert printed.out == ""
        return status, printed.err

    return run


@pytest.fixture
def refused(hook):
    """Runs a hook that must fail; returns the line on standard error."""

    def run(which, given, *options):
        status, complaint = hook(which, given, *options)
        assert status == 1
        assert complaint.startswith("pynetstrat: ")
        assert complaint.count("\n") == 1
        return complaint

    return run


def links(netns=None):
    with RtnetlinkSocket(netns) as sock:
        return sock.dump_links()


def owned(owner):
    """Returns the names of the host ends that carry the alias tag of an owner."""
    return [link.name for link in links().values() if link.alias == f"pynetstrat:{owner}"]


# ---- allowed requests ----


def test_the_networks_of_an_annotation_are_set_up_and_torn_down(hook, container):
    netns, pid = container
    before = set(links())
    assert hook("createRuntime", state([LOOPBACK, VETH], pid)) == (0, "")
    found = links(netns)
    assert set(found) == {"lo", "eth0"}
    assert all(link.up for link in found.values())
    (name,) = owned("c1")
    assert set(links()) == before | {name}
    assert hook("poststop", state([LOOPBACK, VETH], 0)) == (0, "")
    assert set(links()) == before


@pytest.mark.parametrize("annotations", [{}, None, {"other": "x"}])
def test_a_container_without_the_annotation_is_left_alone(hook, container, annotations):
    for which in ("createRuntime", "poststop"):
        assert hook(which, {"id": "c1", "pid": container[1], "annotations": annotations}) == (0, "")
        assert hook(which, {"id": "c1"}) == (0, "")


def test_host_interface_names_are_generated_from_the_containers_id(hook, container):
    _, pid = container
    hook("createRuntime", state([VETH], pid, "c1"))
    with NetworkNamespace.create() as other, support.process_inside(other.fileno()) as process:
        assert hook("createRuntime", state([VETH], process.pid, "c2")) == (0, "")
        first, second = owned("c1"), owned("c2")
        assert len(first) == len(second) == 1
        assert first != second


def test_an_annotation_may_request_a_type_that_the_arguments_allow(hook, container):
    netns, pid = container
    device = {"type": "host-device", "host_interface_name": "d0", "name": "eth1"}
    options = ["--allow", "loopback", "--allow", "host-device"]
    assert hook("createRuntime", state([LOOPBACK, device], pid), *options) == (0, "")
    assert set(links(netns)) == {"lo", "eth1"}
    assert json.loads(stored_file().read_text())[1]["device"]["name"] == "d0"


def test_an_annotation_may_publish_a_port_that_the_arguments_allow(hook, container):
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    given = state([{**VETH, "publish": ["8080:80/tcp"]}], container[1])
    assert hook("createRuntime", given, "--allow-publish", "8000-8999") == (0, "")
    assert [(one.port, one.owner) for one in read_egress()["ports"]] == [(8080, "c1")]
    assert hook("poststop", given) == (0, "")
    assert read_egress()["ports"] == []


def test_a_macvlan_is_torn_down_or_ends_with_its_namespace(hook, container):
    netns, pid = container
    wish = {"type": "macvlan", "name": "eth1", "host_interface_name": "d0"}
    given = state([wish], pid)
    assert hook("createRuntime", given, "--allow", "macvlan") == (0, "")
    assert links(netns)["eth1"].alias == "pynetstrat:c1"
    assert hook("poststop", given) == (0, "")


# ---- limits of the administrator ----

PORTS = ["", "0", "65536", "9-8", "1-65536", "1-2-3", "80/tcp", "a", "1-", "-1"]


def rates(name):
    """The rates of a host end and of its ifb, in bits per second."""
    with RtnetlinkSocket() as sock:
        found = [qdisc.options["rate"] for qdisc in sock.dump_qdiscs() if qdisc.kind == "tbf"]
    return sorted(found)


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ({}, [2_000_000, 4_000_000]),
        ({"rate_in": 0, "rate_out": 0}, [2_000_000, 4_000_000]),
        ({"rate_in": 8_000_000, "rate_out": 3_000_000}, [2_000_000, 3_000_000]),
        ({"rate_in": 1_000_000, "rate_out": 16_000_000}, [1_000_000, 4_000_000]),
    ],
)
def test_an_annotation_can_only_lower_a_rate(hook, container, wish, expected):
    options = ["--rate-in", "2000000", "--rate-out", "4000000"]
    given = state([LOOPBACK, {**VETH, **wish}], container[1])
    before = set(links())
    assert hook("createRuntime", given, *options) == (0, "")
    assert rates(owned("c1")[0]) == expected
    assert hook("poststop", given) == (0, "")
    assert set(links()) == before


def test_an_annotation_may_limit_itself(hook, container):
    wish = {**VETH, "rate_in": 1_000_000, "isolated": True}
    assert hook("createRuntime", state([wish], container[1])) == (0, "")
    (name,) = owned("c1")
    assert rates(name) == [1_000_000]
    assert links()[name].isolated


@pytest.mark.parametrize("wish", [{}, {"isolated": False}, {"isolated": True}])
def test_an_annotation_cannot_lift_the_isolation(hook, container, wish):
    given = state([LOOPBACK, {**VETH, **wish}], container[1])
    assert hook("createRuntime", given, "--isolated") == (0, "")
    assert links()[owned("c1")[0]].isolated


def test_an_annotation_may_set_an_allowed_setting(hook, container):
    netns, pid = container
    given = state([{**VETH, "sysctls": {TAG: "7"}}], pid)
    assert hook("createRuntime", given, "--allow-sysctl", TAG) == (0, "")
    path = Path("/proc/sys/net/ipv4/conf/eth0/tag")
    assert netns.call(path.read_text) == "7\n"


@pytest.mark.parametrize(
    "options",
    [
        *(["--allow-publish", text] for text in PORTS),
        *(
            ["--allow-sysctl", text]
            for text in ("", "net.ipv4.ip_forward", "net/ipv4/conf/IFNAME/x")
        ),
        *(["--rate-in", text] for text in ("", "0", "-1", "1M", str((1 << 40) + 1))),
    ],
)
def test_an_invalid_limit_is_wrong_usage(hook, host, options):
    before = set(links())
    status, complaint = hook("createRuntime", {"id": "c1"}, *options)
    assert status == 2
    assert "must be" in complaint
    assert set(links()) == before


# ---- refused requests ----

REFUSED = [
    ({**VETH, "host_interface_name": "d0"}, [], "must not name host interfaces"),
    ({**VETH, "host_interface_name": "eth7"}, [], "must not name host interfaces"),
    ({**VETH, "owner": "c2"}, [], "must be empty: the owner is the container's id"),
    ({**VETH, "owner": "c1"}, [], "must be empty: the owner is the container's id"),
    ({**VETH, "options": {"x": 1}}, [], "must not contain options"),
    ({**VETH, "device": {}}, [], "must not contain a device record"),
    ({**LOOPBACK, "options": {"x": 1}}, [], "must not contain options"),
    ({**VETH, "publish": ["8080:80/tcp"]}, [], "this hook allows no ports (--allow-publish)"),
    (
        {**VETH, "publish": ["8080:80/tcp", "7999:80/tcp"]},
        ["--allow-publish", "8000-8999", "--allow-publish", "53"],
        "this hook allows 8000-8999, 53 (--allow-publish)",
    ),
    (
        {**VETH, "publish": ["192.0.2.1:9000:8000/udp"]},
        ["--allow-publish", "8000-8999"],
        "this hook allows 8000-8999 (--allow-publish)",
    ),
    ({**VETH, "publish": ["80"]}, ["--allow-publish", "1-65535"], "must be [HOSTADDRESS:]"),
    ({**VETH, "sysctls": {TAG: "1"}}, [], "this hook allows none (--allow-sysctl)"),
    (
        {**VETH, "sysctls": {TAG: "1", "net.ipv4.conf.IFNAME.proxy_arp": "1"}},
        ["--allow-sysctl", TAG],
        f"this hook allows {TAG} (--allow-sysctl)",
    ),
    (
        {**VETH, "sysctls": {"net.ipv4.ip_forward": "1"}},
        ["--allow-sysctl", TAG],
        f"this hook allows {TAG} (--allow-sysctl)",
    ),
    (
        {"type": "host-device", "host_interface_name": "d0"},
        ["--allow", "loopback", "--allow", "host-device", "--isolated"],
        "which only loopback and veth keep",
    ),
    (
        {"type": "macvlan", "name": "eth1", "host_interface_name": "d0"},
        ["--allow", "loopback", "--allow", "macvlan", "--rate-in", "1000000"],
        "which only loopback and veth keep",
    ),
    ({**VETH, "rate_in": -1}, ["--rate-in", "1000000"], "rate_in"),
    ({**VETH, "bridge": ""}, [], "no point-to-point links"),
    ({**VETH, "bridge": "br1"}, ["--bridge", "br0"], "this hook allows br0"),
    ({**VETH, "bridge": "br0 "}, ["--bridge", "br0"], "this hook allows br0"),
    ({**VETH, "bridge": "d0"}, [], "must be a bridge"),
    ({**VETH, "bridge": "br9"}, [], "must be an existing bridge"),
    ({"type": "host-device", "host_interface_name": "d0"}, [], "this hook allows loopback, veth"),
    ({"type": "no-such-type"}, [], "this hook allows loopback, veth"),
    ({"type": ""}, [], '"type" is required'),
    (VETH, ["--allow", "loopback"], "this hook allows loopback"),
    (
        {"type": "host-device", "host_interface_name": "d0", "bridge": "br1"},
        ["--allow", "loopback", "--allow", "host-device", "--bridge", "br0"],
        "this hook allows br0",
    ),
    ({**VETH, "publish": ["127.0.0.1:80:80/tcp"]}, ["--allow-publish", "1-65535"], "loopback"),
    ({**VETH, "name": "../eth0"}, [], "name"),
    ({**VETH, "name": "lo"}, [], "File exists"),
    ({**VETH, "command": "x"}, [], "unknown field"),
    (None, [], "must be a JSON object"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("wish", "options", "words"), REFUSED)
def test_a_request_that_is_not_allowed_changes_nothing(refused, container, wish, options, words):
    netns, pid = container
    before = helpers_network.dumps(), helpers_network.dumps(netns)
    assert words in refused("createRuntime", state([LOOPBACK, wish], pid), *options)
    assert (helpers_network.dumps(), helpers_network.dumps(netns)) == before


def test_the_first_network_is_undone_if_the_second_is_refused(refused, container):
    netns, pid = container
    before = helpers_network.dumps(), helpers_network.dumps(netns)
    second = {**VETH, "name": "eth1", "gateway": "192.0.2.1", "metric": 5}
    complaint = refused("createRuntime", state([LOOPBACK, VETH, second], pid))
    assert "Network is unreachable" in complaint
    assert (helpers_network.dumps(), helpers_network.dumps(netns)) == before


def test_more_than_64_networks_are_refused(refused, container):
    many = [{**VETH, "name": f"eth{number}"} for number in range(65)]
    assert "must be at most 64" in refused("createRuntime", state(many, container[1]))
    assert owned("c1") == []


def test_a_container_in_the_hooks_own_namespace_is_refused(refused, host):
    for network in (LOOPBACK, VETH):
        complaint = refused("createRuntime", state([network], os.getpid()))
        assert "no network namespace of its own" in complaint
    assert not links()["lo"].up


# ---- the MTU ----


@pytest.mark.slow
@pytest.mark.parametrize("mtu", [68, 1280, 1499])
def test_an_mtu_below_that_of_the_bridge_is_refused(hook, refused, container, mtu):
    with RtnetlinkSocket() as sock:
        sock.execute(Batch().add_address(sock.get_link("br0").index, "fd00::1/64"))
    before = helpers_network.dumps()
    complaint = refused("createRuntime", state([LOOPBACK, {**VETH, "mtu": mtu}], container[1]))
    assert f"invalid mtu {mtu}: must be 0 or at least 1500, the MTU of bridge br0" in complaint
    assert helpers_network.dumps() == before
    assert hook("createRuntime", state([LOOPBACK, {**VETH, "mtu": 1500}], container[1])) == (0, "")
    assert links()["br0"].mtu == 1500


# ---- poststop ----


@pytest.mark.parametrize(
    "options",
    [["--bridge", "br1"], ["--allow", "loopback"], ["--allow", "macvlan", "--bridge", "br9"]],
)
def test_poststop_works_after_the_arguments_were_changed(hook, container, options):
    before = set(links())
    given = state([LOOPBACK, VETH], container[1])
    assert hook("createRuntime", given) == (0, "")
    assert hook("poststop", given, *options) == (0, "")
    assert set(links()) == before


def test_poststop_works_after_the_bridge_was_deleted(hook, container):
    given = state([LOOPBACK, VETH], container[1])
    assert hook("createRuntime", given) == (0, "")
    with RtnetlinkSocket() as sock:
        sock.execute(Batch().delete_link("br0"))
    assert hook("poststop", given) == (0, "")
    assert owned("c1") == []


def test_poststop_does_not_call_a_third_party_strategy_that_is_not_allowed(
    hook, refused, container, monkeypatch
):
    class Spy(NetworkStrategy):
        def destroy(self, network, *, netns=None):
            called.append(network.owner)

    called: list[str] = []
    monkeypatch.setitem(strategy.registry, "spy", Spy())
    assert hook("createRuntime", state([VETH], container[1])) == (0, "")
    stored_file().unlink()
    given = state([VETH, {"type": "spy", "name": "eth1"}], 0)
    assert 'invalid type "spy": this hook allows loopback, veth' in refused("poststop", given)
    assert (called, owned("c1")) == ([], [])  # the other network is torn down
    assert hook("poststop", given, "--allow", "spy") == (0, "")
    assert called == ["c1"]


# ---- /run/pynetstrat/containers ----


def stored_file():
    """The only file of the hook's state."""
    (file,) = Path("/run/pynetstrat/containers").iterdir()
    return file


def test_poststop_destroys_what_the_strategy_has_made(hook, container, monkeypatch):
    """The third-party strategy returns another network than the annotation's."""

    class Spy(NetworkStrategy):
        def create(self, network, nspid=None, *, netns=None):
            return Network(**vars_of(network) | {"host_interface_name": "spy7"})

        def destroy(self, network, *, netns=None):
            called.append((network.owner, network.host_interface_name))

    called: list[tuple[str, str]] = []
    monkeypatch.setitem(strategy.registry, "spy", Spy())
    given = state([{"type": "spy", "name": "eth1"}], container[1])
    assert hook("createRuntime", given, "--allow", "spy") == (0, "")
    assert stored_file().stat().st_mode == 0o100600
    # Neither the arguments nor the annotation of now matter.
    for _ in range(2):
        assert hook("poststop", state([LOOPBACK], 0)) == (0, "")
        assert called == [("c1", "spy7")]
    assert list(Path("/run/pynetstrat/containers").iterdir()) == []


def vars_of(network):
    return {name: getattr(network, name) for name in Network.__match_args__}


def test_a_refused_container_leaves_no_file_and_changes_none(hook, refused, container):
    with pytest.raises(FileNotFoundError):
        stored_file()
    second = {**VETH, "name": "eth1", "gateway": "192.0.2.1", "metric": 5}
    refused("createRuntime", state([VETH, second], container[1]))
    assert list(Path("/run/pynetstrat/containers").iterdir()) == []
    assert hook("createRuntime", state([VETH], container[1])) == (0, "")
    before = stored_file().read_bytes()
    refused("createRuntime", state([VETH], container[1]))
    assert stored_file().read_bytes() == before


def test_a_create_runtime_that_was_killed_is_cleared_by_poststop(hook, container, monkeypatch):
    def die(*_: object) -> None:
        raise SystemExit(9)  # `set_up` has returned, and nothing else runs

    monkeypatch.setattr(_hook_state.HookState, "remove", lambda self: None)
    monkeypatch.setattr(_annotation, "set_up_all", die)
    with pytest.raises(SystemExit):
        hook("createRuntime", state([VETH], container[1]))
    monkeypatch.undo()
    assert json.loads(stored_file().read_text())[0]["owner"] == "c1"
    assert hook("poststop", state([VETH], 0)) == (0, "")
    assert list(Path("/run/pynetstrat/containers").iterdir()) == []


def test_a_damaged_file_is_an_error_that_names_it(hook, refused, container):
    assert hook("createRuntime", state([VETH], container[1])) == (0, "")
    file = stored_file()
    file.write_text("{")
    text = refused("poststop", state([VETH], 0))
    assert f"{file}: not valid JSON" in text
    assert "; delete the file" in text
    file.unlink()
    assert hook("poststop", state([VETH], 0)) == (0, "")


@pytest.mark.slow
def test_networks_that_poststop_could_not_read_are_refused(hook, refused, container):
    def with_routes(count):
        many = [f"198.{n >> 8}.{n & 255}.0/24" for n in range(count)]
        return {**VETH, "routes": [{"destination": one, "metric": 4096} for one in many]}

    before = set(links())
    assert "must be less than" in refused(
        "createRuntime", state([with_routes(30_000)], container[1])
    )
    assert set(links()) == before
    assert hook("createRuntime", state([with_routes(5000)], container[1])) == (0, "")
    assert stored_file().stat().st_size > 200_000
    assert hook("poststop", state([], 0)) == (0, "")
    assert set(links()) == before


def test_the_hook_works_where_run_cannot_be_written(hook, container):
    before = set(links())
    Path("/run/pynetstrat").write_text("")
    assert hook("createRuntime", state([VETH], container[1])) == (0, "")
    assert len(owned("c1")) == 1
    assert hook("poststop", state([VETH], 0)) == (0, "")
    assert set(links()) == before


@pytest.mark.parametrize(
    "wish",
    [
        {"device": {"version": 1, "name": "d0", "index": 1}},
        {"options": {"trust_container": True}},
    ],
)
def test_an_annotation_with_a_device_record_or_options_is_refused(refused, container, wish):
    device = {"type": "host-device", "host_interface_name": "d0", "name": "eth1", **wish}
    options = ["--allow", "loopback", "--allow", "host-device"]
    complaint = refused("createRuntime", state([LOOPBACK, device], container[1]), *options)
    assert "an annotation must not contain" in complaint
    assert "d0" in links()


# ---- repeated hooks, and other containers ----


@pytest.mark.slow
def test_a_second_createRuntime_fails_and_changes_nothing(hook, refused, container):  # noqa: N802
    netns, pid = container
    hook("createRuntime", state([LOOPBACK, VETH], pid))
    before = helpers_network.dumps(), helpers_network.dumps(netns)
    assert "File exists" in refused("createRuntime", state([LOOPBACK, VETH], pid))
    assert (helpers_network.dumps(), helpers_network.dumps(netns)) == before


def test_poststop_may_run_twice_or_without_createRuntime(hook, container):  # noqa: N802
    given = state([LOOPBACK, VETH], container[1])
    assert hook("poststop", given) == (0, "")
    hook("createRuntime", given)
    for _ in range(2):
        assert hook("poststop", given) == (0, "")
        assert owned("c1") == []


@pytest.mark.slow
def test_poststop_never_changes_another_container(hook, container):
    netns, pid = container
    hook("createRuntime", state([LOOPBACK, VETH], pid))
    (end,) = owned("c1")
    before = helpers_network.dumps(), helpers_network.dumps(netns)
    for name in ("c2", "c", "c11", "C1"):
        for wish in (VETH, {**VETH, "host_interface_name": end}, {**VETH, "owner": "c1"}):
            hook("poststop", state([wish], pid, name))
            assert owned("c1") == [end], (name, wish)
    assert (helpers_network.dumps(), helpers_network.dumps(netns)) == before


# ---- malformed input ----

STATES = [
    b"",
    b"x",
    b"null",
    b"[]",
    b'"c1"',
    b"{}",
    b"[" * 100_000,
    b"\xff",
    b'{"id": ""}',
    b'{"id": 1}',
    b'{"id": null}',
    b'{"id": "\\ud800"}',
    b'{"id": "c1", "annotations": []}',
    b'{"id": "c1", "annotations": [1]}',
    b'{"id": "c1", "annotations": "x"}',
    b'{"id": "c1", "annotations": {"pynetstrat.networks": null}}',
    b'{"id": "c1", "annotations": {"pynetstrat.networks": []}}',
    b'{"id": "c1", "annotations": {"pynetstrat.networks": 1}}',
    b'{"id": "c1", "annotations": {"pynetstrat.networks": ""}}',
    b'{"id": "c1", "annotations": {"pynetstrat.networks": "{}"}}',
    b'{"id": "c1", "annotations": {"pynetstrat.networks": "[1]"}}',
    b'{"id": "c1", "annotations": {"pynetstrat.networks": "[{\\"type\\": 1}]"}}',
]


@pytest.mark.slow
@pytest.mark.parametrize("which", ["createRuntime", "poststop"])
def test_invalid_input_is_refused(hook, host, which):
    before = set(links())
    for text in STATES:
        status, complaint = hook(which, text)
        assert status == 1, text
        assert complaint.startswith("pynetstrat: "), text
        assert complaint.count("\n") == 1, text
        assert set(links()) == before, text


@pytest.mark.slow
@pytest.mark.parametrize("pid", [None, 0, -1, True, "1", 1.5, 4194305, 1 << 70])
def test_a_state_without_a_live_process_is_refused(refused, host, pid):
    refused("createRuntime", state([LOOPBACK, VETH], pid))
    assert owned("c1") == []


def test_a_closed_standard_input_is_not_a_state(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", None)
    assert cli.main(["oci-hook", "poststop"]) == 1
    assert "standard input is not the state of a container" in capsys.readouterr().err


def test_control_characters_of_an_id_do_not_reach_the_terminal(hook, container):
    _, pid = container
    hostile = "\x1b[31m\n\t\"'$(reboot)"
    assert hook("createRuntime", state([VETH], pid, hostile)) == (0, "")
    assert len(owned(hostile)) == 1
    status, complaint = hook("createRuntime", state([VETH], pid, hostile))
    assert status == 1
    assert "\x1b" not in complaint
    assert complaint.count("\n") == 1


@pytest.mark.parametrize("length", [244, 245, 5000])
def test_an_id_that_is_too_long_for_an_alias_tag_is_refused(hook, container, length):
    status, complaint = hook("createRuntime", state([VETH], container[1], "x" * length))
    assert (status == 0) == (length <= 244)
    assert ("at most 244 bytes" in complaint) == (length > 244)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["prestart"],
        ["createRuntime", "x"],
        ["--allow"],
        ["--bridge", "br0"],
    ],
)
def test_wrong_usage_is_explained_with_status_2(capsys, arguments):
    assert cli.main(["oci-hook", *arguments]) == 2
    assert "usage: pynetstrat " in capsys.readouterr().err


def test_an_id_may_contain_other_characters_than_ascii_in_any_locale():
    """A runtime often runs hooks without a locale. The alias tag is UTF-8 in any locale."""
    code = "import sys; from pynetstrat.cli import main; sys.exit(main(['oci-hook', 'poststop']))"
    given = json.dumps({"id": "kä\u4e2d", "annotations": {"pynetstrat.networks": "[]"}})
    environment = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = support.python(code, input=given, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
