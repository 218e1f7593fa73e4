"""Prints docs/errors.md, which is made from the core's table of failures."""

from __future__ import annotations

import errno

from pynetstrat._native.table import rows

HEAD = """\
# Errors

`docs/print_errors.py` prints this page from the table of failures in `csrc/error.c`, and a test
compares the two. A failure consists of an operation, an errno and the kernel's extended ack. The
first row that matches gives the class of the exception and its hint; a failure that matches no row
is a `KernelError` without a hint. Programs in C get the same sentence from
`netstrat_error_describe`.

| operation | errno | exception | hint |
|---|---|---|---|
"""


def main() -> None:
    """Prints the document to standard output."""
    print(HEAD, end="")
    for step, code, kind, hint in rows():
        cells = (f"`{step}`", errno.errorcode[code] if code else "any", f"`{kind}`", hint)
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
