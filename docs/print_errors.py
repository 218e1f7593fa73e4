"""Prints docs/errors.md, from the exceptions' docstrings and the core's table of failures."""

from __future__ import annotations

import errno

import pynetstrat
from pynetstrat import NetstratError
from pynetstrat._native.table import rows

TITLE = """\
# Errors

Failures of the kernel raise a `KernelError`. Find its `error.operation` and `error.errno` in the
[table of failures](#failures-of-the-kernel); `error.hint` has the text of the last column. An error
that the table does not have is a `KernelError` without a hint: `error.kernel_message` is the
kernel's own text (the extended ack), if it gave one. The operation `find` is not in the table:
pynetstrat itself refused the link that it found, and the hint says why.

## Exceptions

Each of them is a `NetstratError`, and can be imported from `pynetstrat`. A wrong argument raises a
`ValueError` or a `TypeError`, which is one of them only if the table says so.

| exception | is also | meaning |
|---|---|---|
"""
FAILURES = """
## Failures of the kernel

The first row that matches applies. Programs in C get the same sentence from
`netstrat_error_describe`. `docs/print_errors.py` prints this page, the table from `csrc/error.c`.

| operation | errno | exception | hint |
|---|---|---|---|
"""


def exceptions(base: type[NetstratError]) -> list[type[NetstratError]]:
    """Returns a class and its public subclasses, each after the one that it derives from."""
    found = [base]
    for kind in base.__subclasses__():
        if hasattr(pynetstrat, kind.__name__):
            found += exceptions(kind)
    return found


def main() -> None:
    """Prints the document to standard output."""
    print(TITLE, end="")
    for kind in exceptions(NetstratError):
        bases = ", ".join(f"`{base.__name__}`" for base in kind.__bases__ if base is not Exception)
        meaning = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
        print(f"| `{kind.__name__}` | {bases} | {meaning} |")
    print(FAILURES, end="")
    for operation, code, name, hint in rows():
        cells = (f"`{operation}`", errno.errorcode[code] if code else "any", f"`{name}`", hint)
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
