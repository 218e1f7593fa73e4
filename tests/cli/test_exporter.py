"""cli/exporter.py: how the command starts and ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import support
from helpers_exporter import COMMAND, RECEIVED, connect_slow, fail, misuse, running, take_rest

from pynetstrat import Batch
from pynetstrat.cli import _exporter_connection

# ---- how it starts ----


def test_it_listens_on_ipv6(exporter_host):
    with running(listen="[::1]:0") as exporter:
        assert exporter.url.startswith("http://[::1]:")
        with exporter.get() as response:
            assert response.status == 200


@pytest.mark.parametrize("only_ipv6", ["0", "1"])
def test_the_unspecified_ipv6_address_accepts_ipv4_whatever_the_default(exporter_host, only_ipv6):
    Path("/proc/sys/net/ipv6/bindv6only").write_text(only_ipv6)
    with running(listen="[::]:0") as exporter, exporter.connect() as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert client.recv(15) == b"HTTP/1.0 200 OK"


@pytest.mark.slow
def test_it_listens_on_loopback_by_default(exporter_host):
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, text=True, cwd=support.ROOT) as process:
        try:
            assert process.stdout.readline() == "serving http://127.0.0.1:19580/metrics\n"
        finally:
            process.kill()


def test_an_address_in_use_is_an_error(exporter):
    address = f"127.0.0.1:{exporter.port}"
    done = fail("--listen", address)
    assert done.returncode == 1
    assert (
        f"bind {address}: Address already in use; choose another address or port with --listen"
        in done.stderr
    )
    with exporter.get() as response:  # the first is not disturbed
        assert response.status == 200


def test_it_listens_on_a_link_local_address(exporter_host):
    exporter_host.execute(Batch().add_veth("v0", "v1", up=True).set_link("v1", up=True))
    index = exporter_host.get_link("v0").index
    exporter_host.execute(Batch().add_address(index, "fe80::1/64", nodad=True))
    with running(listen="[fe80::1%v0]:0") as exporter:
        assert exporter.url == f"http://[fe80::1%v0]:{exporter.port}/metrics"
        with socket.socket(socket.AF_INET6) as client:
            client.settimeout(60)
            client.connect(("fe80::1", exporter.port, 0, index))
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert client.recv(15) == b"HTTP/1.0 200 OK"
        assert exporter.end() == (0, "", "")


@pytest.mark.parametrize("address", ["[fe80::1]:19580", "[FE80:0::1]:19580"])
def test_a_link_local_address_without_its_interface_is_wrong_usage(net, address):
    done = misuse("--listen", address)
    remedy = "is a link-local address; append the interface, such as [fe80::1%eth0]:19580\n"
    assert done.stderr.endswith(remedy)


@pytest.mark.parametrize("address", ["192.0.2.1:0", "[2001:db8::1]:0", "[fe80::1%nothing]:0"])
def test_an_address_of_another_host_is_an_error(exporter_host, address):
    done = fail("--listen", address)
    assert done.returncode == 1
    assert "this host does not have the address" in done.stderr


def test_a_port_that_requires_a_capability_is_an_error(exporter_host):
    Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("1024")
    done = support.run(
        ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *COMMAND, "--listen", "127.0.0.1:80"]
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "bind 127.0.0.1:80: Permission denied; ports below 1024" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "address",
    [
        *("", ":", "9100", ":9100", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536"),
        *("127.0.0.1:-1", "127.0.0.1:+1", "127.0.0.1: 1", "127.0.0.1:1\n", "127.0.0.1:\u0661"),
        *("::1:9100", "[::1]", "[::1]:", "[127.0.0.1]:9100", "[::1", "::1]:9100", "[:]:1"),
        *("localhost:9100", "1:9100", "127.1:9100", "http://127.0.0.1:9100", "127.0.0.1:1/metrics"),
    ],
)
def test_an_invalid_address_is_wrong_usage(net, address):
    done = misuse(f"--listen={address}")
    assert "--listen must be an IP address and a port, such as 127.0.0.1:0" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "option", ["--container", "--exclude-container", "--interface", "--exclude-interface"]
)
@pytest.mark.parametrize(
    "pattern", ["(", "[z-a]", "*eth", "\\", "(?P<a", "a{99999999999999999999}"]
)
def test_an_invalid_pattern_is_wrong_usage(net, option, pattern):
    done = misuse(f"{option}={pattern}")
    assert f"{option} must be a regular expression, not " in done.stderr


def test_filters_choose_containers_and_interfaces(exporter_host, blue):
    exporter_host.execute(
        Batch().add_veth("v1", "net1", netns=blue).add_veth("v2", "eth2", netns=blue)
    )
    arguments = ["--container", "blue", "--exclude-container", "red", "--interface", "^eth"]
    with running(*arguments, "--exclude-interface", "2$") as exporter:
        shown = {key[1:3] for key in exporter.scrape() if key[0] == RECEIVED}
    assert shown == {("test-blue", "eth0")}


@pytest.mark.slow
def test_a_warning_at_the_start_says_what_is_not_counted(blue):
    command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *COMMAND]
    with running("--container", "^test-", command=command) as exporter:
        values = exporter.scrape()
        assert exporter.end() == (0, "", "")
    assert re.search("containers: [0-9]+, such as .*CAP_SYS_ADMIN", exporter.uncounted)
    assert values[("pynetstrat_containers",)] == 0
    assert values[("pynetstrat_containers_refused",)] == 1
    assert values[("pynetstrat_scrape_error",)] == 0


@pytest.mark.slow
def test_it_does_not_need_prometheus_client(exporter_host):
    code = """
