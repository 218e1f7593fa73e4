"""Containers of podman and containerd that the CNI plugin attaches. Started by cni.sh.

Each step ends with the check that nothing is left: no link, no rule, no lease.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pynetstrat import Batch, NetworkNamespace, RtnetlinkSocket, list_owned
from pynetstrat.wiring.egress import read_egress

OUT = Path(sys.argv[1])
ROOTFS = OUT / "rootfs"
COMMAND = str(Path(sys.executable).with_name("pynetstrat"))
LEASES = Path("/var/lib/cni/networks")
IMAGE = "example.com/busybox:latest"
OUTSIDE = "192.0.2.1"  # the host's address on the link to another host
CONTAINERD = str(OUT / "containerd" / "socket")
done = {"containers": 0}


def network(name: str, version: str, subnet: int, *plugins: dict[str, Any]) -> dict[str, Any]:
    """Returns the configuration of a network with both families, whose bridge is NAME0."""
    own = {
        "type": "pynetstrat",
        "bridge": f"{name}0",
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "ranges": [
                [{"subnet": f"10.{subnet}.0.0/24"}],
                [{"subnet": f"fd00:{subnet}::/64"}],
            ],
            "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
        },
        "capabilities": {"portMappings": True, "bandwidth": True, "ips": True, "mac": True},
    }
    return {"cniVersion": version, "name": name, "plugins": [own, *plugins]}


def call(*command: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=120)


def succeed(finished: subprocess.CompletedProcess[str]) -> str:
    assert finished.returncode == 0, (finished.args, finished.stdout + finished.stderr)
    return finished.stdout.strip()


def podman(*arguments: str) -> subprocess.CompletedProcess[str]:
    folders = "--root", f"{OUT}/storage", "--runroot", "/run/podman", "--tmpdir", "/run/podman/tmp"
    return call("podman", *folders, "--storage-driver", "vfs", *arguments)


def ctr(*arguments: str) -> subprocess.CompletedProcess[str]:
    return call("ctr", "--address", CONTAINERD, *arguments)


def nothing_left() -> None:
    """Asserts that no link, no rule and no lease is left."""
    assert list_owned() == []
    assert not any(read_egress().values()), read_egress()
    leases = [path for path in LEASES.glob("*/*") if path.name[0] in "0123456789f"]
    assert leases == []


def fetch(address: str, port: int, family: socket.AddressFamily = socket.AF_INET) -> bytes:
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(10)
        sock.connect((address, port))
        sock.sendall(b"GET /index.html HTTP/1.0\r\n\r\n")
        return b"".join(iter(lambda: sock.recv(4096), b""))


@contextlib.contextmanager
def container(*options: str, command: tuple[str, ...] = ("sleep", "600")) -> Iterator[str]:
    """Runs a container of podman, removes it at the end, and asserts that nothing is left."""
    done["containers"] += 1
    name = f"c{done['containers']}"
    succeed(podman("run", "-d", "--name", name, *options, "--rootfs", str(ROOTFS), *command))
    try:
        if command == HTTPD:
            wait_for_server(name)
        yield name
    except BaseException:
        print(podman("logs", name).stderr, podman("rm", "-f", "-t", "0", name).stderr)
        raise
    succeed(podman("rm", "-f", "-t", "0", name))


def addresses(name: str, interface: str = "eth0") -> dict[str, str]:
    """Returns the addresses of a container by family: "inet" and "inet6"."""
    lines = succeed(podman("exec", name, "ip", "addr", "show", "dev", interface)).splitlines()
    words = [line.split() for line in lines if "scope global" in line]
    return {family: address.split("/")[0] for family, address, *_ in words}


def ping(name: str, address: str) -> None:
    succeed(podman("exec", name, "ping", "-c", "1", "-W", "10", address))


HTTPD = ("httpd", "-f", "-p", "80", "-h", "/www")


def wait_for_server(name: str) -> None:
    """Waits until HTTPD listens: podman starts it, and does not wait for that."""
    address = addresses(name)["inet"]
    wait_until(lambda: answers(address))


# ---- podman ----


def test_a_container_reaches_the_host_and_what_is_behind_it(other_host: NetworkNamespace) -> None:
    with container() as name:
        assert sorted(addresses(name)) == ["inet", "inet6"]
        for address in ("10.80.0.1", "fd00:80::1", "192.0.2.2"):
            ping(name, address)
    nothing_left()


def test_two_containers_reach_each_other(other_host: NetworkNamespace) -> None:
    with container() as first, container() as second:
        for address in addresses(second).values():
            ping(first, address)
        for address in addresses(first).values():
            ping(second, address)
    nothing_left()


def test_a_published_port_is_reached_from_everywhere(other_host: NetworkNamespace) -> None:
    with container("-p", "8080:80", command=HTTPD) as server, container() as client:
        assert fetch("10.80.0.1", 8080).endswith(b"hello\n")  # the host itself
        assert fetch("fd00:80::1", 8080, socket.AF_INET6).endswith(b"hello\n")
        assert other_host.call(fetch, OUTSIDE, 8080).endswith(b"hello\n")
        for name in (client, server):
            found = podman("exec", name, "wget", "-q", "-O", "-", f"http://{OUTSIDE}:8080/")
            assert succeed(found) == "hello"
    nothing_left()
    try:
        other_host.call(fetch, OUTSIDE, 8080)
    except ConnectionRefusedError:
        return
    raise AssertionError("the port is still open")


def test_a_port_of_one_address_is_not_widened(other_host: NetworkNamespace) -> None:
    with container("-p", "10.80.0.1:8081:80", command=HTTPD):
        assert fetch("10.80.0.1", 8081).endswith(b"hello\n")
        try:
            other_host.call(fetch, OUTSIDE, 8081)
        except ConnectionRefusedError:
            pass
        else:
            raise AssertionError("the port is open at another address")
    nothing_left()
    refused = podman(
        "run", "--rm", "-p", "127.0.0.1:8082:80", "--rootfs", str(ROOTFS), "sleep", "1"
    )
    assert refused.returncode != 0
    assert "127.0.0.1 is not supported" in refused.stderr, refused.stderr
    nothing_left()


def test_a_taken_port_keeps_the_second_container_from_starting(
    other_host: NetworkNamespace,
) -> None:
    # podman itself reserves the port, so the first owner is a network of another program.
    with container("-p", "8083:80", command=HTTPD) as name:
        refused = podman(
            *("run", "--rm", "--network", "second", "-p", "8083:80"),
            *("--rootfs", str(ROOTFS), "sleep", "1"),
        )
        assert refused.returncode != 0
        assert len(list_owned()) == 1, refused.stderr
        assert fetch("10.80.0.1", 8083).endswith(b"hello\n")
        assert name
    nothing_left()


def test_restart_and_exec(other_host: NetworkNamespace) -> None:
    with container("-p", "8084:80", command=HTTPD) as name:
        for _ in range(2):
            succeed(podman("restart", "-t", "0", name))
            wait_for_server(name)
            ping(name, "10.80.0.1")
            assert other_host.call(fetch, OUTSIDE, 8084).endswith(b"hello\n")
        assert len(list_owned()) == 1
    nothing_left()


def test_requested_addresses_and_mac(other_host: NetworkNamespace) -> None:
    options = "--ip", "10.80.0.77", "--mac-address", "02:00:00:00:00:77"
    with container(*options) as name:
        assert addresses(name)["inet"] == "10.80.0.77"
        assert "02:00:00:00:00:77" in succeed(podman("exec", name, "ip", "link", "show", "eth0"))
    nothing_left()


def test_two_networks_and_a_chained_plugin(other_host: NetworkNamespace) -> None:
    with container("--network", "main,second") as name:
        assert len(list_owned()) == 2
        ping(name, "10.80.0.1")
        ping(name, "10.81.0.1")
        path = "/proc/sys/net/ipv4/conf/eth1/arp_notify"  # of the plugin tuning
        assert succeed(podman("exec", name, "cat", path)) == "1"
    nothing_left()


def test_a_container_that_ends_by_itself(other_host: NetworkNamespace) -> None:
    options = "run", "--rm", "-p", "8085:80", "--rootfs", str(ROOTFS)
    assert "eth0" in succeed(podman(*options, "ip", "link"))
    nothing_left()


# ---- without CNI: docs/runtimes.md ----

WIRED = OUT / "networks.json"  # networks for `pynetstrat network`


def write_networks(*more: dict[str, str]) -> None:
    veth = {"type": "veth", "name": "eth0", "bridge": "main0", "address": "10.80.0.200/24"}
    WIRED.write_text(json.dumps([*more, {**veth, "owner": "wired"}]))


@contextlib.contextmanager
def a_wired_namespace() -> Iterator[str]:
    """Makes a namespace with a name, and its networks. Returns its path."""
    write_networks({"type": "loopback"})
    with NetworkNamespace.create("wired"):
        try:
            succeed(call(COMMAND, "network", "set-up", "--netns", "wired", str(WIRED)))
            yield "/run/netns/wired"
            succeed(call(COMMAND, "network", "tear-down", "--netns", "wired", str(WIRED)))
        finally:
            NetworkNamespace.delete("wired")


def test_podman_takes_a_wired_namespace(other_host: NetworkNamespace) -> None:
    with a_wired_namespace() as path, container("--network", f"ns:{path}") as name:
        ping(name, "10.80.0.1")
    nothing_left()


def test_systemd_nspawn_takes_a_wired_namespace(other_host: NetworkNamespace) -> None:
    (ROOTFS / "usr").mkdir(exist_ok=True)
    (ROOTFS / "etc" / "os-release").write_text("ID=test\n")
    options = "--quiet", "--register=no", "--keep-unit", f"--directory={ROOTFS}"
    command = "/bin/ping", "-c", "1", "-W", "10", "10.80.0.1"
    with a_wired_namespace() as path:
        finished = call("systemd-nspawn", *options, f"--network-namespace-path={path}", *command)
        assert "1 packets received" in succeed(finished)
    nothing_left()


def test_bubblewrap_waits_until_its_container_is_wired(other_host: NetworkNamespace) -> None:
    write_networks()  # it brings lo up itself, and fails if that is up already
    info, info_end = os.pipe()
    block, block_end = os.pipe()
    command = ["bwrap", "--unshare-net", "--bind", str(ROOTFS), "/", "--proc", "/proc"]
    command += ["--info-fd", str(info_end), "--block-fd", str(block)]
    command += ["/bin/ping", "-c", "1", "-W", "10", "10.80.0.1"]
    with subprocess.Popen(command, pass_fds=[info_end, block], stdout=subprocess.PIPE) as bwrap:
        os.close(info_end)
        os.close(block)
        with open(info) as file:  # noqa: PTH123  # a descriptor
            pid = json.load(file)["child-pid"]
        succeed(call(COMMAND, "network", "set-up", "--pid", str(pid), str(WIRED)))
        os.close(block_end)  # lets it go on
        printed, _ = bwrap.communicate(timeout=60)
    assert b"1 packets received" in printed
    succeed(call(COMMAND, "network", "tear-down", str(WIRED)))
    nothing_left()


# ---- containerd ----


def write_image(path: Path) -> None:
    """Writes an image of the root folder, an archive in the layout of the OCI image-spec."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        archive.add(ROOTFS, arcname=".")
    with tarfile.open(path, "w") as archive:

        def add(name: str, data: bytes) -> None:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))

        def blob(data: bytes, kind: str) -> dict[str, Any]:
            digest = hashlib.sha256(data).hexdigest()
            add(f"blobs/sha256/{digest}", data)
            media = f"application/vnd.oci.image.{kind}"
            return {"mediaType": media, "digest": f"sha256:{digest}", "size": len(data)}

        data = layer.getvalue()
        digest = hashlib.sha256(data).hexdigest()
        machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine)
        configuration = {
            "architecture": machine or os.uname().machine,
            "os": "linux",
            "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"]},
            "rootfs": {
                "type": "layers",
                "diff_ids": [f"sha256:{digest}"],
            },
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": blob(json.dumps(configuration).encode(), "config.v1+json"),
            "layers": [blob(data, "layer.v1.tar")],
        }
        entry = blob(json.dumps(manifest).encode(), "manifest.v1+json")
        entry["annotations"] = {"io.containerd.image.name": IMAGE}
        index = {"schemaVersion": 2, "manifests": [entry]}
        add("index.json", json.dumps(index).encode())
        add("oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode())


@contextlib.contextmanager
def containerd() -> Iterator[None]:
    """Runs containerd with folders of its own."""
    folder = OUT / "containerd"
    folder.mkdir()
    configuration = f"""\
version = 2
root = "{folder}/root"
state = "/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{CONTAINERD}"
"""
    (folder / "config.toml").write_text(configuration)
    with (folder / "log").open("w") as log:
        command = ["containerd", "--config", str(folder / "config.toml")]
        with subprocess.Popen(command, stdout=log, stderr=log) as process:
            try:
                wait_until(lambda: ctr("version").returncode == 0)
                write_image(folder / "image.tar")
                succeed(ctr("images", "import", "--snapshotter", "native", f"{folder}/image.tar"))
                yield
            except BaseException:
                print((folder / "log").read_text()[-4000:])
                raise
            finally:
                process.terminate()


def run_by_containerd(*command: str) -> subprocess.CompletedProcess[str]:
    done["containers"] += 1
    name = f"pynetstrat-{os.getpid()}-{done['containers']}"
    options = "--rm", "--cni", "--snapshotter", "native"
    return ctr("run", *options, IMAGE, name, *command)


@contextlib.contextmanager
def a_server_of_containerd() -> Iterator[str]:
    """Runs a server until the end of the block. `ctr run` calls DEL only if it runs that long."""
    done["containers"] += 1
    name = f"pynetstrat-{os.getpid()}-server"
    options = "--rm", "--cni", "--snapshotter", "native"
    command = ["ctr", "--address", CONTAINERD, "run", *options, IMAGE, name, *HTTPD]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as server:
        try:
            wait_until(lambda: bool(leased()))
            (address,) = leased()
            wait_until(lambda: answers(address))
            yield address
        finally:
            ctr("tasks", "kill", "--signal", "SIGKILL", name)
            try:
                server.wait(60)
            finally:
                server.kill()


def leased() -> list[str]:
    """Returns the IPv4 addresses that are masqueraded."""
    found = [one.address.partition("/")[0] for one in read_egress()["hosts"]]
    return [address for address in found if "." in address]


def answers(address: str) -> bool:
    try:
        return fetch(address, 80).endswith(b"hello\n")
    except OSError:
        return False


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_containerd_attaches_containers(other_host: NetworkNamespace) -> None:
    with containerd():
        finished = run_by_containerd("ping", "-c", "1", "-W", "10", "10.82.0.1")
        assert "1 packets received" in succeed(finished)
        nothing_left()
        with a_server_of_containerd() as address:
            found = run_by_containerd("wget", "-q", "-O", "-", f"http://{address}/")
            assert succeed(found) == "hello"
        nothing_left()


# ---- all ----


@contextlib.contextmanager
def a_host_with_a_neighbour() -> Iterator[NetworkNamespace]:
    """Lets this namespace forward, and links it with another host's."""
    for setting in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        Path("/proc/sys/net", setting).write_text("1")
    with NetworkNamespace.create() as other, RtnetlinkSocket() as sock:
        sock.link_set_up("lo")
        sock.execute(Batch().add_veth("uplink", "eth0", netns=other))
        index = sock.get_link("uplink").index
        sock.execute(Batch().add_address(index, f"{OUTSIDE}/24").set_link(index, up=True))
        with RtnetlinkSocket(other) as neighbour:
            index = neighbour.get_link("eth0").index
            # Without a route to the containers: it answers only to what is masqueraded.
            batch = Batch().add_address(index, "192.0.2.2/24").set_link(index, up=True)
            neighbour.execute(batch)
        yield other


def configure() -> None:
    """Writes the configurations of podman and of containerd's ctr."""
    tuning = {"type": "tuning", "sysctl": {"net.ipv4.conf.eth1.arp_notify": "1"}}
    for given in (network("main", "0.4.0", 80), network("second", "1.0.0", 81, tuning)):
        file = OUT / "networks" / f"{given['name']}.conflist"
        file.write_text(json.dumps(given))
    configuration = OUT / "containers.conf"
    configuration.write_text(f"""\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "runc"
[network]
network_backend = "cni"
cni_plugin_dirs = ["{OUT}/plugins"]
network_config_dir = "{OUT}/networks"
default_network = "main"
""")
    os.environ["CONTAINERS_CONF"] = str(configuration)
    # ctr has no option for the folders of CNI. These are on a file system of this check.
    folder = Path("/etc/cni/net.d")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "10-third.conflist").write_text(json.dumps(network("third", "1.0.0", 82)))
    Path("/opt/cni").mkdir(parents=True, exist_ok=True)
    Path("/opt/cni/bin").symlink_to(OUT / "plugins")


def main() -> None:
    configure()
    with a_host_with_a_neighbour() as other:
        for name, step in list(globals().items()):
            if name.startswith("test_"):
                step(other)
                print(f"ok {name.removeprefix('test_').replace('_', ' ')}", flush=True)
    versions = [succeed(each).split()[2] for each in (podman("--version"), call("ctr", "-v"))]
    print(
        f"podman {versions[0]}, containerd {versions[1]}: {done['containers']} containers; no "
        "link, no rule, no lease left"
    )


main()
