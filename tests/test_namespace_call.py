"""namespace.py, _namespace_thread.py: functions that run in a namespace."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
from pathlib import Path

import pytest
import support
from support import identity, python, run

from pynetstrat import Batch, NetworkNamespace, RtnetlinkSocket

# ---- call ----


def test_a_function_runs_in_the_namespace_and_its_caller_does_not_move(net):
    with NetworkNamespace.create() as namespace:
        before = identity()
        assert namespace.call(identity) == namespace.id
        assert namespace.call(lambda *values: values, 1, 2) == (1, 2)
        assert namespace.call(dict, [("a", 1)], function=2) == {"a": 1, "function": 2}
        assert identity() == before


def test_an_exception_of_a_function_is_raised_in_its_caller_which_does_not_move(net):
    class SpecialError(Exception):
        pass

    def fail() -> None:
        raise SpecialError("from the thread")

    with NetworkNamespace.create() as namespace:
        before = identity()
        with pytest.raises(SpecialError, match="from the thread"):
            namespace.call(fail)
        for kind in (SystemExit, KeyboardInterrupt):
            with pytest.raises(kind):
                namespace.call(_raise, kind)
        assert identity() == before
        assert namespace.call(identity) == namespace.id


def _raise(kind: type[BaseException]) -> None:
    raise kind


def test_a_function_and_a_child_run_in_a_user_namespace_that_may_not_return(net):
    """As after `unshare -Ur`: the caller's own network namespace belongs to the outer one."""
    code = """
import os
import support
from pynetstrat import Network, NetworkNamespace, _syscalls, set_up_networks
_syscalls.unshare(_syscalls.CLONE_NEWUSER)
_syscalls.map_ids(0, 0, 0, 0)
pair = Network("veth", "eth0", address="10.0.0.2/24", gateway="10.0.0.1")
with NetworkNamespace.create() as namespace, NetworkNamespace.create() as host:
    print(namespace.call(lambda: os.stat("/proc/thread-self/ns/net").st_ino) == namespace.id[1])
    try:
        namespace.call(int, "x")
    except ValueError as error:
        print(error)
    print(namespace.run(["readlink", "/proc/self/ns/net"], capture_output=True).stdout.decode()
          == f"net:[{namespace.id[1]}]\\n")
    print(set_up_networks([pair], netns=namespace, host=host)[0].name)
def has_one_thread():
    return len(os.listdir("/proc/self/task")) == 1
support.wait_until(has_one_thread)  # the kernel ends a thread later than pthread_join()
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    done = python(code, env=environment)
    said = "invalid literal for int() with base 10: 'x'"
    assert (done.stdout, done.stderr) == (f"True\n{said}\nTrue\neth0\n", "")


def test_no_thread_is_left_and_no_thread_of_the_caller_has_moved(net):
    def tasks() -> dict[str, int]:
        """The network namespace of each thread, those of pytest-xdist included."""
        found = {}
        for task in Path("/proc/self/task").iterdir():
            # It has just ended: the kernel answers a link in the folder of a thread that is gone
            # with EACCES (proc_ns_get_link in fs/proc/namespaces.c).
            with contextlib.suppress(FileNotFoundError, PermissionError):
                found[task.name] = (task / "ns/net").stat().st_ino
        return found

    with NetworkNamespace.create() as namespace:
        before, threads = tasks(), threading.active_count()
        for _ in range(20):
            namespace.call(identity)
            namespace.run(["true"])
        assert threading.active_count() == threads
        # The kernel ends a thread later than Python does.
        support.wait_until(lambda: tasks().items() <= before.items())


@pytest.mark.parametrize(
    "arguments",
    [
        (socket.AF_INET, socket.SOCK_STREAM),
        (socket.AF_INET6, socket.SOCK_DGRAM),
        (socket.AF_UNIX, socket.SOCK_STREAM),
        (socket.AF_PACKET, socket.SOCK_RAW),
        (socket.AF_NETLINK, socket.SOCK_RAW),
    ],
)
def test_a_socket_opened_by_a_function_belongs_to_the_namespace(net, arguments):
    with (
        NetworkNamespace.create() as namespace,
        namespace.call(socket.socket, *arguments) as sock,
    ):
        cookie = int.from_bytes(sock.getsockopt(socket.SOL_SOCKET, 71, 8), sys.byteorder)
        assert cookie == namespace.cookie  # SO_NETNS_COOKIE


def test_an_abstract_unix_socket_and_a_bound_packet_socket_belong_to_the_namespace(net):
    with NetworkNamespace.create() as namespace, RtnetlinkSocket(namespace) as sock:
        sock.execute(Batch().add_veth("inner0", "peer"))
        with namespace.call(socket.socket, socket.AF_PACKET, socket.SOCK_RAW) as packets:
            packets.bind(("inner0", 0))
        with (
            namespace.call(socket.socket, socket.AF_UNIX) as inner,
            socket.socket(socket.AF_UNIX) as outer,
        ):
            inner.bind("\0pynetstrat-test")
            inner.listen()
            with pytest.raises(ConnectionRefusedError):
                outer.connect("\0pynetstrat-test")


def test_threads_share_a_handle(net):
    with NetworkNamespace.create() as namespace:
        seen = []

        def work() -> None:
            seen.extend(namespace.call(identity) for _ in range(20))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == [namespace.id] * 80


_GREENLETS = """
import os, sys, time
def patch(library):
    if library == "gevent":
        from gevent import monkey, spawn
        monkey.patch_all()
    else:
        import eventlet
        from eventlet import spawn
        eventlet.monkey_patch()
    return spawn
