"""cni/: the program that runtimes start, and many of them at once."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import support
from helpers_cni import VERSIONS, Runtime, forward, owners, path_of, translations
from helpers_network import containers, names, quieten

from pynetstrat import NetworkNamespace, cli
from pynetstrat.cli import cni_install


def install(folder: Path) -> Path:
    assert cli.main(["cni-install", str(folder)]) == 0
    return folder / "pynetstrat"


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def start(
    program: Path, environment: dict[str, str], text: str
) -> subprocess.CompletedProcess[str]:
    return support.run([str(program)], input=text, env={**os.environ, **environment})


def test_the_launcher_is_executable_and_answers(tmp_path, capsys):
    program = install(tmp_path)
    assert capsys.readouterr().out == f"{program}\n"
    assert stat.S_IMODE(program.stat().st_mode) == 0o755
    assert names_in(tmp_path) == ["pynetstrat"]
    done = start(program, {"CNI_COMMAND": "VERSION"}, "")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["supportedVersions"] == VERSIONS


@pytest.mark.slow
def test_the_launcher_ignores_the_python_settings_of_the_runtime(tmp_path):
    program = install(tmp_path)
    (tmp_path / "json.py").write_text("raise SystemExit(7)")
    environment = {"CNI_COMMAND": "VERSION", "PYTHONPATH": str(tmp_path), "PYTHONHOME": "/x"}
    assert start(program, environment, "").returncode == 0


@pytest.mark.slow
def test_an_interpreter_whose_path_the_kernel_cannot_read_works(tmp_path, monkeypatch):
    folder = tmp_path / "it's a folder"
    folder.mkdir()
    # A link would be another interpreter, which does not find its packages.
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    done = start(install(tmp_path), {"CNI_COMMAND": "VERSION"}, "")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["cniVersion"] == "1.1.0"


def test_an_older_launcher_is_replaced_and_another_file_is_not(tmp_path, capsys):
    program = install(tmp_path)
    written = program.read_text()
    program.write_text(f"{written}# older\n")
    assert install(tmp_path).read_text() == written
    program.write_text("#!/bin/sh\n")
    assert cli.main(["cni-install", str(tmp_path)]) == 1
    assert "is not a launcher" in capsys.readouterr().err
    assert program.read_text() == "#!/bin/sh\n"
    assert names_in(tmp_path) == ["pynetstrat"]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_not_replaced(tmp_path, capsys, make):
    """Opening a FIFO would wait for a writer."""
    make(tmp_path / "pynetstrat")
    assert cli.main(["cni-install", str(tmp_path)]) == 1
    assert "is not a launcher" in capsys.readouterr().err
    assert names_in(tmp_path) == ["pynetstrat"]


def test_a_missing_folder_is_made(tmp_path):
    assert install(tmp_path / "opt" / "bin").exists()


def test_a_failure_leaves_no_file(tmp_path, capsys, monkeypatch):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "bin"):
        assert cli.main(["cni-install", str(path)]) == 1
        assert f"{path} must be a folder, or the path of a new one" in capsys.readouterr().err
    (tmp_path / "file").unlink()

    def fail() -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cni_install, "_launcher", fail)
    assert cli.main(["cni-install", str(tmp_path)]) == 1
    assert names_in(tmp_path) == []


@pytest.mark.slow
def test_an_error_ends_the_process_with_status_1_and_json(tmp_path):
    for command in ([str(install(tmp_path))], [sys.executable, "-m", "pynetstrat", "cni"]):
        done = support.run(command, input="{", env={**os.environ, "CNI_COMMAND": "STATUS"})
        assert (done.returncode, done.stderr) == (1, "")
        assert json.loads(done.stdout)["code"] == 6


@pytest.mark.slow
def test_a_closed_standard_output_is_an_error(tmp_path):
    program = install(tmp_path)
    command = f"CNI_COMMAND=VERSION {program} </dev/null >&-"
    assert support.run(["sh", "-c", command]).returncode == 1
    assert support.run(["sh", "-c", command.replace(">&-", ">/dev/full")]).returncode == 1


@pytest.mark.slow
def test_a_closed_standard_input_and_a_missing_command_are_errors(tmp_path):
    program = install(tmp_path)
    done = support.run(["sh", "-c", f"CNI_COMMAND=STATUS {program} <&-"])
    assert (done.returncode, json.loads(done.stdout)["code"]) == (1, 6)
    # This standard input has no data and stays open.
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.wait(60) == 1
        assert json.loads(process.stdout.read())["code"] == 4


@pytest.mark.slow
def test_the_program_loads_no_heavy_module():
    """These take longer to load than the rest of the package (docs/benchmarks.md)."""
    heavy = {"argparse", "dataclasses", "inspect", "subprocess", "socket", "pathlib", "typing"}
    code = "import sys, pynetstrat.cni.plugin; print(*sys.modules)"
    done = support.run([sys.executable, "-IS", "-c", f"import sys; sys.path += {sys.path}; {code}"])
    assert done.stderr == ""
    assert heavy & set(done.stdout.split()) == set()


# ---- many at once ----


@pytest.mark.slow
def test_fifty_parallel_adds_and_dels_make_one_bridge_and_leave_nothing(net):
    forward()
    quieten()
    with containers(50) as namespaces:
        check_fifty(namespaces)


def check_fifty(namespaces: list[NetworkNamespace]) -> None:
    def call(command: str, number: int) -> tuple[int, object]:
        runtime = Runtime(netns=path_of(namespaces[number]), container=f"c{number}")
        return runtime.try_call(
            command,
            isGateway=True,
            ipMasq=True,
            runtimeConfig={
                "ips": [f"10.1.0.{number + 2}/24", f"fd01::{number + 2:x}/64"],
                "portMappings": [{"hostPort": 9000 + number, "containerPort": 80}],
            },
        )

    added = support.run_processes(*(partial(call, "ADD", number) for number in range(50)))
    assert [status for status, _ in added] == [0] * 50, json.dumps(added)[:2000]
    assert len({answer["interfaces"][0]["mac"] for _, answer in added}) == 1
    assert sorted(owners()) == sorted(f"cni:net:c{number}" for number in range(50))
    assert len(translations()) == 50 * 4
    for number, netns in enumerate(namespaces):
        assert "eth0" in names(netns), number
    deleted = support.run_processes(*(partial(call, "DEL", number) for number in range(50)))
    assert deleted == [(0, None)] * 50
    assert (owners(), translations(), names()) == ([], [], {"lo", "br7"})
