"""The errors of a CNI plugin, by the codes of the specification (SPEC.md, section "Error")."""

from __future__ import annotations

from errno import EAGAIN, EBUSY, ETIMEDOUT

from ..errors import (
    InvalidInterfaceNameError,
    InvalidNetworkError,
    KernelError,
    NetstratError,
)

INCOMPATIBLE_VERSION = 1
UNSUPPORTED_FIELD = 2
UNKNOWN_CONTAINER = 3
INVALID_ENVIRONMENT = 4
IO_FAILURE = 5
DECODING_FAILURE = 6
INVALID_CONFIGURATION = 7
TRY_AGAIN_LATER = 11
NOT_AVAILABLE = 50
# From 100 on, a plugin's own.
DIFFERENT = 101  # CHECK found differences
INTERNAL = 103  # a fault of the plugin
IPAM_FAILED = 102  # the IPAM plugin failed, and its output is no error of CNI

_TRANSIENT = {EAGAIN, EBUSY, ETIMEDOUT, 85}  # 85: ERESTART, which Python's module errno lacks

# The fields of `Network` whose names a user of CNI does not know.
_FIELDS = {
    "mac_address": "mac",
    "publish": "runtimeConfig.portMappings",
    "rate_in": "runtimeConfig.bandwidth.ingressRate",
    "rate_out": "runtimeConfig.bandwidth.egressRate",
}


class CniError(NetstratError):
    """Ends a command of the plugin with an error on standard output.

    Attributes:
        code: the error code.
        message: what is wrong, in one line.
        details: more about it, or "".
    """

    def __init__(self, code: int, message: str, details: str = "") -> None:
        super().__init__(code, message, details)
        self.code = code
        self.message = message
        self.details = details

    def __str__(self) -> str:
        return self.message


def to_cni_error(error: Exception) -> CniError:
    """Converts an error of this package to one of CNI."""
    if isinstance(error, CniError):
        return error
    if isinstance(error, InvalidNetworkError):
        field = _FIELDS.get(error.field, error.field)
        error = InvalidNetworkError(field, error.value, error.reason, error.network)
        return CniError(INVALID_CONFIGURATION, str(error))
    if isinstance(error, InvalidInterfaceNameError):
        return CniError(INVALID_CONFIGURATION, str(error))
    notes = "; ".join(getattr(error, "__notes__", ()))
    if isinstance(error, KernelError) and error.errno in _TRANSIENT:
        return CniError(TRY_AGAIN_LATER, str(error), notes)
    return CniError(IO_FAILURE, str(error), notes)
