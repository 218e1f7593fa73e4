"""struct netstrat_qdisc and netstrat_filter: queueing disciplines, and filters that redirect."""

from __future__ import annotations

from .._core import ffi, lib
from ..errors import InvalidNetworkError
from . import decode
from .values import INT_MAX, UINT_MAX, check_bool, check_integer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

NEWQDISC, DELQDISC, NEWTFILTER = lib.RTM_NEWQDISC, lib.RTM_DELQDISC, lib.RTM_NEWTFILTER

add_qdisc = lib.netstrat_batch_add_qdisc
delete_qdisc = lib.netstrat_batch_delete_qdisc
add_redirect = lib.netstrat_batch_add_redirect

_MAX_RATE = 1 << 60  # bits per second of a tbf or a netem: far below what the kernel can count
# A tbf with a smaller burst sends 65 % of its rate: packets that the sender has joined (GSO) are
# split first. At high rates it must hold what the rate sends while a timer is late.
_MIN_BURST = 20_000  # bytes
_BURST_TIME = 0.004  # seconds
TBF_LATENCY = 0.05  # seconds that a packet may wait in a tbf
_MAX_NETEM_TIME = 274  # seconds: 32 bits of 64 ns
_TICKS = 15_625_000  # units of 64 ns in a second (PSCHED_SHIFT, net/pkt_sched.h)

# ---- handles ----

_PARENTS: dict[str, int] = {"root": lib.TC_H_ROOT, "ingress": lib.TC_H_INGRESS}
_PARENT_NAMES = {number: name for name, number in _PARENTS.items()}
_MAJOR = 0xFFFF0000  # TC_H_MAJ_MASK, linux/pkt_sched.h
_DIGITS = frozenset("0123456789abcdef")


def parse_parent(parent: object) -> int:
    """Parses "root", "ingress", or the handle of a class such as "1:1"."""
    if isinstance(parent, str):
        if parent in _PARENTS:
            return _PARENTS[parent]
        number = _parse_handle(parent)
        if number:
            return number
    reason = 'must be "root", "ingress" or the handle of a class such as "1:1", in hexadecimal'
    raise InvalidNetworkError("parent", parent, reason)


def _parse_handle(text: str) -> int:
    """Returns the number of a handle, or 0 if the text is not one."""
    major, colon, minor = text.partition(":")
    if not (
        colon and 1 <= len(major) <= 4 and len(minor) <= 4 and _DIGITS.issuperset(major + minor)
    ):
        return 0
    return int(major, 16) << 16 | int(minor or "0", 16)


def _parse_major(handle: object) -> int:
    """Parses the handle of a queueing discipline, such as "1:"; returns 0 for None."""
    if handle is None:
        return 0
    number = _parse_handle(handle) if isinstance(handle, str) else 0
    if not number or number & ~_MAJOR:
        reason = 'must be a major number in hexadecimal and a colon, such as "1:"'
        raise InvalidNetworkError("handle", handle, reason)
    return number


def _handle_text(number: int) -> str:
    minor = number & 0xFFFF
    return f"{number >> 16:x}:{minor:x}" if minor else f"{number >> 16:x}:"


# ---- settings ----


