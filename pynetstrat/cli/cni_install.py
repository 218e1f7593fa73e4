"""`pynetstrat cni-install`: writes the program that CNI runtimes look for."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import _cffi_backend

from ._exit import EXIT_STATUS, EndError
from ._options import filled

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

NAME = "pynetstrat"
_MARK = '# Written by "pynetstrat cni-install": the CNI plugin of the type "pynetstrat".'
_PACKAGE = Path(__file__).parents[1]
_LONGEST = 127  # bytes of a first line that Linux before 5.1 reads whole (BINPRM_BUF_SIZE)

_HELP = f"""\
The program is named {NAME}, which is the type for network
configurations. It starts this very installation: write it anew if that moves.
DIR is a folder in which the runtime looks for CNI plugins; it is made if it is
missing.

example:
  pynetstrat cni-install /opt/cni/bin

{EXIT_STATUS}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.epilog = _HELP
    parser.add_argument("folder", type=filled, metavar="DIR", help="the folder")


def run(options: argparse.Namespace) -> str:
    """Writes the launcher, in place of an older one."""
    target = Path(options.folder, NAME)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise EndError(f"{options.folder} must be a folder, or the path of a new one") from None
    # Opening a FIFO would wait for a writer.
    if target.exists() and not (target.is_file() and _MARK in target.read_text(errors="replace")):
        raise EndError(
            f"{target} exists and is not a launcher: choose another folder, or delete it"
        )
    new = target.with_name(f".{NAME}.{os.getpid()}")
    try:
        new.write_text(_launcher())
        new.chmod(0o755)
        new.replace(target)  # a runtime finds either the old one or the new one, whole
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    return f"{target}\n"


def _launcher() -> str:
    """Returns the text of the launcher.

    The interpreter ignores the runtime's environment (-I), and does not search for packages (-S),
    which takes several milliseconds: the folders that it needs are given.
    """
    folders = dict.fromkeys([str(_PACKAGE.parent), str(Path(_cffi_backend.__file__).parent)])
    first = f"#!{sys.executable} -IS"
    if len(os.fsencode(first)) > _LONGEST or any(map(str.isspace, sys.executable)):
        # The kernel can't read this path; the shell can. To Python the line is a text.
        quoted = sys.executable.replace("'", "'\\''")
        first = f"""#!/bin/sh\n''':'\nexec '{quoted}' -IS "$0"\n'''"""
    return f"""\
{first}
{_MARK}
import os
import sys

sys.path += {list(folders)!r}
from {_PACKAGE.name}.cni.plugin import main

os._exit(main())
"""