if sys.argv[2] == "before":
    spawn = patch(sys.argv[1])
from pynetstrat import NetworkNamespace
from pynetstrat.cli import _fresh_namespaces
if sys.argv[2] == "after":
    spawn = patch(sys.argv[1])
import subprocess, threading

def identity():
    return os.stat("/proc/thread-self/ns/net").st_ino

def watch():
    while not over:
        seen.add(identity())
        time.sleep(0)

def work(process=None):
    time.sleep(0)  # a greenlet would switch to the other one here
    return identity(), threading.get_native_id()

_fresh_namespaces.enter()
before, over, seen = identity(), [], set()
spawn(watch)
time.sleep(0)
command = ["stat", "-Lc", "%i", "/proc/self/ns/net"]
with NetworkNamespace.create() as namespace:
    inside, thread = namespace.call(work)
    assert inside == namespace.id[1] != before
    assert thread != os.getpid()
    done = namespace.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) == namespace.id[1]
    try:
        namespace.run(["sleep", "60"], timeout=0.1)
    except subprocess.TimeoutExpired:
        pass
    with namespace.popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.communicate(b"given") == (b"given", None)
    assert process.returncode == 0
    try:
        namespace.run(["false"], check=True)
    except subprocess.CalledProcessError as error:
        assert error.returncode == 1
time.sleep(0)
over.append(True)
assert seen == {before}, (seen, before)
print("done")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("library", "order"),
    support.sample(
        [(library, order) for library in ("gevent", "eventlet") for order in ("before", "after")]
    ),
)
def test_no_greenlet_enters_the_namespace_if_threading_is_patched(library, order):
    done = run([sys.executable, "-W", "ignore", "-c", _GREENLETS, library, order])
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_the_error_names_the_pid_namespace_that_forbids_threads():
    code = """
import ctypes, os
from pynetstrat import KernelError, NetworkNamespace, RtnetlinkSocket, SysfsReader, link_set_up
from pynetstrat.cli import _fresh_namespaces
_fresh_namespaces.enter()
namespace = NetworkNamespace.create()
_fresh_namespaces.unshare(0x20000000)  # CLONE_NEWPID
uses = [
    NetworkNamespace.create,
    lambda: namespace.call(os.getpid),
    lambda: namespace.popen(["true"]),
    lambda: namespace.run(["true"]),
    lambda: RtnetlinkSocket(namespace),
    lambda: link_set_up("lo", netns=namespace),
    lambda: SysfsReader("lo", netns=namespace),
]
for use in uses:
    try:
        use()
    except KernelError as error:
        print(error.errno, error.operation, "pid namespace" in error.hint, "fork" in error.hint)
pid = os.fork()
if pid == 0:  # the first process of the new pid namespace
    with NetworkNamespace.create() as other:
        os._exit(other.call(os.getpid) != 1)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
namespace.close()
"""
    done = python(code)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "22 pthread_create True True\n" * 7 + "0\n"


# ---- Ctrl-C ----


def test_ctrl_c_ends_a_waiting_call(net, interrupt):
    gate = threading.Event()
    with NetworkNamespace.create() as namespace:
        before = identity()
        with pytest.raises(KeyboardInterrupt):
            interrupt(0.2)  # inside of `raises`, since it may come before the call
            namespace.call(gate.wait, 60)
        assert identity() == before
        gate.set()
        for thread in threading.enumerate():
            if thread.name == "pynetstrat":
                thread.join()


INTERRUPTED_AFTER_THE_WAIT = """
from pynetstrat import _namespace_thread
from pynetstrat.cli import _fresh_namespaces
import os

class Lock:  # a handler raises just after the lock was acquired
    def __init__(self):
        self.lock, self.calls = real.allocate_lock(), 0

    def acquire(self):
        self.lock.acquire()
        self.calls += 1
        if self.calls == 2:
            raise KeyboardInterrupt

    def release(self):
        self.lock.release()

class System:
    allocate_lock = Lock
    start_new_thread = _namespace_thread._system.start_new_thread

real, _namespace_thread._system = _namespace_thread._system, System
_fresh_namespaces.enter()
fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
done = []
for function in (lambda: done.append(1), lambda: done.append(1) or 1 / 0):
    try:
        _namespace_thread.run_in_namespace(fd, "here", function, finish=lambda _: None)
    except KeyboardInterrupt:
        done.append("interrupted")
print(done)
"""


def test_ctrl_c_once_a_function_has_returned_does_not_wait_for_it_again():
    assert python(INTERRUPTED_AFTER_THE_WAIT).stdout == "[1, 'interrupted', 1, 'interrupted']\n"
