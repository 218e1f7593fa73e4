"""The core outside Python: as an installed library, as two files, as one unit."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CSRC = ROOT / "csrc"
SOURCES = (CSRC / "sources").read_text().split()
PROGRAM = ROOT / "tests" / "c" / "embedder.c"
VERSION = (CSRC / "netstrat.h").read_text().split('#define NETSTRAT_VERSION "')[1].split('"')[0]
MINOR = ".".join(VERSION.split(".")[:2])
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]


def run(*command: str | Path, **settings: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **settings}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_alone(program: Path, **settings: str) -> None:
    """Runs the program in a new network namespace, and checks its output."""
    output = run("unshare", "--net", program, **settings)
    assert output.splitlines()[0] == "left: mtu 1500, flags up: 1"
    assert "packets sent" in output


# A compiler that compiles each source of the core once: a further build gets a copy.
_COMPILE_ONCE = """\
#!/bin/sh
for output; do :; done
kept=$(dirname "$0")/$(basename "$output")
case $output in
*.o) [ -e "$kept" ] || cc "$@" -o "$kept" && exec cp "$kept" "$output" ;;
*) exec cc "$@" ;;
esac
"""


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The settings of a build that takes little time."""
    compiler = tmp_path_factory.mktemp("compiler") / "compile_once"
    compiler.write_text(_COMPILE_ONCE)
    compiler.chmod(0o700)
    return {"CC": str(compiler), "CFLAGS": "-O0"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, quick: dict[str, str]) -> Path:
    """The DESTDIR of an installation with the prefix /usr/test."""
    root = tmp_path_factory.mktemp("library")
    run(CSRC / "build-lib.sh", "--install", DESTDIR=str(root), PREFIX="/usr/test", **quick)
    return root


def ask_pkg_config(root: Path, *options: str, **settings: str) -> list[str]:
    assert shutil.which("pkg-config"), "no pkg-config: apt-get install pkg-config"
    path = root / "usr/test/lib/pkgconfig"
    return run("pkg-config", *options, "netstrat", PKG_CONFIG_LIBDIR=str(path), **settings).split()


@pytest.mark.slow
def test_an_installation_writes_to_destdir_and_names_only_the_prefix(installed):
    files = sorted(
        str(path.relative_to(installed)) for path in installed.rglob("*") if not path.is_dir()
    )
    assert files == [
        "usr/test/include/netstrat.h",
        "usr/test/lib/libnetstrat.a",
        "usr/test/lib/libnetstrat.so",
        f"usr/test/lib/libnetstrat.so.{MINOR}",
        "usr/test/lib/pkgconfig/netstrat.pc",
    ]
    assert ask_pkg_config(installed, "--modversion") == [VERSION]
    assert ask_pkg_config(installed, "--variable=prefix") == ["/usr/test"]
    assert ask_pkg_config(installed, "--cflags", "--libs") == [
        "-I/usr/test/include",
        "-L/usr/test/lib",
        "-lnetstrat",
    ]
    assert str(installed) not in (installed / "usr/test/lib/pkgconfig/netstrat.pc").read_text()


def test_each_minor_version_has_another_soname_and_symbol_version(installed):
    library = installed / "usr/test/lib/libnetstrat.so"
    assert f"soname: [libnetstrat.so.{MINOR}]" in run("readelf", "-d", library)
    versions = {
        line.split("@@")[-1] for line in run("nm", "-D", library).splitlines() if "T net" in line
    }
    assert versions == {f"NETSTRAT_{MINOR}"}


def test_pkg_config_links_a_program_with_the_shared_library(installed, tmp_path):
    flags = ask_pkg_config(installed, "--cflags", "--libs", PKG_CONFIG_SYSROOT_DIR=str(installed))
    program = tmp_path / "shared"
    run("gcc", *STRICT, PROGRAM, *flags, "-o", program)
    assert f"libnetstrat.so.{MINOR}" in run("readelf", "-d", program)
    run_alone(program, LD_LIBRARY_PATH=str(installed / "usr/test/lib"))


def test_pkg_config_links_a_program_with_the_static_library(installed, tmp_path):
    flags = ask_pkg_config(
        installed, "--static", "--cflags", "--libs", PKG_CONFIG_SYSROOT_DIR=str(installed)
    )
    assert "-pthread" in flags
    program = tmp_path / "static"
    run("gcc", *STRICT, "-static", PROGRAM, *flags, "-o", program)
    assert "NEEDED" not in run("readelf", "-d", program)
    run_alone(program)


