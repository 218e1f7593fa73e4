"""namespace.py, _children.py: programs that run in a namespace."""

from __future__ import annotations

import gc
import os
import select
import signal
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import pytest
import support
from faults_for_tests import without_collection
from helpers_network import names
from support import ROOT, descriptors, identity

from pynetstrat import Batch, NetworkNamespace, RtnetlinkSocket
from pynetstrat.cli import _fresh_namespaces

# ---- popen ----


def _where(namespace: NetworkNamespace, **options: object) -> int:
    done = namespace.run(
        ["stat", "-Lc", "%i", "/proc/self/ns/net"], stdout=subprocess.PIPE, check=True, **options
    )
    return int(done.stdout)


def test_a_child_is_in_the_namespace_and_the_caller_is_not(net):
    with NetworkNamespace.create() as namespace:
        before = identity()
        assert _where(namespace) == namespace.id[1]
        assert identity() == before
        assert _where(namespace, close_fds=False) == namespace.id[1]  # by posix_spawn or vfork
        assert _where(namespace, preexec_fn=os.getpid) == namespace.id[1]
        assert _where(namespace, start_new_session=True) == namespace.id[1]


def test_a_child_can_be_waited_for(net):
    with NetworkNamespace.create() as namespace:
        process = namespace.popen(["sh", "-c", "read code; exit $code"], stdin=subprocess.PIPE)
        assert process.poll() is None
        process.communicate(b"7\n")
        assert process.returncode == 7
        with namespace.popen(["sleep", "60"]) as process:
            process.send_signal(signal.SIGTERM)
        assert process.returncode == -signal.SIGTERM


@pytest.mark.parametrize("blocked", [set(), {signal.SIGUSR1, signal.SIGTERM}])
def test_a_child_has_the_signal_mask_of_the_caller(net, blocked):
    with NetworkNamespace.create() as namespace:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
        try:
            script = ["grep", "^SigBlk", "/proc/self/status"]
            outside = subprocess.run(script, capture_output=True, check=True).stdout
            inside = namespace.run(script, capture_output=True, check=True).stdout
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        assert inside == outside
        assert (int(inside.split()[1], 16) != 0) == bool(blocked)


def test_a_child_has_the_present_directory_and_umask_of_the_caller(net, tmp_path):
    script = "pwd; umask"
    before, mask = Path.cwd(), os.umask(0o22)
    try:
        with NetworkNamespace.create() as namespace:
            for folder in (tmp_path, Path("/")):
                os.chdir(folder)
                os.umask(0o27 if folder == tmp_path else 0o77)
                inside = namespace.run(script, shell=True, capture_output=True).stdout
                assert inside == subprocess.run(script, shell=True, capture_output=True).stdout
    finally:
        os.chdir(before)
        os.umask(mask)


_PDEATHSIG = "import ctypes; ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)\n"  # PR_SET_PDEATHSIG, SIGKILL


@pytest.mark.slow
def test_a_child_that_sets_its_parent_death_signal_lives_as_long_as_the_parent(net):
    with NetworkNamespace.create() as namespace:
        for _ in range(10):
            done = namespace.run(
                ["cat"], input=b"x" * 100_000, stdout=-1, preexec_fn=support.die_with_parent
            )
            assert (done.returncode, len(done.stdout)) == (0, 100_000)
        command = [sys.executable, "-c", _PDEATHSIG + "print(input())"]
        with namespace.popen(command, stdin=-1, stdout=-1) as process:
            assert process.communicate(b"alive\n")[0] == b"alive\n"