import sys
sys.modules["prometheus_client"] = None
from pynetstrat.cli import main
sys.exit(main(["exporter", *sys.argv[1:]]))
"""
    with running(command=[sys.executable, "-c", code]) as exporter:
        assert exporter.scrape()[("pynetstrat_scrape_error",)] == 0


# ---- how it ends ----


def test_sigterm_ends_it_with_status_0(exporter):
    assert exporter.end(signal.SIGTERM) == (0, "", "")
    with pytest.raises(ConnectionRefusedError):
        exporter.connect()


def test_sighup_ends_it_with_status_0(exporter):
    assert exporter.end(signal.SIGHUP) == (0, "", "")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_is_ignored_at_the_start_does_not_end_it(blue, number):
    """A shell starts background programs with SIGINT ignored, and nohup with SIGHUP ignored."""
    command = ["sh", "-c", f'trap "" {number.name[3:]}; exec "$@"', "sh", *COMMAND]
    with running(command=command) as exporter:
        os.kill(exporter.pid, number)
        with exporter.get() as response:
            assert response.status == 200
        assert exporter.end(signal.SIGTERM)[:2] == (0, "")


@pytest.mark.slow
def test_ctrl_c_ends_it_as_a_shell_expects(exporter_host):
    with running(command=COMMAND) as exporter:
        assert exporter.end(signal.SIGINT) == (128 + signal.SIGINT, "", "")


def test_further_signals_do_not_change_the_exit_status(exporter):
    with exporter.connect():
        exporter.signal_until_it_ends(signal.SIGTERM)
        assert exporter.wait() == (0, "", "")


_FAILING = """
import sys
from pynetstrat.cli import {module}, main

def fail(self):
    raise OSError(28, "No space left on device")

{function} = fail
sys.exit(main(["exporter", "--listen", "127.0.0.1:0"]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("function", ["_endpoint.Endpoint._serve_once", "_scraper.Scraper._work"])
def test_it_ends_if_it_cannot_serve(exporter_host, function):
    """For example, epoll_ctl() fails once fs.epoll.max_user_watches is reached."""
    module, _, _ = function.partition(".")
    code = _FAILING.format(module=f"_exporter{module}", function=f"_exporter{function}")
    done = support.python(code)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "pynetstrat: No space left on device"


@pytest.mark.slow
def test_a_response_that_has_begun_is_completed_before_the_end(
    exporter_host, blue, patient, monkeypatch
):
    monkeypatch.setattr(_exporter_connection, "_LAST_TIME", 600.0)
    for number in range(1, 100):
        exporter_host.execute(Batch().add_veth(f"v{number}", f"eth{number}", netns=blue))
    with running("--container", "^test-") as exporter, connect_slow(exporter.port) as client:
        response = client.recv(100)
        os.kill(exporter.pid, signal.SIGTERM)
        support.wait_until(exporter.has_taken_signal)  # it is about to end, with more to send
        response += take_rest(client)
        head, _, body = response.partition(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}\r\n".encode() in head + b"\r\n"
        assert body.count(b"\n" + RECEIVED.encode()) == 100
        assert exporter.wait() == (0, "", "")


@pytest.mark.slow
def test_it_serves_although_standard_output_is_closed(exporter_host):
    command = ["sh", "-c", 'exec "$@" >&-', "sh", *COMMAND, "--listen", "127.0.0.1:19581"]

    def is_served() -> bool:
        try:
            with urllib.request.urlopen("http://127.0.0.1:19581/", timeout=60) as response:
                return response.status == 200
        except urllib.error.URLError:
            return False

    with subprocess.Popen(command, cwd=support.ROOT) as process:
        try:
            support.wait_until(is_served)
            process.terminate()
            assert process.wait(60) == 0
        finally:
            process.kill()


@pytest.mark.slow
def test_a_full_standard_output_ends_it(exporter_host):
    script = 'exec "$@" >/dev/full'
    done = support.run(["sh", "-c", script, "sh", *COMMAND, "--listen", "127.0.0.1:0"])
    assert done.returncode == 1
    assert done.stderr.endswith("pynetstrat: standard output: No space left on device\n")
