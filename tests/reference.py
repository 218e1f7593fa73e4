"""Computes the core's results in pure Python.

The tests compare the core with this module, and the benchmarks take it as a baseline. It also shows
in Python what the core does. It shares only the exceptions and the dataclass with the package.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
import struct
import sys
import time
from errno import (
    EACCES,
    EAGAIN,
    EBADMSG,
    EINVAL,
    EMFILE,
    ENFILE,
    ENOBUFS,
    ENODATA,
    ENODEV,
    ENOENT,
    ENOMEM,
    ENOTDIR,
    ENXIO,
    EPERM,
    ETIMEDOUT,
)
from pathlib import Path

from pynetstrat import (
    CounterNotFoundError,
    CounterParseError,
    InterfaceNotFoundError,
    InvalidCounterNameError,
    InvalidInterfaceNameError,
    KernelError,
    NetlinkUnavailableError,
    NetworkInterface,
    PermissionDeniedError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

COUNTERS = (
    "rx_bytes",
    "rx_packets",
    "rx_errors",
    "rx_dropped",
    "tx_bytes",
    "tx_packets",
    "tx_errors",
    "tx_dropped",
)


def kernel_error(
    code: int,
    operation: str,
    interface: str = "",
    kernel_message: str = "",
    filename: str | None = None,
) -> KernelError:
    """Makes the error for an errno, of the same class as in the core's table of failures."""
    kind: type[KernelError] = KernelError
    if operation == "socket" and code not in (EMFILE, ENFILE, ENOMEM, ENOBUFS):
        kind = NetlinkUnavailableError
    elif code in (EPERM, EACCES):
        kind = PermissionDeniedError
    elif code == ENODEV:
        kind = InterfaceNotFoundError
    elif (code, operation) == (ENOENT, "openat"):
        kind = CounterNotFoundError
    return kind(code, operation, interface, kernel_message, "", filename)


# ---- names ----

_FORBIDDEN = re.compile(rb"[/: \t-\r\xa0]")


def check_name(name: object, *, alternative: bool) -> bytes:
    """Converts the name of an interface to bytes.

    Parameters:
        alternative: whether an alternative name, of any 1 to 127 bytes, will do.

    Raises:
        InvalidInterfaceNameError: no interface can have it (`dev_valid_name`, net/core/dev.c).
    """
    try:
        encoded = os.fsencode(name)  # type: ignore[arg-type]
    except (TypeError, UnicodeEncodeError):
        raise InvalidInterfaceNameError(name, "not text") from None
    longest = 127 if alternative else 15
    if not 1 <= len(encoded) <= longest or b"\0" in encoded:
        raise InvalidInterfaceNameError(name, f"must be 1 to {longest} bytes without NUL")
    # The kernel takes 0xa0 for a no-break space, also within UTF-8 (lib/ctype.c).
    if not alternative and (encoded in (b".", b"..") or _FORBIDDEN.search(encoded)):
        raise InvalidInterfaceNameError(name, "must not be such a name, or hold such a byte")
    return encoded


# ---- sysfs ----


def parse_counter(data: bytes) -> int:
    """Parses the text of a counter file.

    Raises:
        ValueError: it is not an unsigned decimal, or does not fit 64 bits.
    """
    text = data.strip(b" \t\n\v\f\r")
    if not re.fullmatch(rb"[0-9]+", text):
        raise ValueError("is not an unsigned decimal number")
    value = int(text) if len(text.lstrip(b"0")) <= 20 else 1 << 64
    if value >= 1 << 64:
        raise ValueError("does not fit 64 bits")
    return value


def _read_file(directory: int, file: str, interface: str, path: str) -> int:
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
    try:
        descriptor = os.open(file, flags, dir_fd=directory)
    except OSError as error:
        code = EINVAL if error.errno == ENXIO else error.errno or 0
        raise kernel_error(code, "openat", interface, "", path) from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise kernel_error(EINVAL, "openat", interface, "", path)
        data = b""
        while len(data) < 4096 and not data.endswith(b"\n"):
            more = os.read(descriptor, 4096 - len(data))
            if not more:
                break
            data += more
    except KernelError:
        raise
    except OSError as error:
        # The device is gone; some kernels say EINVAL.
        code = ENODEV if error.errno == EINVAL else error.errno or 0
        raise kernel_error(code, "read", interface, "", path) from None
    finally:
        os.close(descriptor)
    try:
        if len(data) == 4096:  # a file of sysfs is never that long
            raise ValueError("is not an unsigned decimal number")
        return parse_counter(data)
    except ValueError as error:
        text = data.strip(b" \t\n\v\f\r")[:127].decode("utf-8", "backslashreplace")
        raise CounterParseError(path, text, interface, str(error)) from None


