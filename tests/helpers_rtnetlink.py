"""What the tests of `RtnetlinkSocket` share."""

from __future__ import annotations

import pytest
import support


class ByHandlerError(Exception):
    """Raised by a signal handler."""


NOWHERE = "nowhere"  # a name that no interface has
LONG = "an-alternative-name-" + "x" * 107  # 127 bytes


# Opens sockets where AF_NETLINK is refused with the error number in the first argument.
SECCOMP = (
    support.REFUSE_NETLINK
    + """
for call in (RtnetlinkSocket, get_strategy("loopback").initialize):
    try:
        call()
    except NetlinkUnavailableError as error:
        assert error.errno == int(sys.argv[1]) and error.operation == "socket"
        print(error)
"""
)


# Each method of a socket, by name.
CALLS = {
    "link_set_up": lambda s: s.link_set_up("lo"),
    "link_set_down": lambda s: s.link_set_down("lo"),
    "link_is_up": lambda s: s.link_is_up("lo"),
    "get_link": lambda s: s.get_link("lo"),
    "dump_links": lambda s: s.dump_links(),
    "get_stats": lambda s: s.get_stats("lo"),
    "dump_stats": lambda s: s.dump_stats(),
    "dump_counters": lambda s: s.dump_counters(),
    "fileno": lambda s: s.fileno(),
}
EVERY_CALL = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
