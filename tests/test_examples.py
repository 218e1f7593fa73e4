"""examples/: each example in Python runs and prints the right output."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import socket
import sys
import threading
from dataclasses import replace

import pytest
import support

from pynetstrat import (
    Batch,
    InvalidNetworkError,
    KernelError,
    Network,
    NetworkNamespace,
    RtnetlinkSocket,
    link_set_up,
    register_strategy,
    set_up_networks,
    tear_down_networks,
)
from pynetstrat.strategy import registry

EXAMPLES = support.ROOT / "examples"


def run(name, *arguments):
    return support.run([sys.executable, "-W", "error", str(EXAMPLES / name), *arguments])


def load(path):
    spec = importlib.util.spec_from_file_location("example", EXAMPLES / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def replacing(links, name, peer, then):
    """Returns a replacement for time.sleep, which recreates a pair with the same index.

    `then` can send traffic before the example continues.
    """
    index = socket.if_nametoindex(name)

    def sleep(_):
        links.delete(name)
        links.add_veth(name, peer, index=index)
        then()

    return sleep


def test_the_poller_prints_the_rates_of_every_interface(net):
    support.add_patterned(net, 1)
    done = run("poller.py", "0.05", "2")
    assert (done.returncode, done.stderr) == (0, "")
    tables = done.stdout.split("interface ")[1:]
    assert len(tables) == 2
    for table in tables:
        assert [line.split()[0] for line in table.splitlines()[1:]] == ["lo", "w1", "v1"]


def test_the_poller_shows_no_rate_for_a_reused_index(net, monkeypatch, capsys):
    support.add_patterned(net, 1)
    poller = load("poller.py")
    replace = replacing(net, "v1", "w1", lambda: support.send_frames("v1", 1, 100))
    monkeypatch.setattr(poller.time, "sleep", replace)
    poller.poll(0, 1)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["interface", "lo"]


@pytest.mark.slow
def test_the_numpy_rates_are_those_of_the_busiest_interfaces(net):
    net.add_veth("v0", "w0")
    done = run("numpy_rates.py", "0.05", "2")
    assert (done.returncode, done.stderr) == (0, "")
    *rows, total = done.stdout.splitlines()
    assert len(rows) == 2
    assert total.startswith("3 interfaces, ")


def test_the_numpy_rates_leave_out_a_reused_index(net, monkeypatch, capsys):
    support.add_patterned(net, 1)
    numpy_rates = load("numpy_rates.py")
    replace = replacing(net, "v1", "w1", lambda: support.send_frames("v1", 1, 100))
    monkeypatch.setattr(numpy_rates.time, "sleep", replace)
    numpy_rates.busiest(0, 10)
    *rows, total = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == ["lo"]
    assert total == "1 interfaces, 0.0 kB/s in total"


def test_bring_up_brings_lo_up_in_the_namespace_of_a_process(net, new_namespace):
    netns = new_namespace()
    with support.process_inside(netns) as process, RtnetlinkSocket(netns) as rtnetlink:
        assert not rtnetlink.link_is_up("lo")
        done = run("bring_up.py", str(process.pid))
        assert done.stdout == f"lo is up in /proc/{process.pid}/ns/net\n"
        assert rtnetlink.link_is_up("lo")


def test_bring_up_reports_a_path_that_is_no_namespace(net):
    done = run("bring_up.py", "/dev/null")
    assert done.returncode == 1
    assert "setns /dev/null: Invalid argument" in done.stderr


def test_watch_one_prints_a_containers_counters(net):
    name, _ = support.add_patterned(net, 4)
    done = run("watch_one.py", name, "0.01", "2")
    assert done.stdout == f"{name}: received 520 B, sent 0 B\n" * 2


def test_watch_one_reports_a_missing_interface(net):
    done = run("watch_one.py", "nope")
    assert (done.returncode, 'interface "nope"' in done.stderr) == (1, True)


def test_all_links_brings_up_every_interface_of_a_namespace(net, new_namespace):
    netns = new_namespace()
    with support.inside(netns), support.Links() as links:
        links.add_veth("v0", "w0", up=False)
    load("strategy_plugin/all_links.py").AllLinks().initialize(netns=netns)
    with RtnetlinkSocket(netns) as rtnetlink:
        assert {name: link.up for name, link in rtnetlink.dump_links().items()} == {
            "lo": True,
            "v0": True,
            "w0": True,
        }


# ---- wiring ----


def links(netns=None):
    with RtnetlinkSocket(netns) as rtnetlink:
        return rtnetlink.dump_links()


CHILD = """
import os, socket, sys
address, port, other = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with socket.create_connection((address, port)) as sock:
    sock.sendall(bytes(100_000))
    sock.shutdown(socket.SHUT_WR)
    with sock.makefile("rb") as stream:
        print("echoed", len(stream.read()))
for host, port in ((address, other), ("127.0.0.1", other), ("192.0.2.1", other)):
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        continue
    print("reached", host, port)
