"""The core's table of failures, row by row: for documents and tests."""

from __future__ import annotations

from .._core import ffi, lib
from ..errors import CounterParseError, InvalidCounterNameError, InvalidInterfaceNameError
from . import _KINDS, decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..errors import NetstratError

#: The exception class for each kind of failure.
CLASSES: dict[int, type[NetstratError]] = {
    **_KINDS,
    lib.NETSTRAT_KIND_INVALID_NAME: InvalidInterfaceNameError,
    lib.NETSTRAT_KIND_INVALID_COUNTER: InvalidCounterNameError,
    lib.NETSTRAT_KIND_PARSE: CounterParseError,
}


def rows() -> Iterator[tuple[str, int, str, str]]:
    """Yields each row: the operation, the errno (0: any), the exception's name, and the hint."""
    failure = ffi.new("struct netstrat_failure *")
    number = 0
    while lib.netstrat_failure_get(number, failure):
        request, operation = failure.request, failure.operation
        if operation != lib.NETSTRAT_OP_REQUEST:
            name = decode(lib.netstrat_operation_name(operation))
        else:
            name = decode(lib.netstrat_request_name(request)) if request else "any message"
        yield name, failure.code, CLASSES[failure.kind].__name__, decode(failure.hint)
        number += 1