_PARENT = """
import os, signal, sys
from pynetstrat import NetworkNamespace
from pynetstrat.cli import _fresh_namespaces
_fresh_namespaces.enter()
def prepare():
    os.setresuid(0, 0, 0)
with NetworkNamespace.create() as namespace:
    options = {"preexec_fn": prepare} if sys.argv[1] == "preexec_fn" else {}
    process = namespace.popen(["sleep", "600"], die_with_parent=True, **options)
    print("ready", flush=True)
    signal.pause()
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", ["", "preexec_fn"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_with_die_with_parent_is_killed_with_its_parent(way, number):
    command = [sys.executable, "-c", _PARENT, way]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as parent:
        assert parent.stdout.readline() == b"ready\n"
        parent.send_signal(number)
        assert parent.wait() == -number
        # The child also holds the other end of the pipe.
        assert select.select([parent.stdout], [], [], 60)[0], "the child lives"
        assert parent.stdout.read() == b""


def test_a_child_with_die_with_parent_outlives_the_thread_that_started_it(net):
    with NetworkNamespace.create() as namespace:
        started = []

        def start():
            started.append(namespace.popen(["cat"], stdin=-1, stdout=-1, die_with_parent=True))

        thread = threading.Thread(target=start)
        thread.start()
        thread.join()
        with started[0] as process:
            assert process.communicate(b"alive")[0] == b"alive"
        assert process.returncode == 0


def test_the_thread_of_a_child_does_not_keep_the_namespace_alive(net, new_namespace):
    """The child enters another namespace, which leaves the first without a process."""
    other = new_namespace()
    script = "import os, sys; os.read(0, 1)"
    with RtnetlinkSocket() as host:
        namespace = NetworkNamespace.create()
        host.execute(Batch().add_veth("h0", "eth0", netns=namespace))
        with namespace.popen(
            [sys.executable, "-c", script],
            stdin=-1,
            preexec_fn=lambda: _fresh_namespaces.setns(other, _fresh_namespaces.CLONE_NEWNET),
        ) as process:
            namespace.close()
            support.wait_until(lambda: "h0" not in host.dump_links())
            assert process.poll() is None


def test_the_thread_of_a_child_takes_no_signals_and_ends_with_the_child(net):
    def tasks():
        return {entry.name for entry in Path("/proc/self/task").iterdir()}

    before = tasks()
    with NetworkNamespace.create() as namespace:
        with namespace.popen(["cat"], stdin=-1, stdout=-1):
            # The kernel ends a thread later than pthread_join(), that of create().
            support.wait_until(lambda: len(tasks() - before) == 1)
            (thread,) = tasks() - before
            blocked = 0

            def blocks_sigterm():
                nonlocal blocked
                status = Path(f"/proc/self/task/{thread}/status").read_text()
                (line,) = [line for line in status.splitlines() if line.startswith("SigBlk:")]
                blocked = int(line.split()[1], 16)
                return blocked & 1 << signal.SIGTERM - 1

            support.wait_until(blocks_sigterm)
        support.wait_until(lambda: tasks() <= before)


def test_the_arguments_of_a_child_are_freed_while_it_lives(net):
    class Options(dict):
        pass

    environment = Options(os.environ)
    gone = weakref.ref(environment)
    with (
        NetworkNamespace.create() as namespace,
        namespace.popen(["cat"], stdin=-1, env=environment),
    ):
        del environment
        gc.collect()
        assert gone() is None


# ---- compared with subprocess ----


def test_a_missing_program_raises_the_error_of_subprocess(net):
    with NetworkNamespace.create() as namespace:
        before = descriptors()
        with pytest.raises(FileNotFoundError, match="no-such-program"):
            namespace.popen(["no-such-program"])
        with pytest.raises(FileNotFoundError, match="no-such-program"):
            namespace.run(["no-such-program"], capture_output=True)
        assert descriptors() == before


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["cat"], {"input": b"given", "capture_output": True}),
        (["cat"], {"input": "given", "capture_output": True, "text": True}),
        (["sh", "-c", "echo out; echo err >&2; exit 3"], {"capture_output": True}),
        ("echo $0", {"shell": True, "stdout": subprocess.PIPE, "encoding": "ascii"}),
        (["pwd"], {"cwd": "/", "stdout": subprocess.PIPE}),
        (["env"], {"env": {"A": "b"}, "stdout": subprocess.PIPE}),
        (["sh", "-c", "kill -9 $$"], {}),
    ],
)
def test_run_returns_the_same_as_subprocess_run(net, arguments, options):
    with NetworkNamespace.create() as namespace:
        ours, theirs = namespace.run(arguments, **options), subprocess.run(arguments, **options)
    assert vars(ours) == vars(theirs)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["sh", "-c", "echo out; exit 3"], {"check": True, "capture_output": True}),
        # A pipe that the grandchild holds open is not waited for.
        (["sh", "-c", "echo out; sleep 60 & wait"], {"timeout": 0.5, "capture_output": True}),
        (["true"], {"input": b"", "stdin": subprocess.DEVNULL}),
        (["true"], {"capture_output": True, "stdout": subprocess.DEVNULL}),
    ],
)
def test_run_raises_the_same_as_subprocess_run(net, arguments, options):
    with NetworkNamespace.create() as namespace:
        while True:
            with pytest.raises(Exception) as ours:
                namespace.run(arguments, **options)
            with pytest.raises(Exception) as theirs:
                subprocess.run(arguments, **options)
            if "timeout" not in options or (ours.value.stdout and theirs.value.stdout):
                break
            options = {**options, "timeout": 10 * options["timeout"]}  # the machine is busy
    assert type(ours.value) is type(theirs.value)
    if not isinstance(ours.value, ValueError):
        assert vars(ours.value) == vars(theirs.value)


def test_a_timeout_ends_the_child(net):
    with NetworkNamespace.create() as namespace:
        with pytest.raises(subprocess.TimeoutExpired):
            namespace.run(["sleep", "60"], timeout=0.1)
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)


def test_calls_and_children_leave_no_descriptor(net):
    before = descriptors()
    with NetworkNamespace.create() as namespace:
        for _ in range(10):
            namespace.call(identity)
            namespace.run(["cat"], input=b"x", capture_output=True)
            NetworkNamespace.open(namespace).close()
            NetworkNamespace.current().close()
            assert namespace.cookie
    assert descriptors() == before


# ---- Ctrl-C ----


@pytest.mark.slow
def test_ctrl_c_ends_a_run_and_its_child(net, interrupt):
    with NetworkNamespace.create() as namespace:
        with pytest.raises(KeyboardInterrupt):
            interrupt(0.3)
            namespace.run(["sleep", "60"])
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)


def test_ctrl_c_while_a_child_starts_leaves_no_child(net):
    """The child itself sends the signal, between fork and exec."""

    def interrupt():
        os.kill(os.getppid(), signal.SIGINT)

    before = descriptors()
    with NetworkNamespace.create() as namespace, without_collection():
        with pytest.raises(KeyboardInterrupt):
            namespace.popen(["sleep", "60"], preexec_fn=interrupt, stdout=-1, stdin=-1)
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
    assert descriptors() == before


def test_ctrl_c_at_the_terminal_reaches_the_child(net):
    code = """
