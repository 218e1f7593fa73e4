"""_etc_netns.py: the files of /etc/netns/NAME for programs in a named namespace."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support import run

from pynetstrat import NetworkNamespace


def test_a_child_in_a_named_namespace_sees_the_files_of_etc_netns(etc, named):
    (etc / "resolv.conf").write_text("nameserver 192.0.2.1\n")
    (etc / "hosts").write_text("192.0.2.2 inside\n")
    before = {name: Path("/etc", name).read_text() for name in ("resolv.conf", "hosts", "passwd")}
    command = ["cat", "/etc/resolv.conf", "/etc/hosts", "/etc/passwd"]
    expected = "nameserver 192.0.2.1\n192.0.2.2 inside\n" + before["passwd"]
    mounts = Path("/proc/self/mountinfo").read_text()
    with NetworkNamespace.create(named) as namespace, NetworkNamespace.open(named) as twin:
        for handle in (namespace, twin):
            assert handle.run(command, capture_output=True, text=True).stdout == expected
        with twin.popen(command, stdout=-1, text=True, cwd="/") as process:
            assert process.communicate()[0] == expected
        assert namespace.call(Path("/etc/hosts").read_text) == before["hosts"]
    assert run(["ip", "netns", "exec", named, *command]).stdout == expected
    assert {name: Path("/etc", name).read_text() for name in before} == before
    assert Path("/proc/self/mountinfo").read_text().count(" /etc/") == mounts.count(" /etc/")


def test_a_child_with_files_of_etc_netns_has_directory_and_umask_of_the_caller(
    etc, named, tmp_path
):
    (etc / "hosts").write_text("192.0.2.2 inside\n")
    before, mask = Path.cwd(), os.umask(0o27)
    try:
        with NetworkNamespace.create(named) as namespace:
            os.chdir(tmp_path)
            script = "cat /etc/hosts; pwd; umask"
            output = namespace.run(script, shell=True, capture_output=True, text=True).stdout
            assert output == f"192.0.2.2 inside\n{tmp_path}\n0027\n"
            namespace.run(["touch", "made"])
            assert (tmp_path / "made").exists()
    finally:
        os.chdir(before)
        os.umask(mask)


def test_a_warning_names_a_file_of_etc_netns_that_is_missing_in_etc(etc, named):
    (etc / "hosts").write_text("192.0.2.2 inside\n")
    (etc / "no-such-file").touch()
    with NetworkNamespace.create(named) as namespace:
        with pytest.warns(RuntimeWarning, match="mount /etc/no-such-file: No such file") as caught:
            done = namespace.run(["cat", "/etc/hosts"], capture_output=True, text=True)
        assert len(caught) == 1
        assert done.stdout == "192.0.2.2 inside\n"


def test_a_child_in_a_namespace_without_a_name_sees_the_files_of_the_caller(etc, named):
    (etc / "hosts").write_text("192.0.2.2 inside\n")
    outside = Path("/etc/hosts").read_text()
    with (
        NetworkNamespace.create(named) as namespace,
        NetworkNamespace.create() as anonymous,
        NetworkNamespace.open(namespace.fileno()) as twin,
    ):
        for handle in (anonymous, twin):
            done = handle.run(["cat", "/etc/hosts"], capture_output=True, text=True)
            assert done.stdout == outside