def _read_files(root: str, name: object, files: tuple[str, ...]) -> list[int]:
    interface = os.fsdecode(check_name(name, alternative=False))
    path = f"{root}/{interface}/statistics"
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        directory = os.open(path, flags)
    except OSError as error:
        code = error.errno or 0
        if code in (ENOENT, ENOTDIR) and Path(root).is_dir():
            code = ENODEV
        raise kernel_error(code, "open", interface, "", path) from None
    try:
        return [_read_file(directory, file, interface, f"{path}/{file}") for file in files]
    except KernelError as error:
        # If one of the eight files, which every interface has, is missing in sysfs, the interface
        # has just been deleted or is being deleted: sysfs removes its files one by one.
        of_eight = (error.filename or "").endswith(tuple(f"/{counter}" for counter in COUNTERS))
        on_sysfs = os.fstat(directory).st_dev == Path("/sys").stat().st_dev
        gone = not os.access(path, os.F_OK) or (of_eight and on_sysfs)
        if error.errno == ENOENT and gone:
            raise kernel_error(ENODEV, "openat", interface, "", error.filename) from None
        raise
    finally:
        os.close(directory)


def get_network_interface_stats(
    interface_name: str, *, perspective: str = "container", sysfs_root: str = "/sys/class/net"
) -> NetworkInterface:
    """Does what `pynetstrat.get_network_interface_stats` does."""
    if perspective not in ("container", "host"):
        raise ValueError(f"perspective {perspective!r}")
    if interface_name == "":
        return NetworkInterface()
    host = NetworkInterface(interface_name, *_read_files(sysfs_root, interface_name, COUNTERS))
    return host if perspective == "host" else host.swapped()


def read_sysfs_network_stats(
    interface_name: str, stats_file: str, *, sysfs_root: str = "/sys/class/net"
) -> int:
    """Does what `pynetstrat.read_sysfs_network_stats` does."""
    if stats_file in ("", ".", "..") or "/" in stats_file or "\0" in stats_file:
        check_name(interface_name, alternative=True)
        raise InvalidCounterNameError(interface_name, stats_file)
    return _read_files(sysfs_root, interface_name, (stats_file,))[0]


# ---- rtnetlink ----

_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr, linux/netlink.h
_IFINFOMSG = struct.Struct("=BxHiII")  # linux/rtnetlink.h
_IF_STATS_MSG = struct.Struct("=BxHII")  # linux/if_link.h
_ATTRIBUTE = struct.Struct("=HH")  # struct rtattr
_STATS64 = struct.Struct("=8Q")  # the first fields of struct rtnl_link_stats64

_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_RTM_NEWLINK, _RTM_GETLINK, _RTM_GETSTATS = 16, 18, 94
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_DUMP_INTR, _NLM_F_DUMP = 1, 4, 0x10, 0x300
_NLM_F_CAPPED, _NLM_F_ACK_TLVS = 0x100, 0x200
_IFLA_IFNAME, _IFLA_ALT_IFNAME, _IFLA_STATS_LINK_64 = 3, 53, 1
_NLMSGERR_ATTR_MSG = 1
_SOL_NETLINK, _NETLINK_EXT_ACK = 270, 11
_IFF_UP = 1

_OPERATIONS = {
    _RTM_NEWLINK: "RTM_NEWLINK",
    _RTM_GETLINK: "RTM_GETLINK",
    _RTM_GETSTATS: "RTM_GETSTATS",
}


