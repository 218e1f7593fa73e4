"""`pynetstrat diagnose`: what this machine allows, and which setting to change."""

from __future__ import annotations

import dataclasses
import json

from ..diagnosis import diagnose
from ._options import add_json
from ._text import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from ..diagnosis import Finding

_STATES = {True: "yes", False: "NO", None: "-"}

_HELP = """\
Each line is something that pynetstrat may need, whether it is allowed here
(yes or NO; "-" marks a line that is for information only), and the reason. A
line below it says what to change.

Everything is tried in a process and in namespaces made for it; this changes
nothing on this host.

exit status: 0 whatever is allowed, 1 failure, 2 wrong usage"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.epilog = _HELP
    add_json(parser)


def run(options: argparse.Namespace) -> str:
    """Returns a line for each thing that was tried, with the setting to change below it."""
    findings = diagnose()
    if options.json:
        return json.dumps([dataclasses.asdict(finding) for finding in findings]) + "\n"
    width = max(len(finding.name) for finding in findings)
    return "".join(_lines(finding, width) for finding in findings)


def _lines(finding: Finding, width: int) -> str:
    line = f"{finding.name.ljust(width)}  {_STATES[finding.allowed].ljust(3)}  {finding.detail}"
    remedy = f"\n{'':{width + 7}}{finding.remedy}" if finding.remedy else ""
    return "".join(f"{printable(row).rstrip()}\n" for row in (line + remedy).split("\n"))
