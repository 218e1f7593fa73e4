"""What starts for each container, as whole processes: interpreters, hooks, CNI plugins, runc.

Prints tables for docs/benchmarks.md: the import of each path, module by module, and the elapsed and
CPU time of processes, measured alternately. It needs root, and works in network and mount
namespaces of its own with a new /run. The CNI plugins in /usr/lib/cni and runc (with a static
busybox) are measured if they are installed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pynetstrat import Batch, NetworkNamespace, RtnetlinkSocket

ROOT = Path(__file__).parent.parent
PATHS = [str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))]
# Not the start-up files of this machine's installation and virtual environment, which may load
# half of the standard library.
PYTHON = [str(getattr(sys, "_base_executable", sys.executable)), "-IS"]
PLUGINS = Path("/usr/lib/cni")
NETWORKS = [
    {"type": "loopback"},
    {
        "type": "veth",
        "name": "eth0",
        "bridge": "br0",
        "address": "10.0.0.2/24",
        "gateway": "10.0.0.1",
    },
]
VERBS = ("VERSION", "ADD", "CHECK", "DEL")
_UNSHARE = ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c"]
_SMALL = 0.25  # ms: modules that take less are added up


class Case(NamedTuple):
    """A process to measure.

    Attributes:
        command: the program and its arguments.
        text: standard input.
        environment: None: that of this process.
        previous: the case whose output is added to the text, JSON, as prevResult.
    """

    command: list[str]
    text: str = ""
    environment: dict[str, str] | None = None
    previous: str = ""


def python(code: str, text: str = "") -> Case:
    start = f"import sys; sys.path += {PATHS}; " if code else ""
    return Case([*PYTHON, "-c", start + code], text)


def hook(name: str, text: str) -> Case:
    code = f"from pynetstrat.cli import main; sys.exit(main(['oci-hook', {name!r}]))"
    return python(code, text)


# ---- measuring ----


def spend(case: Case, outputs: Mapping[str, bytes]) -> tuple[float, float, bytes]:
    """The elapsed and the CPU time of a process, in milliseconds, and what it prints."""
    text = case.text
    if case.previous:
        text = json.dumps(json.loads(text) | {"prevResult": json.loads(outputs[case.previous])})
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        case.command,
        input=text.encode(),
        env=case.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    elapsed, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{' '.join(case.command)}: {done.stdout.decode()}")
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return 1000 * elapsed, 1000 * cpu, done.stdout


def alternate(cases: Mapping[str, Case], rounds: int) -> dict[str, tuple[float, float]]:
    """Elapsed and CPU time by case: the medians of the faster half of the rounds.

    The cases of a round run in their order. In the slower half other programs keep the kernel's
    locks or empty the processor's caches.
    """
    found: dict[str, list[tuple[float, float]]] = {}
    outputs: dict[str, bytes] = {}
    for turn in range(rounds + 1):
        for name, case in cases.items():
            elapsed, cpu, outputs[name] = spend(case, outputs)
            if turn:  # the first reads the files from the disk
                found.setdefault(name, []).append((elapsed, cpu))
    medians = {}
    for name, values in found.items():
        elapsed, cpu = (
            statistics.median(sorted(column)[: len(values) // 2 + 1])
            for column in zip(*values, strict=True)
        )
        medians[name] = elapsed, cpu
    return medians


def show(title: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Prints a table in Markdown."""
    title = list(title)
    print("|", " | ".join(title), "|")
    print("|", " | ".join(["---"] * len(title)), "|")
    for row in rows:
        cells = (f"{cell:.1f} ms" if isinstance(cell, float) else str(cell) for cell in row)
        print("|", " | ".join(cells), "|")
    print(flush=True)


# ---- imports ----


def imports(code: str, rounds: int) -> dict[str, float]:
    """The least time of each module in ms, without the modules that it imports."""
    case = python(code)
    command = [case.command[0], "-X", "importtime", *case.command[1:]]
    least: dict[str, float] = {}
    for _ in range(rounds):
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        for line in done.stderr.splitlines():
            itself, _, name = line.removeprefix("import time:").split("|")
            if itself.strip().isdigit():
                took = int(itself) / 1000
                name = name.strip()
                least[name] = min(took, least.get(name, took))
    return least