print(os.environ["http_proxy"], *sorted(os.listdir("/sys/class/net")))
"""


@pytest.fixture
def echo(net):
    """The port of a server on lo of the host that returns what it gets, and another open port."""
    link_set_up("lo")
    net.add_veth("uplink", "w0")
    with RtnetlinkSocket() as sock:
        sock.execute(Batch().add_address(sock.get_link("uplink").index, "192.0.2.1/24"))
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("", 0)) as other:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    with server.accept()[0] as client:
                        while data := client.recv(65536):
                            client.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1], other.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.slow
def test_the_sandbox_reaches_one_port_of_the_host_and_nothing_else(echo):
    port, other = map(str, echo)
    done = run("sandbox.py", port, sys.executable, "-c", CHILD, "10.77.0.1", port, other)
    proxy = f"http://10.77.0.1:{port}"
    assert done.stdout == f"echoed 100000\n{proxy} eth0 lo\n"
    sent, received = map(
        int, re.fullmatch(r"sent (\d+) bytes, received (\d+)\n", done.stderr).groups()
    )
    assert sent > 100_000 < received
    assert set(links()) == {"lo", "uplink", "w0"}


@pytest.mark.slow
def test_the_sandbox_without_a_link_reaches_one_port_of_the_host_and_nothing_else(echo):
    port, other = map(str, echo)
    child = [sys.executable, "-c", CHILD, "127.0.0.1", port, other]
    done = run("sandbox_without_link.py", port, *child)
    assert (done.stdout, done.stderr) == (f"echoed 100000\nhttp://127.0.0.1:{port} lo\n", "")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sandbox.py", "sandbox_without_link.py"])
def test_the_sandbox_ends_with_the_status_of_its_child_and_leaves_nothing(net, name):
    assert run(name, "3128", "sh", "-c", "exit 3").returncode == 3
    done = run(name, "3128", "/nowhere/at-all")
    assert "No such file or directory: '/nowhere/at-all'" in done.stderr
    assert set(links()) == {"lo"}
    assert run(name).stderr == f"usage: {name} PORT COMMAND ...\n"


def test_the_lab_prints_the_rates_and_the_traffic_of_its_hosts(net):
    done = run("lab.py", "300000")
    assert done.stderr == ""
    rates, traffic = done.stdout.splitlines()[:2], done.stdout.splitlines()[2:]
    assert [line.split(":")[0] for line in rates] == ["h1 to h2", "h1 to h3"]
    numbers = [re.fullmatch(r"(h\d): received (\d+) bytes, sent (\d+)", one) for one in traffic]
    received = {one[1]: int(one[2]) for one in numbers}
    assert int(numbers[0][3]) > 600_000
    assert received["h2"] > 300_000 < received["h3"]
    assert set(links()) == {"lo"}


@pytest.mark.slow
def test_the_topology_wires_racks_of_nodes_and_leaves_nothing(net):
    done = run("topology.py", "250")
    assert (done.returncode, done.stderr) == (0, "")
    namespaces, wired, reached, deleted = done.stdout.splitlines()
    assert namespaces.startswith("250 namespaces: ")
    assert wired.startswith("250 nodes wired on 3 bridges: ")
    assert reached == "the first node of each rack reaches the last one"
    assert deleted.startswith("250 pairs deleted: ")
    assert set(links()) == {"lo"}


@pytest.fixture
def vxlan():
    """The strategy of the plug-in, registered for one test."""
    plugin = load("vxlan_plugin/vxlan.py").Vxlan()
    register_strategy("vxlan", plugin)
    yield plugin
    del registry["vxlan"]


VXLAN = Network(
    "vxlan",
    name="eth0",
    address="10.0.0.2/24",
    gateway="10.0.0.1",
    options={"vni": 42, "remote": "192.0.2.9"},
)


def test_the_vxlan_plugin_is_set_up_and_torn_down_like_a_built_in_strategy(net, vxlan):
    with NetworkNamespace.create() as netns:
        made = set_up_networks([Network("loopback"), VXLAN], netns=netns)
        eth0 = links(netns)["eth0"]
        assert (eth0.kind, eth0.up) == ("vxlan", True)
        with RtnetlinkSocket(netns) as rtnetlink:
            assert "10.0.0.2/24" in [entry.address for entry in rtnetlink.dump_addresses("eth0")]
            assert "0.0.0.0/0" in [route.destination for route in rtnetlink.dump_routes()]
        for _ in range(2):
            tear_down_networks(made, netns=netns)
            assert set(links(netns)) == {"lo"}


def test_the_vxlan_plugin_is_undone_after_an_error(net, vxlan):
    with NetworkNamespace.create() as netns:
        unreachable = replace(VXLAN, gateway="192.0.2.1")
        with pytest.raises(KernelError, match="Network is unreachable"):
            set_up_networks([Network("loopback"), unreachable], netns=netns)
        found = links(netns)
        assert set(found) == {"lo"}
        assert not found["lo"].up


def test_the_vxlan_plugin_refuses_options_before_anything_is_made(net, vxlan):
    with NetworkNamespace.create() as netns:
        with pytest.raises(InvalidNetworkError, match="must have vni and remote"):
            set_up_networks([replace(VXLAN, options={"vni": 42})], netns=netns)
        assert set(links(netns)) == {"lo"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", support.sample([[], ["-p", "xdist", "-n", "2", "--dist", "each"]])
)
def test_the_pytest_fixture_gives_each_test_its_own_container(net, tmp_path, options):
    program = str(EXAMPLES / "pytest_netns.py")
    plugins = ["-p", "no:cacheprovider", "-p", "pynetstrat.pytest_plugin"]
    command = [sys.executable, "-m", "pytest", "-q", *plugins, *options, program]
    # Plug-ins of pytest that are not named take three times as long to load as all else.
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = support.run(command, cwd=tmp_path, env=environment)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    # With "--dist each" every worker runs every test.
    assert f"{4 if options else 2} passed" in done.stdout
    assert set(links()) == {"lo"}
