"""cli/network.py and cli/_network_json.py: networks of a JSON file set up, torn down, checked."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from dataclasses import fields

import helpers_network
import pytest
import support
from hypothesis import given
from hypothesis import strategies as st

from pynetstrat import Network, NetworkNamespace, Route, RtnetlinkSocket, cli
from pynetstrat.cli._exit import EndError
from pynetstrat.cli._network_json import networks_from_json, networks_to_json

VETH = {
    "type": "veth",
    "name": "eth0",
    "bridge": "br0",
    "address": "10.0.0.2/24",
    "gateway": "10.0.0.1",
    "owner": "c1",
}


@pytest.fixture
def host(net):
    """A host with the bridge br0."""
    helpers_network.add_bridge()


@pytest.fixture
def container(host):
    with NetworkNamespace.create() as netns:
        yield netns


@pytest.fixture
def call(capsys, monkeypatch, container, tmp_path):
    """Runs an action on a document; returns the status, standard output and standard error."""

    def run(action, document, *, where=None, raw=False):
        text = document if raw else json.dumps(document)
        file = tmp_path / "networks.json"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        where = ["--netns", f"/proc/self/fd/{container.fileno()}"] if where is None else where
        status = cli.main(["network", action, str(file), *where])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def links(netns=None):
    with RtnetlinkSocket(netns) as sock:
        return set(sock.dump_links())


# ---- the actions ----


def test_set_up_prints_the_networks_with_generated_names(call, container):
    status, printed, complaint = call("set-up", [{"type": "loopback"}, VETH])
    assert (status, complaint) == (0, "")
    loopback, veth = json.loads(printed)
    assert loopback == {"type": "loopback"}
    name = veth.pop("host_interface_name")
    assert veth == VETH
    assert links() == {"lo", "br0", name}
    assert links(container) == {"lo", "eth0"}


def test_host_names_the_host_namespace(call, container, named):
    where = ["--netns", f"/proc/self/fd/{container.fileno()}", "--host", named]
    point_to_point = {key: value for key, value in VETH.items() if key != "bridge"}
    with NetworkNamespace.create(named) as other:
        before = links()
        status, printed, _ = call("set-up", [point_to_point], where=where)
        assert status == 0
        (veth,) = json.loads(printed)
        assert links(other) == {"lo", veth["host_interface_name"]}
        assert call("check", printed, raw=True, where=where) == (0, "", "")
        assert call("tear-down", printed, raw=True, where=where) == (0, "", "")
        assert (links(other), links()) == ({"lo"}, before)


def test_tear_down_accepts_the_output_of_set_up(call, container):
    before = links()
    without_owner = {key: value for key, value in VETH.items() if key != "owner"}
    _, printed, _ = call("set-up", [without_owner])
    assert call("tear-down", printed, raw=True, where=[]) == (0, "", "")
    assert (links(), links(container)) == (before, {"lo"})


def test_networks_may_be_torn_down_twice(call):
    before = links()
    call("set-up", [VETH])
    for _ in range(2):
        assert call("tear-down", [VETH]) == (0, "", "")
        assert links() == before


def test_networks_are_torn_down_after_their_process_has_ended(call, container):
    with support.process_inside(container.fileno()) as process:
        where = ["--pid", str(process.pid)]
        assert call("set-up", [VETH], where=where)[0] == 0
    assert call("tear-down", [VETH], where=where) == (0, "", "")
    assert links() == {"lo", "br0"}


def test_check_prints_nothing_after_set_up(call):
    call("set-up", [{"type": "loopback"}, VETH])
    assert call("check", [{"type": "loopback"}, VETH]) == (0, "", "")


def test_check_prints_each_difference_on_a_line_with_status_1(call, container):
    call("set-up", [{"type": "loopback"}, VETH])
    with RtnetlinkSocket(container) as sock:
        sock.link_set_down("lo")
        sock.link_set_down("eth0")
    status, printed, complaint = call("check", [{"type": "loopback"}, VETH])
    assert (status, complaint) == (1, "")
    lines = printed.splitlines()
    assert "lo: down" in lines
    assert "eth0: down" in lines


def test_control_characters_of_a_difference_do_not_reach_the_terminal(call):
    call("set-up", [VETH])
    status, printed, _ = call("check", [{**VETH, "owner": "\x1b[31m\n"}])
    assert status == 1
    assert "\x1b" not in printed
    assert printed.count("\n") == len(printed.splitlines())


def test_networks_are_read_from_standard_input(container, monkeypatch, capsys):
    given = io.TextIOWrapper(io.BytesIO(json.dumps([VETH]).encode()))
    monkeypatch.setattr(sys, "stdin", given)
    where = ["--netns", f"/proc/self/fd/{container.fileno()}"]
    assert cli.main(["network", "set-up", "-", *where]) == 0
    assert links(container) == {"lo", "eth0"}


def test_either_all_networks_are_set_up_or_none(call, container):
    before = helpers_network.dumps(), helpers_network.dumps(container)
    # The kernel refuses a gateway that is in no subnet of the interface.
    second = {**VETH, "name": "eth1", "gateway": "192.0.2.1", "metric": 5}
    status, printed, complaint = call("set-up", [{"type": "loopback"}, VETH, second])
    assert (status, printed) == (1, "")
    assert 'interface "eth1": RTM_NEWROUTE default: Network is unreachable' in complaint
    assert 'network "eth1" (veth)' in complaint
    assert complaint.count("\n") == 1
    assert (helpers_network.dumps(), helpers_network.dumps(container)) == before


# ---- output that cannot be written ----


@pytest.fixture
def redirected(container, tmp_path):
    """Sets up lo and a veth pair by a process whose output a shell redirects."""
    file = tmp_path / "networks.json"
    file.write_text(json.dumps([{"type": "loopback"}, VETH]))
    where = f"/proc/{os.getpid()}/fd/{container.fileno()}"

    def run(redirection):
        command = f"{sys.executable} -m pynetstrat network set-up {file} --netns {where}"
        return support.run(["bash", "-o", "pipefail", "-c", f"{command} {redirection}"])

    return run


@pytest.fixture
def full(tmp_path):
    """A file in a full file system."""
    where = tmp_path / "full"
    where.mkdir()
    support.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", str(where)])
    try:
        (where / "filler").write_bytes(b"x" * 4096)
        yield where / "networks.json"
    finally:
        support.unmount(str(where))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("redirection", "status", "words"),
    [
        (">/dev/full", 1, "No space left on device; all networks were torn down again"),
        (">FULL", 1, "No space left on device; all networks were torn down again"),
        ("1</dev/null", 1, "Bad file descriptor; all networks were torn down again"),
        (">&-", 1, "standard output is closed; set-up must be able to print the networks"),
    ],
)
def test_networks_that_cannot_be_printed_are_undone(
    redirected, container, full, redirection, status, words
):
    before = helpers_network.dumps(), helpers_network.dumps(container)
    done = redirected(redirection.replace("FULL", str(full)))
    assert (done.returncode, done.stdout) == (status, "")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert (helpers_network.dumps(), helpers_network.dumps(container)) == before


@pytest.mark.slow
def test_a_pipe_without_a_reader_undoes_the_networks(container, tmp_path, redirected):
    before = helpers_network.dumps(), helpers_network.dumps(container)
    reading, writing = os.pipe()
    os.close(reading)
    done = redirected(f">/proc/{os.getpid()}/fd/{writing}")
    os.close(writing)
    assert done.returncode == 128 + signal.SIGPIPE
    assert "Broken pipe; all networks were torn down again" in done.stderr
    assert (helpers_network.dumps(), helpers_network.dumps(container)) == before


def test_ctrl_c_while_the_networks_are_printed_undoes_them(call, container, monkeypatch):
    class Slow(io.StringIO):
        def flush(self):
            raise KeyboardInterrupt

        def fileno(self):
            raise OSError

    before = helpers_network.dumps(), helpers_network.dumps(container)
    monkeypatch.setattr(sys, "stdout", Slow())
    assert call("set-up", [{"type": "loopback"}, VETH])[0] == 128 + signal.SIGINT
    assert (helpers_network.dumps(), helpers_network.dumps(container)) == before


# ---- malformed input ----

NOT_TEXT = [None, 1, 1.5, True, [], {}]
NOT_A_NUMBER = [None, 1.5, True, [], {}, "1", -1, 1 << 31, 1 << 70]
TEXTS = [field.name for field in fields(Network) if field.type == "str"]

BAD_FIELDS = [
    *((field, value) for field in TEXTS for value in NOT_TEXT),
    *((field, value) for field in ("mtu", "txqueuelen") for value in NOT_A_NUMBER),
    *((field, "\ud800") for field in TEXTS),
    *(("hairpin_mode", value) for value in (None, 0, 1, "true", [])),
    *(("routes", value) for value in (None, 1, "x", {}, [1], [None], [[]], [{}], ["default"])),
    *(("routes", [{"destination": value}]) for value in (None, 1, "", "x", "10.0.0.1/33")),
    ("routes", [{"destination": "\ud800"}]),
    *(("routes", [{"destination": "default", "metric": value}]) for value in NOT_A_NUMBER[:-2]),
    *(("routes", [{"destination": "default", "gateway": value}]) for value in (None, 1, "x")),
    *(("routes", [{"destination": "default", "onlink": value}]) for value in (None, "x", 2)),
    ("routes", [{"destination": "default", "via": "10.0.0.1"}]),
    ("type", "no-such-type"),
    ("type", ""),
    ("name", ""),
    ("name", "a" * 16),
    ("name", "a/b"),
    ("name", "a%db"),
    ("name", "."),
    ("bridge", "br9"),
    ("bridge", "lo"),
    ("mac_address", "01:00:5e:00:00:01"),
    ("mac_address", "00:00:00:00:00:00"),
    ("mac_address", "x"),
    ("address", "10.0.0.2"),
    ("address", "fe80::1/64"),
    ("address", "10.0.0.2/33"),
    ("gateway", "fe80::1"),
    ("ipv6_address", "10.0.0.2/24"),
    ("ipv6_gateway", "fe80::1"),
    ("mtu", 67),
    ("mtu", 65536),
    ("owner", "x" * 245),
    ("owner", "\0"),
    ("host_interface_name", "a b"),
    ("nosuch", 1),
]


@pytest.mark.slow
@pytest.mark.parametrize("field", dict.fromkeys(field for field, _ in BAD_FIELDS))
def test_an_invalid_field_changes_nothing(call, container, field):
    before = links(), links(container)
    for value in [value for other, value in BAD_FIELDS if other == field]:
        status, printed, complaint = call("set-up", [{"type": "loopback"}, {**VETH, field: value}])
        assert (status, printed) == (1, ""), value
        assert complaint.startswith("pynetstrat: "), value
        assert complaint.count("\n") == 1, value
        assert complaint.isascii() or complaint.rstrip("\n").isprintable(), value
        assert (links(), links(container)) == before, value
        with RtnetlinkSocket(container) as sock:
            assert not sock.link_is_up("lo"), value


DOCUMENTS = [
    b"",
    b"x",
    b"[",
    b"null",
    b"1",
    b'"veth"',
    b"{}",
    b'{"type": "loopback"}',
    b"[1]",
    b"[null]",
    b"[[]]",
    b'["loopback"]',
    b"\xff\xfe",
    b"\x80",
    b"[" * 100_000,
    b"[NaN]",
    b"[" + b"1" * 5000 + b"]",
    b'[{"type": "loopback"}] x',
    b"[{}]",
]


@pytest.mark.slow
@pytest.mark.parametrize("action", ["set-up", "tear-down", "check"])
def test_a_file_that_is_not_a_list_of_networks_is_refused(call, action):
    for document in DOCUMENTS:
        status, printed, complaint = call(action, document, raw=True)
        assert (status, printed) == (1, ""), document
        assert complaint.startswith("pynetstrat: "), document
        assert complaint.count("\n") == 1, document
        assert len(complaint) < 300, document


def test_an_empty_list_does_nothing(call):
    for action, printed in (("set-up", "[]\n"), ("check", ""), ("tear-down", "")):
        assert call(action, []) == (0, printed, "")


@pytest.mark.parametrize("file", ["nowhere", "."])
def test_the_error_for_an_unreadable_file_names_it(container, capsys, tmp_path, file):
    path = str(tmp_path / file)
    where = ["--netns", f"/proc/self/fd/{container.fileno()}"]
    assert cli.main(["network", "set-up", path, *where]) == 1
    complaint = capsys.readouterr().err
    assert str(tmp_path) in complaint
    assert complaint.count("\n") == 1


def test_a_closed_standard_input_is_not_a_list_of_networks(container, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", None)
    where = ["--netns", f"/proc/self/fd/{container.fileno()}"]
    assert cli.main(["network", "check", "-", *where]) == 1
    assert "pynetstrat: standard input: not valid JSON" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["up"],
        ["set-up"],
        ["set-up", "file"],
        ["check", "file"],
        ["set-up", "file", "--netns", "a", "--pid", "1"],
        ["set-up", "file", "--pid", "x"],
        ["tear-down"],
    ],
)
def test_wrong_usage_is_explained_with_status_2(capsys, arguments):
    assert cli.main(["network", *arguments]) == 2
    assert "usage: pynetstrat network" in capsys.readouterr().err


# ---- JSON ----

names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
routes = st.builds(
    Route,
    destination=names,
    gateway=names,
    metric=st.integers(0, 1 << 31),
    scope=st.none() | st.integers(0, 255),
    onlink=st.booleans(),
)
networks = st.builds(
    Network,
    type=names.filter(bool),
    name=names,
    mtu=st.integers(0, (1 << 31) - 1),
    hairpin_mode=st.booleans(),
    routes=st.lists(routes, max_size=3).map(tuple),
    owner=names,
)


@pytest.mark.slow
@given(st.lists(networks, max_size=3))
def test_networks_that_are_written_are_read_back_unchanged(found):
    assert networks_from_json(networks_to_json(found), "x") == found


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        ('{"type": "veth", "speed": 5}', " (veth): invalid speed 5: unknown field; the fields of "),
        ('{"type": "veth", "hairpin_mode": 1}', " (veth): invalid hairpin_mode 1: must be "),
        ('{"type": "veth", "mtu": true}', " (veth): invalid mtu true: must be "),
        (
            '{"name": "eth0"}',
            ': "type" is required; known types: host-device, loopback, macvlan, veth',
        ),
        ("1", ": must be a JSON object, not 1"),
    ],
)
def test_an_error_names_the_file_the_network_the_value_and_the_reason(network, reason):
    with pytest.raises(EndError) as caught:
        networks_from_json(f'[{{"type": "loopback"}}, {network}]', "nets.json")
    assert str(caught.value.reason).startswith(f"nets.json: network 2{reason}")


@pytest.mark.parametrize(
    "form", ["%s", '[{"type": "veth", "mtu": %s}]', '[{"type": "x", "y": %s}]']
)
def test_a_value_that_is_nested_as_deeply_as_it_can_be_decoded_is_an_error(form):
    """It can be too deep to be shown."""
    limit = sys.getrecursionlimit()
    for depth in range(limit - 100, limit + 10):
        with pytest.raises(EndError):
            networks_from_json(form % ('{"":' * depth + "1" + "}" * depth), "nets.json")


@pytest.mark.parametrize(
    ("text", "reason"), [("[", "not valid JSON: "), ("{}", "must be a list of networks, not {}")]
)
def test_an_error_of_the_whole_text_names_the_file(text, reason):
    with pytest.raises(EndError) as caught:
        networks_from_json(text, "nets.json")
    assert caught.value.reason.startswith(f"nets.json: {reason}")