def show_imports(rounds: int) -> None:
    paths = {
        "`set_up_networks`": "import pynetstrat; pynetstrat.set_up_networks",
        "`oci-hook`, no annotation": "from pynetstrat.cli import oci_hook",
        "`oci-hook`": "from pynetstrat.cli import oci_hook, _annotation",
        "`cni`": "from pynetstrat.cni import plugin",
    }
    bare = imports("pass", rounds)
    found = [
        {name: took for name, took in imports(code, rounds).items() if name not in bare}
        for code in paths.values()
    ]
    modules = {name: max(path.get(name, 0.0) for path in found) for path in found for name in path}
    rows: list[list[object]] = [["all", *(sum(path.values()) for path in found)]]

    def add(shown: str, names: set[str]) -> None:
        sums = (sum(path.get(name, 0.0) for name in names) for path in found)
        rows.append([shown, *(f"{took:.2f}" if took else "" for took in sums)])

    for ours in (False, True):
        whose = {name for name in modules if name.startswith("pynetstrat") == ours}
        large = {name for name in whose if modules[name] >= _SMALL}
        for name in sorted(large, key=lambda name: -modules[name]):
            add(f"`{name}`", {name})
        add(f"{len(whose - large)} others of {'pynetstrat' if ours else 'Python'}", whose - large)
    show(["module", *paths], rows)


# ---- processes ----


def show_processes(pid: int, rounds: int) -> None:
    plain = {"ociVersion": "1.0.2", "id": "web", "pid": pid, "bundle": "/"}
    annotated = plain | {"annotations": {"pynetstrat.networks": json.dumps(NETWORKS)}}
    bare = "bare interpreter"
    cases = {
        bare: python(""),
        "`import dataclasses`": python("import dataclasses"),
        "`import argparse`": python("import argparse"),
        "`import subprocess`": python("import subprocess"),
        "`import json`": python("import json"),
        "look up `set_up_networks`": python("import pynetstrat; pynetstrat.set_up_networks"),
        "`oci-hook createRuntime`, no annotation": hook("createRuntime", json.dumps(plain)),
        "`oci-hook createRuntime`": hook("createRuntime", json.dumps(annotated)),
        "`oci-hook poststop`": hook("poststop", json.dumps(annotated)),
    }
    found = alternate(cases, rounds)
    show(
        ["process", "elapsed", "CPU", "elapsed over the bare interpreter"],
        (
            [name, elapsed, cpu, elapsed - found[bare][0] if name != bare else ""]
            for name, (elapsed, cpu) in found.items()
        ),
    )


def show_plugins(pid: int, folder: Path, rounds: int) -> None:
    """Each verb of our plugin and of the Go plugin bridge, and what ADD consists of."""
    code = "from pynetstrat.cli import main; sys.exit(main(['cni-install', sys.argv[1]]))"
    case = python(code)
    subprocess.run([*case.command, folder], check=True, stdout=subprocess.DEVNULL)
    ipam = {"type": "static", "addresses": [{"address": "10.1.0.2/24", "gateway": "10.1.0.1"}]}
    end = "import posix; posix._exit(0)"  # as the launcher ends
    cases = {"interpreter": python(end)}
    cases["and the modules"] = python(f"from pynetstrat.cni import plugin; {end}")

    def add_verbs(shown: str, program: Path, bridge: str, interface: str) -> None:
        configuration = {
            "cniVersion": "1.0.0",
            "name": bridge,
            "type": program.name,
            "bridge": bridge,
            "isGateway": True,
            "ipam": ipam,
        }
        text = json.dumps(configuration)
        environment = {
            "CNI_CONTAINERID": "web",
            "CNI_NETNS": f"/proc/{pid}/ns/net",
            "CNI_IFNAME": interface,
            "CNI_PATH": str(PLUGINS),
        }
        for verb in VERBS:
            cases[f"{shown} {verb}"] = Case(
                [str(program)],
                text,
                {**environment, "CNI_COMMAND": verb},
                f"{shown} ADD" if verb == "CHECK" else "",
            )

    add_verbs("pynetstrat", folder / "pynetstrat", "cni0", "eth1")
    if (PLUGINS / "bridge").exists():
        add_verbs("bridge", PLUGINS / "bridge", "cni1", "eth2")
    lease = {"cniVersion": "1.0.0", "name": "cni0", "type": "pynetstrat", "ipam": ipam}
    environment = {
        "CNI_CONTAINERID": "web",
        "CNI_NETNS": f"/proc/{pid}/ns/net",
        "CNI_IFNAME": "eth1",
        "CNI_PATH": str(PLUGINS),
        "CNI_COMMAND": "ADD",
    }
    cases["static ADD"] = Case([str(PLUGINS / "static")], json.dumps(lease), environment)
    found = alternate(cases, rounds)
    show(
        ["verb", "pynetstrat", "CPU", "bridge (Go)", "CPU"],
        (
            [verb, *found[f"pynetstrat {verb}"], *found.get(f"bridge {verb}", ("", ""))]
            for verb in VERBS
        ),
    )
    start, modules, static, add = (
        found[name][1]
        for name in ("interpreter", "and the modules", "static ADD", "pynetstrat ADD")
    )
    show(
        ["part of ADD", "CPU"],
        [
            ["the interpreter starts", start],
            ["it loads the modules", modules - start],
            ["the IPAM plugin `static`, a process", static],
            ["the rest: the request, the bridge, the pair, the addresses", add - modules - static],
            ["all", add],
        ],
    )


