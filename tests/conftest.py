"""Where the tests run: in namespaces of their own, never among the host's interfaces.

The process moves itself into fresh user, network and mount namespaces before the first test; each
test that uses the kernel then gets a network namespace and a sysfs of its own.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

# A library that starts threads on import would keep os.fork() from being tested.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import hypothesis
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import helpers_network
import support
from core_objects import core_objects  # noqa: F401  # a fixture
from devices import configured_device, container, quiet_host  # noqa: F401  # fixtures
from faults_for_tests import without_collection

from pynetstrat import KernelError, RtnetlinkSocket
from pynetstrat.cli import _fresh_namespaces

# The same examples in every run, and no deadline: timing is not tested here.
hypothesis.settings.register_profile(
    "pynetstrat",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=len(support.sample(range(100))),
)
hypothesis.settings.load_profile("pynetstrat")


def pytest_sessionstart(session: pytest.Session) -> None:
    config = session.config
    is_worker = hasattr(config, "workerinput")
    if config.getoption("dist", "no") != "no" and not is_worker:
        # The controller of pytest-xdist runs no test: each worker does what follows.
        if not all("worker.sh" in where for where in config.getoption("tx")):
            pytest.exit("to run the tests in parallel, use ./build.sh test", returncode=1)
        return
    helpers_network.be_patient()
    # A shell starts what it puts in the background with SIGINT ignored, and children inherit that:
    # there would be no Ctrl-C to test.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup has it ignored
    # pytest names its folder in /tmp after the user, and in a user namespace that would be root.
    os.environ.setdefault("LOGNAME", f"uid{os.getuid()}")
    try:
        if is_worker:
            _fresh_namespaces.mount_sysfs()  # tests/worker.sh has done the rest
        else:
            _fresh_namespaces.enter()
        # Records of devices, names of namespaces: nothing of the tests stays on the machine.
        support.mount("tmpfs", Path("/run"), "tmpfs")
    except KernelError as error:
        pytest.exit(f"the tests need namespaces of their own: {error}", returncode=1)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Keeps the collector of cycles from looking at what lasts: the modules and the tests.

    There are a million objects. Otherwise each gc.collect() of a test takes 0.2 s of CPU time.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True)
def _descriptors() -> Iterator[None]:
    """Every test leaves the open descriptors as it found them."""
    before = support.descriptors()
    yield
    if support.descriptors() != before:
        gc.collect()
        assert support.descriptors() == before


@pytest.fixture
def net(_descriptors: None) -> Iterator[support.Links]:
    """A fresh network namespace, with a sysfs of its own at /sys, and the means to make links."""
    before = support.network_namespace()
    _fresh_namespaces.unshare(_fresh_namespaces.CLONE_NEWNET)
    try:
        _fresh_namespaces.mount_sysfs()
        try:
            with support.Links() as links:
                yield links
        finally:
            support.unmount("/sys")
    finally:
        _fresh_namespaces.setns(before, _fresh_namespaces.CLONE_NEWNET)
        os.close(before)


@pytest.fixture
def run(_descriptors: None) -> Iterator[None]:
    """An empty /run, where names of namespaces are files: all that is there is the test's."""
    with helpers_network.own_run():
        yield


@pytest.fixture
def host(net: support.Links) -> Iterator[RtnetlinkSocket]:
    """A socket in that namespace: the host's, where there are containers.

    Its timeout is longer than the default: a thousand links may take 5 s on a busy machine.
    """
    with RtnetlinkSocket(timeout=60) as sock:
        yield sock


@pytest.fixture
def bridge(host: RtnetlinkSocket) -> int:
    """The bridge br0 on the host: its index."""
    return helpers_network.add_bridge()


@pytest.fixture
def new_namespace(_descriptors: None) -> Iterator[Callable[[], int]]:
    """Makes network namespaces, as descriptors."""
    made = []

    def make() -> int:
        made.append(support.new_namespace())
        return made[-1]

    yield make
    for descriptor in made:
        os.close(descriptor)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree like /sys/class/net: eth0, with the counters 1 to 8."""
    statistics = tmp_path / "eth0" / "statistics"
    statistics.mkdir(parents=True)
    for number, file in enumerate(support.FILES, 1):
        (statistics / file).write_text(f"{number}\n")
    return tmp_path


@pytest.fixture
def named(net: support.Links) -> Iterator[str]:
    """A free name under /run/netns."""
    with helpers_network.own_run():
        yield "blue"


@pytest.fixture
def etc(named: str) -> Iterator[Path]:
    """The directory /etc/netns/NAME, in an /etc that only this test sees."""
    support.mount("tmpfs", Path("/mnt"), "tmpfs")
    work, upper = Path("/mnt/work"), Path("/mnt/upper")
    work.mkdir()
    upper.mkdir()
    options = f"lowerdir=/etc,upperdir={upper},workdir={work}"
    done = support.run(["mount", "-t", "overlay", "-o", options, "overlay", "/etc"])
    assert done.returncode == 0, done.stderr
    folder = Path("/etc/netns", named)
    folder.mkdir(parents=True)
    yield folder
    support.unmount("/etc")
    support.unmount("/mnt")


@pytest.fixture
def interrupt() -> Iterator[Callable[[float], None]]:
    """Sends SIGINT to the process after some seconds. The test waits for it."""
    timers = []

    def after(seconds: float) -> None:
        timers.append(threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT)))
        timers[-1].start()

    with without_collection():
        yield after
        for timer in timers:
            timer.join()