@pytest.mark.slow
def test_an_installation_may_have_other_folders_for_the_library_and_the_header(tmp_path, quick):
    """Such as lib64, or Debian's folder of the architecture."""
    folders = {"LIBDIR": "/opt/lib64", "INCLUDEDIR": "/opt/include/netstrat"}
    run(CSRC / "build-lib.sh", "--install", DESTDIR=str(tmp_path), **quick, **folders)
    flags = run(
        *("pkg-config", "--cflags", "--libs", "netstrat"),
        PKG_CONFIG_LIBDIR=str(tmp_path / "opt/lib64/pkgconfig"),
    )
    assert flags.split() == ["-I/opt/include/netstrat", "-L/opt/lib64", "-lnetstrat"]
    assert (tmp_path / "opt/include/netstrat/netstrat.h").exists()


def test_an_installation_refuses_a_relative_prefix(tmp_path):
    done = subprocess.run(
        [CSRC / "build-lib.sh", "--install"],
        env={**os.environ, "DESTDIR": str(tmp_path), "PREFIX": "usr"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "build-lib.sh: PREFIX must be an absolute path, not usr\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_built_library_works_after_its_directory_was_moved(tmp_path, quick):
    run(CSRC / "build-lib.sh", tmp_path / "built", **quick)
    (tmp_path / "built").rename(tmp_path / "moved")
    flags = run(
        "pkg-config", "--cflags", "--libs", "netstrat", PKG_CONFIG_LIBDIR=str(tmp_path / "moved")
    )
    assert f"-L{tmp_path}/moved" in flags
    run("gcc", *STRICT, PROGRAM, *flags.split(), "-o", tmp_path / "program")
    run_alone(tmp_path / "program", LD_LIBRARY_PATH=str(tmp_path / "moved"))


def test_the_amalgamation_contains_the_whole_licence(tmp_path):
    run(CSRC / "amalgamate.sh", tmp_path)
    for file in ("netstrat.c", "netstrat.h"):
        lines = (tmp_path / file).read_text().splitlines()
        assert lines[0] == "/* SPDX-License-Identifier: MIT */"
        text = "\n".join(line.removeprefix(" *").strip() for line in lines)
        for line in (ROOT / "LICENSE").read_text().splitlines():
            assert line in text
        assert "Copyright (c)" in text


@pytest.mark.parametrize("compiler", ["gcc -std=c11", "g++ -std=c++17 -x c++"])
def test_all_sources_compile_as_one_unit(tmp_path, compiler):
    unit = tmp_path / "unit.c"
    unit.write_text("".join(f'#include "{CSRC / source}"\n' for source in SOURCES))
    warnings = STRICT[1:]
    run(*compiler.split(), *warnings, "-fsyntax-only", unit)


@pytest.mark.slow
def test_the_amalgamation_can_be_private_to_a_program_of_one_unit(tmp_path):
    """The whole core is private to the unit, which exports only main()."""
    run(CSRC / "amalgamate.sh", tmp_path)
    unit = tmp_path / "unit.c"
    unit.write_text(
        "#define NETSTRAT_API static __attribute__((unused))\n"
        f'#include "netstrat.c"\n#define EMBEDDED\n#include "{PROGRAM}"\n'
    )
    run(
        "gcc",
        "-std=c11",
        f"-I{tmp_path}",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-c",
        unit,
        "-o",
        tmp_path / "unit.o",
    )
    exported = run(
        "nm", "--defined-only", "--extern-only", "--format=just-symbols", tmp_path / "unit.o"
    )
    assert exported.split() == ["main"]


@pytest.mark.slow
def test_file_level_names_of_the_core_begin_with_the_name_of_their_file(core_objects):
    """Otherwise they could clash with names of a program that is one unit with the core."""
    objects = [core_objects / f"{Path(source).stem}.o" for source in SOURCES]
    for line in run("nm", "--defined-only", "--print-file-name", *objects).splitlines():
        path, _, symbol = line.rpartition(":")
        _, kind, name = symbol.split()
        if kind in "trdb" and "." not in name:  # a name with a dot is local to a function
            assert name.startswith((f"{Path(path).stem}_", "netstrat_")), line


def test_including_system_headers_first_is_a_compile_error_with_a_remedy(tmp_path):
    unit = tmp_path / "unit.c"
    unit.write_text(f'#include <stdio.h>\n#include "{CSRC / "name.c"}"\n')
    done = subprocess.run(
        ["gcc", "-std=c11", "-c", unit, "-o", tmp_path / "unit.o"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "define _GNU_SOURCE" in done.stderr
    run("gcc", "-std=c11", "-D_GNU_SOURCE", "-c", unit, "-o", tmp_path / "unit.o")