# ---- runc ----


def show_runc(folder: Path, rounds: int) -> None:
    """The time that the hooks add to a container of runc that runs `true`."""
    runc, busybox = shutil.which("runc"), shutil.which("busybox")
    if runc is None or busybox is None:
        return
    for name in ("bin", "proc", "sys", "dev"):
        (folder / "rootfs" / name).mkdir(parents=True)
    shutil.copy(busybox, folder / "rootfs/bin/busybox")
    subprocess.run([runc, "spec"], cwd=folder, check=True)
    plain = json.loads((folder / "config.json").read_text())
    plain["process"] |= {"terminal": False, "args": ["/bin/busybox", "true"]}
    program = folder / "pynetstrat"
    start = f"import sys; sys.path += {PATHS}; from pynetstrat.cli import main; sys.exit(main())"
    program.write_text(f"#!{' '.join(PYTHON)}\n{start}\n")
    program.chmod(0o755)
    nothing = folder / "nothing"
    nothing.write_text(f"#!{' '.join(PYTHON)}\n")
    nothing.chmod(0o755)

    def hooks(path: Path) -> dict[str, Any]:
        return {
            name: [{"path": str(path), "args": [path.name, "oci-hook", name]}]
            for name in ("createRuntime", "poststop")
        }

    annotation = {"annotations": {"pynetstrat.networks": json.dumps(NETWORKS)}}
    configurations: dict[str, dict[str, Any]] = {
        "no hooks": {},
        "two hooks that are a bare interpreter": {"hooks": hooks(nothing)},
        "`oci-hook`, no annotation": {"hooks": hooks(program)},
        "`oci-hook`, `lo` and a veth": {"hooks": hooks(program), **annotation},
    }
    cases = {}
    for number, (name, further) in enumerate(configurations.items()):
        bundle = folder / f"bundle{number}"
        bundle.mkdir()
        (bundle / "rootfs").symlink_to(folder / "rootfs")
        configuration = {**plain, **further}
        configuration["root"] = {"path": str(folder / "rootfs"), "readonly": True}
        (bundle / "config.json").write_text(json.dumps(configuration))
        identifier = f"start-up-{os.getpid()}-{number}"
        cases[name] = Case([runc, "run", "--bundle", str(bundle), identifier])
    found = alternate(cases, rounds)
    least = found["no hooks"]
    show(
        ["`runc run` of `true`", "elapsed", "over no hooks", "CPU", "over no hooks"],
        (
            [name, elapsed, elapsed - least[0], cpu, cpu - least[1]]
            for name, (elapsed, cpu) in found.items()
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "rounds", type=int, nargs="?", default=20, metavar="ROUNDS", help="of each case (20)"
    )
    rounds = parser.parse_args().rounds
    if os.environ.get("PYNETSTRAT_START_UP") != "1":
        os.environ["PYNETSTRAT_START_UP"] = "1"
        # A real-time process cannot be moved into another cgroup of the controller cpu (v1).
        script = 'umount /sys/fs/cgroup/cpu; mount -t tmpfs tmpfs /run && exec "$@"'
        os.execvp("unshare", [*_UNSHARE, script, "sh", sys.executable, *sys.argv])
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    show_imports(rounds)
    with (
        tempfile.TemporaryDirectory() as folder,
        NetworkNamespace.create() as container,
        RtnetlinkSocket() as host,
    ):
        host.execute(Batch().add_bridge("br0", up=True))
        host.execute(Batch().add_address(host.get_link("br0").index, "10.0.0.1/24"))
        with container.popen(["sleep", "infinity"], die_with_parent=True) as process:
            show_processes(process.pid, rounds)
            (Path(folder) / "cni").mkdir()
            show_plugins(process.pid, Path(folder) / "cni", rounds)
            process.kill()
        show_runc(Path(folder), rounds)


if __name__ == "__main__":
    main()