import signal, sys, time
from pynetstrat import NetworkNamespace
from pynetstrat.cli import _fresh_namespaces
signal.signal(signal.SIGINT, signal.default_int_handler)
_fresh_namespaces.enter()
with NetworkNamespace.create() as namespace:
    child = "import signal, sys; signal.signal(2, lambda *_: sys.exit(42)); "
    child += "print(1, flush=True); signal.pause()"
    process = namespace.popen([sys.executable, "-c", child], stdout=-1, text=True)
    process.stdout.readline()
    try:
        print("ready", flush=True)
        while True:
            time.sleep(0.1)  # pause() would not end if the signal came just before it
    except KeyboardInterrupt:
        with process:
            pass
        print("child:", process.returncode)
"""
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    ) as process:
        assert process.stdout.readline() == "ready\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.read() == "child: 42\n"
    assert process.returncode == 0


def test_a_child_sees_a_link_that_was_added_to_the_namespace(named):
    with NetworkNamespace.create(named) as namespace, RtnetlinkSocket(namespace) as sock:
        sock.execute(Batch().add_link("ifb7", "ifb"))
        done = namespace.run(["ip", "-brief", "link"], capture_output=True, text=True)
        assert "ifb7" in done.stdout
        assert names(namespace) == {"lo", "ifb7"}
