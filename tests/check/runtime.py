"""Containers of runc and podman whose networks `pynetstrat oci-hook` sets up. By runtime.sh.

Each step ends with the check that the links, addresses and routes of the host are as before.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from helpers_network import add_bridge, dumps
from support import wait_until

from pynetstrat import Batch, HostCounters, NetworkNamespace, RtnetlinkSocket

BUNDLE = Path(sys.argv[1])
EXAMPLES = Path(__file__).parents[2] / "examples" / "oci"
COMMAND = str(Path(sys.executable).with_name("pynetstrat"))
ALLOWED = ["--bridge", "br0"]
TAG = "pynetstrat:"

LOOPBACK = {"type": "loopback"}
done: dict[str, int] = {"containers": 0, "refused": 0, "hooks": 0}


def veth(number: int = 2, **fields: Any) -> dict[str, Any]:
    return {
        "type": "veth",
        "name": "eth0",
        "bridge": "br0",
        "address": f"10.9.0.{number}/24",
        "gateway": "10.9.0.1",
        **fields,
    }


def call(*command: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)


def runc(*arguments: str) -> subprocess.CompletedProcess[str]:
    return call("runc", *arguments)


def succeed(finished: subprocess.CompletedProcess[str]) -> str:
    assert finished.returncode == 0, (finished.args, finished.stdout + finished.stderr)
    return finished.stdout


def bundle(networks: object, *command: str) -> None:
    """Writes the bundle for a container with these networks, which runs a command."""
    configuration = json.loads((BUNDLE / "config.json").read_text())
    configuration["process"]["terminal"] = False
    configuration["process"]["args"] = list(command)
    for kind in ("bounding", "effective", "permitted"):
        configuration["process"]["capabilities"][kind] = ["CAP_KILL", "CAP_NET_RAW"]
    configuration["annotations"] = {"pynetstrat.networks": json.dumps(networks)}
    configuration["hooks"] = {
        hook: [{"path": COMMAND, "args": ["pynetstrat", "oci-hook", *ALLOWED, hook]}]
        for hook in ("createRuntime", "poststop")
    }
    (BUNDLE / "config.json").write_text(json.dumps(configuration))


def identifier(chosen: str = "") -> str:
    """Returns the id of a new container, unique on the machine because cgroups are named by it."""
    done["containers"] += 1
    return chosen or f"pynetstrat-{os.getpid()}-{done['containers']}"


def run(networks: object, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs a container until it ends."""
    bundle(networks, *command)
    return runc("run", "--bundle", str(BUNDLE), identifier())


@contextlib.contextmanager
def running(networks: object, container: str = "") -> Iterator[str]:
    """Runs a container that sleeps, and kills it at the end if it still exists."""
    bundle(networks, "sleep", "600")
    container = identifier(container)
    log = BUNDLE / "log"
    with log.open("w") as output:
        command = ["runc", "run", "--detach", "--bundle", str(BUNDLE), container]
        status = subprocess.run(command, stdout=output, stderr=output, timeout=60).returncode
    assert status == 0, log.read_text()
    try:
        yield container
    finally:
        runc("delete", "--force", container)


def state(container: str, networks: object) -> dict[str, Any]:
    """Returns the state that the runtime passes to the hooks of a container."""
    found: dict[str, Any] = json.loads(succeed(runc("state", container)))
    found["annotations"] = {"pynetstrat.networks": json.dumps(networks)}
    return found