def _check_number(field: str, value: object, least: float, most: float, unit: str) -> None:
    """Raises InvalidNetworkError unless `value` is a number in this range."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most:
        return
    raise InvalidNetworkError(field, value, f"must be {unit} from {least:g} to {most:g}")


def tbf_burst(rate: int) -> int:
    """Returns the default burst, in bytes, of a tbf with a rate in bits per second."""
    return min(max(_MIN_BURST, int(rate / 8 * _BURST_TIME)), UINT_MAX)


def tbf_limit(rate: int, burst: int, latency: float) -> int:
    """Returns how many bytes may wait in a tbf for its burst and for its latency in seconds."""
    return min(round(rate / 8 * latency) + burst, UINT_MAX)


def _tbf(options: Mapping[str, Any]) -> dict[str, Any]:
    rate = options.get("rate")
    if rate is None:
        raise InvalidNetworkError("rate", rate, "must be given: a tbf limits a rate")
    check_integer("rate", rate, 8, _MAX_RATE)
    burst = options.get("burst")
    if burst is None:
        burst = tbf_burst(rate)
    check_integer("burst", burst, 1, UINT_MAX)
    latency = options.get("latency")
    if latency is None:
        latency = TBF_LATENCY
    _check_number("latency", latency, 0, 3600, "a number of seconds")
    return {"rate": rate // 8, "burst": burst, "limit": tbf_limit(rate, burst, latency)}


def _netem(options: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name in ("delay", "jitter"):
        if options.get(name) is not None:
            _check_number(name, options[name], 0, _MAX_NETEM_TIME, "a number of seconds")
            fields[f"{name}_ns"] = round(options[name] * 1e9)
    for name in ("loss", "duplicate"):
        if options.get(name) is not None:
            _check_number(name, options[name], 0, 1, "a probability (0.05 for 5 %)")
            fields[name] = round(options[name] * UINT_MAX)
    if options.get("rate") is not None:
        check_integer("rate", options["rate"], 8, _MAX_RATE)
        fields["rate"] = options["rate"] // 8
    if options.get("limit") is not None:
        check_integer("limit", options["limit"], 1, UINT_MAX)
        fields["limit"] = options["limit"]
    return fields


def _fq_codel(options: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name in ("limit", "quantum"):
        if options.get(name) is not None:
            check_integer(name, options[name], 1, UINT_MAX)
            fields[name] = options[name]
    for name in ("target", "interval"):
        if options.get(name) is not None:
            _check_number(name, options[name], 1e-6, 3600, "a number of seconds")
            fields[f"{name}_us"] = round(options[name] * 1e6)
    if options.get("ecn") is not None:
        check_bool("ecn", options["ecn"])
        on, off = lib.NETSTRAT_QDISC_ECN_ON, lib.NETSTRAT_QDISC_ECN_OFF
        fields["ecn"] = on if options["ecn"] else off
    return fields


def _ingress(options: Mapping[str, Any]) -> dict[str, Any]:
    return {}


# Of each kind the converter of its options, and their names.
_KINDS: dict[str, tuple[Callable[[Mapping[str, Any]], dict[str, Any]], tuple[str, ...]]] = {
    "tbf": (_tbf, ("rate", "burst", "latency")),
    "netem": (_netem, ("delay", "jitter", "loss", "duplicate", "rate", "limit")),
    "fq_codel": (_fq_codel, ("limit", "target", "interval", "quantum", "ecn")),
    "ingress": (_ingress, ()),
}


def new_qdisc(
    index: int, kind: object, parent: object, handle: object, options: Mapping[str, Any]
) -> Any:
    """Makes a struct netstrat_qdisc. An option of None is as one that is missing.

    Raises:
        InvalidNetworkError: no message can carry a value, or the kind does not have an option.
    """
    check_integer("index", index, 1, INT_MAX)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise InvalidNetworkError("kind", kind, f"must be one of {', '.join(_KINDS)}")
    convert, known = _KINDS[kind]
    for name, value in options.items():
        if name not in known:
            has = f"the options of {kind} are {', '.join(known)}" if known else f"{kind} has none"
            raise InvalidNetworkError(name, value, f"unknown option; {has}")
    place, number = parse_parent(parent), _parse_major(handle)
    if kind == "ingress":
        if parent not in ("root", "ingress"):  # "root" is the default of `parent`
            raise InvalidNetworkError("parent", parent, 'must be "ingress" for the kind ingress')
        if number not in (0, lib.TC_H_INGRESS & _MAJOR):
            raise InvalidNetworkError("handle", handle, 'must be "ffff:" for the kind ingress')
    elif parent == "ingress":
        raise InvalidNetworkError("parent", parent, "is only for the kind ingress")
    fields = convert(options)
    fields.update(index=index, kind=kind.encode(), parent=place, handle=number)
    return ffi.new("struct netstrat_qdisc *", fields)


# ---- what the kernel reports ----


def _tbf_options(native: Any) -> dict[str, Any]:
    rate = native.rate
    # The kernel rounds the time of the burst down, to 64 ns.
    burst = -(-rate * (native.burst_ns >> 6) // _TICKS)
    waiting = max(0, native.limit - burst)
    return {"rate": rate * 8, "burst": burst, "latency": waiting / rate if rate else 0.0}


def _netem_options(native: Any) -> dict[str, Any]:
    options = {"limit": native.limit}
    if native.delay_ns:
        options["delay"] = native.delay_ns / 1e9
    if native.jitter_ns:
        options["jitter"] = native.jitter_ns / 1e9
    if native.loss:
        options["loss"] = native.loss / UINT_MAX
    if native.duplicate:
        options["duplicate"] = native.duplicate / UINT_MAX
    if native.rate:
        options["rate"] = native.rate * 8
    return options


def _fq_codel_options(native: Any) -> dict[str, Any]:
    return {
        "limit": native.limit,
        "target": native.target_us / 1e6,
        "interval": native.interval_us / 1e6,
        "quantum": native.quantum,
        "ecn": native.ecn == lib.NETSTRAT_QDISC_ECN_ON,
    }


_OPTIONS = {"tbf": _tbf_options, "netem": _netem_options, "fq_codel": _fq_codel_options}


def qdisc_fields(native: Any) -> tuple[Any, ...]:
    """Converts a struct netstrat_qdisc to the fields of `Qdisc`, in order."""
    kind = decode(native.kind)
    parent = _PARENT_NAMES.get(native.parent)
    if parent is None:
        parent = _handle_text(native.parent) if native.parent else ""
    return (
        native.index,
        kind,
        _handle_text(native.handle) if native.handle else "",
        parent,
        _OPTIONS[kind](native) if kind in _OPTIONS else {},
        native.bytes,
        native.packets,
        native.dropped,
        native.overlimits,
        native.backlog,
        native.queued,
    )


def redirect_target(native: Any) -> int | None:
    """Returns the link that a struct netstrat_filter redirects every packet to.

    Returns 0 if the filter does something else, and None if the row is not about a filter.
    """
    if not native.selects:
        return None
    whole = native.everything and native.protocol == lib.ETH_P_ALL
    return native.target if whole else 0