def _messages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Yields the type, flags, sequence number and payload of each message of a datagram."""
    at = 0
    while at < len(data):
        if len(data) - at < _HEADER.size:
            raise kernel_error(EBADMSG, "recvfrom")
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, at)
        if not _HEADER.size <= length <= len(data) - at:
            raise kernel_error(EBADMSG, "recvfrom")
        yield kind, flags, sequence, data[at + _HEADER.size : at + length]
        at += (length + 3) & ~3


def _attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        if len(data) - at < _ATTRIBUTE.size:
            raise kernel_error(EBADMSG, "recvfrom")
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if not _ATTRIBUTE.size <= length <= len(data) - at:
            raise kernel_error(EBADMSG, "recvfrom")
        found.setdefault(kind & 0x3FFF, data[at + _ATTRIBUTE.size : at + length])
        at += (length + 3) & ~3
    return found


def _c_string(value: bytes) -> str:
    return os.fsdecode(value.split(b"\0")[0])


class _Exchange:
    """A socket that sends one request and reads its replies."""

    def __init__(self, timeout: float) -> None:
        try:
            self.socket = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
            )
        except OSError as error:
            raise kernel_error(error.errno or 0, "socket") from None
        with contextlib.suppress(OSError):  # then errors come without the kernel's words
            self.socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        self.deadline = time.monotonic() + timeout
        self.sequence = 0

    def __enter__(self) -> _Exchange:
        return self

    def __exit__(self, *exception: object) -> None:
        self.socket.close()

    def ask(
        self, kind: int, flags: int, body: bytes, interface: str = ""
    ) -> Iterator[tuple[int, int, bytes]]:
        """Sends a request; yields the type, flags and payload of each reply."""
        self.sequence += 1
        length = _HEADER.size + len(body)
        header = _HEADER.pack(length, kind, flags | _NLM_F_REQUEST, self.sequence, 0)
        try:
            self.socket.send(header + body)
        except OSError as error:
            raise kernel_error(error.errno or 0, "send", interface) from None
        while True:
            for kind_of_reply, flags_of_reply, sequence, payload in _messages(
                self._receive(interface)
            ):
                if sequence != self.sequence:
                    continue
                if kind_of_reply in (_NLMSG_ERROR, _NLMSG_DONE):
                    self._raise_refusal(kind_of_reply, flags_of_reply, payload, kind, interface)
                yield kind_of_reply, flags_of_reply, payload
                if kind_of_reply in (_NLMSG_ERROR, _NLMSG_DONE) or not flags & _NLM_F_DUMP:
                    return

    def _receive(self, interface: str) -> bytes:
        while True:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise kernel_error(ETIMEDOUT, "recvfrom", interface)
            self.socket.settimeout(left)
            try:
                data, _, flags, sender = self.socket.recvmsg(65536)
            except TimeoutError:
                continue
            except OSError as error:
                raise kernel_error(error.errno or 0, "recvfrom", interface) from None
            if sender[0] == 0:  # the kernel; any process may send to the socket
                if flags & socket.MSG_TRUNC:
                    raise kernel_error(EBADMSG, "recvfrom", interface)
                return data

    @staticmethod
    def _raise_refusal(kind: int, flags: int, payload: bytes, asked: int, interface: str) -> None:
        if len(payload) < 4:
            raise kernel_error(EBADMSG, "recvfrom", interface)
        (code,) = struct.unpack_from("=i", payload)
        if code == 0:
            return
        words = ""
        if flags & _NLM_F_ACK_TLVS:
            at = 4
            if kind == _NLMSG_ERROR:
                echoed = int.from_bytes(payload[4:8], sys.byteorder)
                at += _HEADER.size if flags & _NLM_F_CAPPED else (echoed + 3) & ~3
            words = _c_string(_attributes(payload[at:]).get(_NLMSGERR_ATTR_MSG, b""))
        raise kernel_error(-code, _OPERATIONS[asked], interface, words)


def _link_body(name: bytes, flags: int = 0, change: int = 0) -> bytes:
    value = name + b"\0"
    kind = _IFLA_IFNAME if len(name) < 16 else _IFLA_ALT_IFNAME
    attribute = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value
    return _IFINFOMSG.pack(0, 0, 0, flags, change) + attribute + bytes(-len(attribute) % 4)


def _get_link(exchange: _Exchange, name: bytes) -> tuple[int, int]:
    """Returns the index and the flags of a link."""
    for _, _, payload in exchange.ask(_RTM_GETLINK, 0, _link_body(name), os.fsdecode(name)):
        if len(payload) < _IFINFOMSG.size:
            raise kernel_error(EBADMSG, "RTM_GETLINK", os.fsdecode(name))
        _, _, index, flags, _ = _IFINFOMSG.unpack_from(payload)
        return index, flags
    raise AssertionError("an exchange has a reply or an error")


def _set_flags(name: object, flags: int, timeout: float) -> None:
    encoded = check_name(name, alternative=True)
    with _Exchange(timeout) as exchange:
        body = _link_body(encoded, flags, _IFF_UP)
        try:
            for _ in exchange.ask(_RTM_NEWLINK, _NLM_F_ACK, body, os.fsdecode(encoded)):
                pass
        except PermissionError as error:
            # No right to change it; but it may be so already.
            if error.errno != EPERM:
                raise
            try:
                _, found = _get_link(exchange, encoded)
            except InterfaceNotFoundError:
                raise
            except KernelError:
                raise error from None
            if found & _IFF_UP != flags:
                raise


def link_set_up(name: str = "lo", *, timeout: float = 5.0) -> None:
    """Does what `pynetstrat.link_set_up` does, in the calling thread's namespace."""
    _set_flags(name, _IFF_UP, timeout)


