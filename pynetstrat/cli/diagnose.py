"""`pynetstrat diagnose`: what is allowed here and what is not, and what stands in the way."""

from __future__ import annotations

import dataclasses
import json

from ..diagnosis import diagnose
from .options import add_json
from .text import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from ..diagnosis import Finding

_WORDS = {True: "yes", False: "NO", None: "-"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = (
        "A process of its own tries each of them, in namespaces of its own where it can: nothing "
        "is changed."
    )
    add_json(parser)


def run(options: argparse.Namespace) -> str:
    """A line for each thing that was tried, and below it the setting to change."""
    findings = diagnose()
    if options.json:
        return json.dumps([dataclasses.asdict(finding) for finding in findings]) + "\n"
    width = max(len(finding.name) for finding in findings)
    return "".join(_lines(finding, width) for finding in findings)


def _lines(finding: Finding, width: int) -> str:
    line = f"{finding.name.ljust(width)}  {_WORDS[finding.allowed].ljust(3)}  {finding.detail}"
    remedy = f"\n{'':{width + 7}}{finding.remedy}" if finding.remedy else ""
    return "".join(f"{printable(row).rstrip()}\n" for row in (line + remedy).split("\n"))
