"""pytest_plugin.py: the fixtures, in sessions of pytest in processes of their own."""

from __future__ import annotations

import os
import re
import sys

import pytest
import support
from helpers_network import names

DOCUMENT = (support.ROOT / "docs" / "testing.md").read_text()

CASES = '''
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from pynetstrat import Network, NetworkNamespace, RtnetlinkSocket, list_owned, set_up_networks
from pynetstrat.pytest_plugin import Wire

OWN = os.readlink("/proc/self/ns/net")
SEEN = []


def links(where):
    with RtnetlinkSocket(where) as sock:
        return set(sock.dump_links())


def all_threads_stayed():
    """Whether all threads are in OWN. The kernel ends a thread later than pthread_join()."""
    with suppress(FileNotFoundError, PermissionError):  # a thread that has just ended
        return {os.readlink(task / "ns/net") for task in Path("/proc/self/task").iterdir()} == {OWN}


def pair(**fields):
    fields = {"name": "eth0", "address": "10.0.0.2/24", "owner": "c1"} | fields
    return Network("veth", host_interface_name="h0", **fields)


@pytest.fixture
def later(request):
    """Called after the fixtures of a test have ended."""
    calls = []
    yield calls.append
    for call in calls:
        call()


def test_the_namespaces_are_fresh_and_the_test_stays_where_it_is(netns, host_netns):
    assert netns.id != host_netns.id
    with RtnetlinkSocket(host_netns) as host, RtnetlinkSocket(netns) as container:
        assert (host.link_is_up("lo"), container.link_is_up("lo")) == (True, False)
    assert links(netns) == links(host_netns) == {"lo"}
    assert any(all_threads_stayed() or time.sleep(0.001) for _ in range(10_000))
    SEEN.append(netns.cookie)


def test_each_test_has_namespaces_of_its_own(netns):
    assert netns.cookie not in SEEN


def test_wire_sets_up_and_tears_down(later, request):
    """`later` comes first, so it ends last. The test keeps the namespaces open until then."""
    host = NetworkNamespace.open(request.getfixturevalue("host_netns"))
    netns = NetworkNamespace.open(request.getfixturevalue("netns"))
    wire: Wire = request.getfixturevalue("wire")
    made = wire([Network("loopback"), pair(hairpin_mode=False)])
    assert made[1].host_interface_name == "h0"
    assert (links(host), links(netns)) == ({"lo", "h0"}, {"lo", "eth0"})
    assert [owned.owner for owned in list_owned(host=host)] == ["c1"]

    def check():
        assert links(host) == links(netns) == {"lo"}
        host.close()
        netns.close()

    later(check)


def test_wire_takes_other_namespaces(wire, netns, host_netns):
    with NetworkNamespace.create() as other:
        wire([pair()], netns=other, host=netns)
        assert (links(netns), links(other)) == ({"lo", "h0"}, {"lo", "eth0"})
        assert links(host_netns) == {"lo"}


def test_wire_after_which_the_test_closes_the_container(wire, netns):
    wire([pair()])
    netns.close()


def test_wire_after_which_the_test_closes_both(wire, netns, host_netns):
    wire([pair()])
    netns.close()
    host_netns.close()


def test_wire_in_a_thread(wire, netns):
    thread = threading.Thread(target=wire, args=([pair()],))
    thread.start()
    thread.join()
    assert links(netns) == {"lo", "eth0"}


def test_a_failing_call_leaves_nothing(wire, netns, host_netns):
    set_up_networks([pair()], netns=netns, host=host_netns)
    with pytest.raises(OSError, match="already"):
        wire([pair(owner="c2")])
    assert links(netns) == {"lo", "eth0"}
'''


ALONE = ["-p", "pynetstrat.pytest_plugin"]


def without_others():
    """An environment without the other plug-ins of pytest, which take longest to load."""
    return os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def run(folder, *options, **more):
    command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = support.run([*command, *options], cwd=folder, **more)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return done.stdout


@pytest.fixture
def folder(net, tmp_path):
    """A folder with the cases and the examples of the document."""
    (tmp_path / "test_cases.py").write_text(CASES)
    for number, example in enumerate(re.findall(r"^```python\n(.*?)^```$", DOCUMENT, re.M | re.S)):
        (tmp_path / f"test_example_{number}.py").write_text(example)
    yield tmp_path
    assert names() == {"lo"}


COUNT = CASES.count("\ndef test_") + DOCUMENT.count("\ndef test_")


@pytest.mark.slow
def test_the_fixtures_and_the_examples_of_the_document_work(folder):
    assert COUNT == 12
    assert f"{COUNT} passed" in run(folder)


@pytest.mark.slow
def test_the_fixtures_work_in_the_workers_of_xdist(folder):
    """Each of two workers runs every test, at the same time as the other."""
    options = ["-p", "xdist", "-n", "2", "--dist", "each"]
    assert f"{2 * COUNT} passed" in run(folder, *ALONE, *options, env=without_others())


def test_a_session_that_uses_no_fixture_loads_no_other_module_of_the_package(tmp_path):
    (tmp_path / "test_modules.py").write_text(
        "import sys\n"
        "def test_modules():\n"
        "    ours = {name for name in sys.modules if name.startswith('pynetstrat')}\n"
        "    assert ours == {'pynetstrat', 'pynetstrat.pytest_plugin'}\n"
    )
    # Coverage would load all modules of the package.
    environment = support.without_coverage()
    assert "1 passed" in run(tmp_path, env=environment)
    assert "pynetstrat" not in run(tmp_path, "-p", "no:pynetstrat", "--fixtures", "-k", "nothing")


def test_pytest_shows_the_fixtures_with_their_descriptions(tmp_path):
    (tmp_path / "test_nothing.py").write_text("")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--fixtures"]
    shown = support.run([*command, *ALONE], cwd=tmp_path, env=without_others()).stdout
    for fixture in ("host_netns", "netns", "wire"):
        assert re.search(rf"^{fixture} -- .*pytest_plugin\.py:\d+\n    \w", shown, re.M), fixture