def link_set_down(name: str, *, timeout: float = 5.0) -> None:
    """Does what `RtnetlinkSocket.link_set_down` does."""
    _set_flags(name, 0, timeout)


def link_is_up(name: str, *, timeout: float = 5.0) -> bool:
    """Does what `RtnetlinkSocket.link_is_up` does."""
    encoded = check_name(name, alternative=True)
    with _Exchange(timeout) as exchange:
        return bool(_get_link(exchange, encoded)[1] & _IFF_UP)


def _decode_stats(payload: bytes) -> tuple[int, list[int]]:
    if len(payload) < _IF_STATS_MSG.size:
        raise kernel_error(EBADMSG, "RTM_GETSTATS")
    _, _, index, _ = _IF_STATS_MSG.unpack_from(payload)
    value = _attributes(payload[_IF_STATS_MSG.size :]).get(_IFLA_STATS_LINK_64)
    if value is None or len(value) < _STATS64.size:
        raise kernel_error(ENODATA, "RTM_GETSTATS")
    rx_packets, tx_packets, rx_bytes, tx_bytes, *rest = _STATS64.unpack_from(value)
    rx_errors, tx_errors, rx_dropped, tx_dropped = rest
    return index, [
        rx_bytes,
        rx_packets,
        rx_errors,
        rx_dropped,
        tx_bytes,
        tx_packets,
        tx_errors,
        tx_dropped,
    ]


def get_stats(name: str, *, perspective: str = "host", timeout: float = 5.0) -> NetworkInterface:
    """Does what `RtnetlinkSocket.get_stats` does."""
    encoded = check_name(name, alternative=True)
    with _Exchange(timeout) as exchange:
        index, _ = _get_link(exchange, encoded)
        body = _IF_STATS_MSG.pack(0, 0, index, 1)
        for _, _, payload in exchange.ask(_RTM_GETSTATS, 0, body, name):
            host = NetworkInterface(name, *_decode_stats(payload)[1])
    return host if perspective == "host" else host.swapped()


def dump_stats(*, perspective: str = "host", timeout: float = 5.0) -> dict[str, NetworkInterface]:
    """Does what `RtnetlinkSocket.dump_stats` does."""
    with _Exchange(timeout) as exchange:
        names: dict[int, str] = {}
        for payload in _dump(exchange, _RTM_GETLINK, _IFINFOMSG.pack(0, 0, 0, 0, 0)):
            index = _IFINFOMSG.unpack_from(payload)[2]
            names[index] = _c_string(_attributes(payload[_IFINFOMSG.size :])[_IFLA_IFNAME])
        found = {}
        for payload in _dump(exchange, _RTM_GETSTATS, _IF_STATS_MSG.pack(0, 0, 0, 1)):
            index, values = _decode_stats(payload)
            if index in names:  # otherwise it came between the two dumps
                host = NetworkInterface(names[index], *values)
                found[host.name] = host if perspective == "host" else host.swapped()
    return found


def _dump(exchange: _Exchange, kind: int, body: bytes) -> list[bytes]:
    """Returns the payloads of a dump that the kernel did not mark as interrupted."""
    for _ in range(16):
        payloads = []
        interrupted = False
        try:
            for kind_of_reply, flags, payload in exchange.ask(kind, _NLM_F_DUMP, body):
                interrupted |= bool(flags & _NLM_F_DUMP_INTR)
                if kind_of_reply != _NLMSG_DONE:
                    payloads.append(payload)
        except KernelError as error:
            if error.errno != ENOBUFS:
                raise
            interrupted = True
        if not interrupted:
            return payloads
    raise kernel_error(EAGAIN, _OPERATIONS[kind])
