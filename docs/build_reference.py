"""Builds the API reference: HTML, made of the docstrings of every public name.

usage: build_reference.py FOLDER
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pdoc
import pdoc.doc

import pynetstrat

MODULES = ("pynetstrat", "pynetstrat.prometheus")


class AsWritten:
    """An annotation as the source has it: `Netns | None`, and not the eight types of a Netns."""

    def __init__(self, annotation: object, *_: object) -> None:
        self.annotation = annotation

    def __repr__(self) -> str:
        return str(self.annotation)


def main() -> None:
    """Builds it into the folder given; a warning of pdoc's ends the program."""
    warnings.simplefilter("error")
    # pdoc lists names that are loaded, and describes what is in the dictionary of a class; that of
    # one of our dataclasses has its `__init__` once it has been read.
    for name in pynetstrat.__all__:
        getattr(getattr(pynetstrat, name), "__init__", None)
    pdoc.doc.safe_eval_type = AsWritten
    pdoc.render.configure(docformat="google", show_source=False)
    pdoc.pdoc(*MODULES, output_directory=Path(sys.argv[1]))


if __name__ == "__main__":
    main()