def hook(which: str, given: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    done["hooks"] += 1
    return call(COMMAND, "oci-hook", *ALLOWED, which, text=json.dumps(given))


def ping(container: str, address: str = "10.9.0.1") -> None:
    succeed(runc("exec", container, "ping", "-c", "1", "-W", "5", address))


def owners() -> set[str]:
    """Returns the owners in the alias tags of the host's links."""
    with RtnetlinkSocket() as sock:
        aliases = [link.alias for link in sock.dump_links().values()]
    return {alias.removeprefix(TAG) for alias in aliases if alias.startswith(TAG)}


def settled(netns: NetworkNamespace) -> tuple[object, object]:
    """Returns dumps of the host and of a container when no IPv6 address is tentative."""
    for where in (None, netns):
        with RtnetlinkSocket(where) as sock:
            while any(address.tentative for address in sock.dump_addresses()):
                time.sleep(0.05)
    return dumps(), dumps(netns)


# ---- the steps ----


def test_a_container_pings_the_host_and_leaves_nothing(before: object) -> None:
    finished = run([LOOPBACK, veth()], "ping", "-c", "1", "-W", "5", "10.9.0.1")
    assert "1 packets received" in succeed(finished)
    assert dumps() == before


def test_two_containers_ping_each_other(before: object) -> None:
    with running([LOOPBACK, veth(2)]) as first, running([LOOPBACK, veth(3)]) as second:
        assert owners() == {first, second}
        ping(first, "10.9.0.3")
        ping(second, "10.9.0.2")
    assert dumps() == before


def test_a_killed_container_leaves_nothing_even_if_its_namespace_lives_on(
    before: object,
) -> None:
    with running([LOOPBACK, veth()]) as container:
        pid = json.loads(succeed(runc("state", container)))["pid"]
        with NetworkNamespace.of_process(pid):
            succeed(runc("kill", container, "KILL"))
            succeed(runc("delete", "--force", container))
            assert owners() == set()
    assert dumps() == before


def test_a_second_create_hook_fails_and_changes_nothing(before: object) -> None:
    networks = [LOOPBACK, veth()]
    with running(networks) as container:
        pid = json.loads(succeed(runc("state", container)))["pid"]
        with NetworkNamespace.of_process(pid) as netns:
            there = settled(netns)
            again = hook("createRuntime", state(container, networks))
            assert (again.returncode, again.stdout) == (1, "")
            assert again.stderr.count("\n") == 1, again.stderr
            assert "File exists" in again.stderr, again.stderr
            assert (dumps(), dumps(netns)) == there
            ping(container)
            given = state(container, networks)
            for _ in range(2):
                assert succeed(hook("poststop", given)) == ""
                assert owners() == set()
    assert dumps() == before


def test_a_container_does_not_start_if_its_second_network_is_refused(before: object) -> None:
    started = "the container has started"
    for second in (
        veth(3, name="eth1", bridge="br1"),  # not allowed
        veth(3, name="eth1", gateway="192.0.2.1", metric=5),  # in no subnet of eth1
        veth(3, name="eth0"),  # the name of the first
        veth(3, name="eth1", mtu=67),
    ):
        finished = run([veth(), second], "sh", "-c", f"echo {started}")
        assert finished.returncode != 0
        assert started not in finished.stdout
        assert "pynetstrat: " in finished.stderr, finished.stderr
        assert dumps() == before
        done["refused"] += 1


def test_a_malicious_annotation_is_refused(before: object) -> None:
    with running([LOOPBACK, veth()]) as victim:
        pid = json.loads(succeed(runc("state", victim)))["pid"]
        with RtnetlinkSocket() as sock:
            links = sock.dump_links().values()
        (taken,) = [link.name for link in links if link.alias == TAG + victim]
        with NetworkNamespace.of_process(pid) as netns:
            there = settled(netns)
            for wish, reason in (
                (veth(3, host_interface_name=taken), "must not name host interfaces"),
                (veth(3, host_interface_name="eth7"), "must not name host interfaces"),
                (veth(3, owner=victim), "must be empty: the owner is the container's id"),
                ({"type": "host-device", "host_interface_name": "d0"}, "this hook allows loopback"),
                ({"type": "macvlan", "host_interface_name": "d0"}, "this hook allows loopback"),
                ({"type": "../../etc", "name": "eth0"}, "this hook allows loopback"),
                (veth(3, bridge="br1"), "this hook allows br0"),
                (veth(3, bridge=""), "no point-to-point links"),
                (veth(3, name="../eth0"), "invalid name"),
                (veth(3, script="/bin/sh"), "unknown field"),
                ([], "must be a JSON object"),
                ("veth", "must be a JSON object"),
            ):
                finished = run([wish], "sh", "-c", "echo started")
                assert finished.returncode != 0, wish
                assert "started\n" not in finished.stdout, wish
                assert reason in finished.stderr, finished.stderr
                assert (dumps(), dumps(netns)) == there, wish
                done["refused"] += 1
            ping(victim)
            attacker = {"id": "attacker", "pid": 0, "status": "stopped"}
            for wish in (veth(), veth(host_interface_name=taken), veth(owner=victim)):
                given = {**attacker, "annotations": {"pynetstrat.networks": json.dumps([wish])}}
                hook("poststop", given)
                assert (dumps(), dumps(netns)) == there, wish
            ping(victim)
    assert dumps() == before


def test_containers_are_discovered_by_their_ids_and_counted(before: object) -> None:
    first, second = f"{os.getpid():064x}", f"{1 << 200 | os.getpid():064x}"
    with HostCounters() as counters:
        with running([LOOPBACK, veth(2)], first), running([LOOPBACK, veth(3)], second):
            ping(first, "10.9.0.3")
            found = counters.refresh()
            assert {first, second} <= {container.label for container in found.containers}
            read = {container.label: read for container, read in counters.read().items()}
            for label in (first, second):
                eth0 = read[label]["eth0"]
                assert eth0.rx_packets >= 1 <= eth0.tx_packets, eth0

        def have_ended() -> bool:
            labels = {container.label for container in counters.refresh().containers}
            return not {first, second} & labels

        wait_until(have_ended)  # the kernel ends their namespaces after their processes
        assert not {first, second} & {container.label for container in counters.read()}
    assert dumps() == before


def test_the_example_of_a_bundle_runs_as_it_is(before: object) -> None:
    folder = BUNDLE / "example"
    shutil.copytree(BUNDLE / "rootfs", folder / "rootfs", symlinks=True)
    shutil.copy(EXAMPLES / "config.json", folder)
    finished = runc("run", "--bundle", str(folder), identifier())
    assert "1 packets received" in succeed(finished)
    assert dumps() == before


PODMAN = ["podman", "--runtime=runc", "--cgroup-manager=cgroupfs", "--storage-driver=vfs"]
# Its own limits are higher than those of this process, which may not raise them.
LIMITS = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"]


def test_podman_runs_the_hooks_in_the_example_folder(before: object) -> None:
    networks = json.loads((EXAMPLES / "config.json").read_text())["annotations"]
    # podman reads annotations as CSV.
    annotation = "pynetstrat.networks=" + networks["pynetstrat.networks"]
    quoted = '"' + annotation.replace('"', '""') + '"'
    options = ["--rm", "--network=none", "--cap-add=NET_RAW", *LIMITS, f"--annotation={quoted}"]
    done["containers"] += 1
    command = [*PODMAN, f"--hooks-dir={EXAMPLES / 'hooks.d'}", "run", *options]
    ping = ["ping", "-c", "1", "-W", "5", "192.0.2.1"]
    finished = call(*command, "--rootfs", str(BUNDLE / "rootfs"), *ping)
    assert "1 packets received" in succeed(finished)
    assert dumps() == before


def main() -> None:
    add_bridge("br0", "10.9.0.1/24")
    add_bridge("br1", "10.8.0.1/24")
    with RtnetlinkSocket() as sock:
        sock.link_set_up("lo")
        sock.execute(Batch().add_veth("d0", "d1"))
        index = sock.get_link("br0").index
        sock.execute(Batch().add_address(index, "192.0.2.1/24"))  # of examples/oci
    before = dumps()
    for name, step in list(globals().items()):
        if name.startswith("test_"):
            step(before)
            assert not list(Path("/run/pynetstrat/containers").glob("*")), name
            print(f"ok {name.removeprefix('test_').replace('_', ' ')}", flush=True)
    versions = f"runc {succeed(runc('--version')).split()[2]}"
    versions += f", podman {succeed(call('podman', '--version')).split()[2]}"
    print(
        f"{versions}: {done['containers']} containers, {done['hooks']} hooks run manually, "
        f"{done['refused']} annotations refused: nothing left on the host, no other container "
        "touched"
    )


main()
