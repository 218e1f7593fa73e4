"""Prints docs/errors.md from the core's table of failures, to standard output."""

from __future__ import annotations

import errno

from pynetstrat._native.table import rows

HEAD = """\
# Errors

Printed from the table of failures in `csrc/error.c` by `docs/print_errors.py`, which a test
repeats. A failure is a step, an errno and the kernel's own words. The first row that fits says
which class the exception has, and which hint it carries; every failure without a row is a
`KernelError` without a hint. Programs in C get the same sentence from `netstrat_error_describe`.

| step | errno | exception | hint |
|---|---|---|---|
"""


def main() -> None:
    """Prints the whole document."""
    print(HEAD, end="")
    for step, code, kind, hint in rows():
        cells = (f"`{step}`", errno.errorcode[code] if code else "any", f"`{kind}`", hint)
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
