"""The system calls of `link_set_up`."""

from __future__ import annotations

import support


def test_the_system_calls_of_link_set_up(net, tmp_path):
    code = """
import os
import pynetstrat
link_set_up = pynetstrat.link_set_up
os.access("/begin", 0)
link_set_up("lo")
os.access("/end", 0)
"""
    calls = support.trace(code, tmp_path / "trace")
    # Beside these at most a wait, where the kernel is slow to answer.
    names = [name for call in calls if (name := call.split("(")[0]) not in ("poll", "ppoll")]
    options = names.count("setsockopt")
    assert names == ["socket", *["setsockopt"] * options, names[1 + options], "recvfrom", "close"]
    send = calls[1 + options]
    assert names[1 + options] in ("send", "sendto")
    # strace decodes the message only if it can tell the socket's protocol.
    assert send.count("nlmsg_len=") == 1
    assert "nlmsg_type=RTM_NEWLINK," in send or "nlmsg_type=0x10 " in send
    assert '"lo"' in send or r"\x6c\x6f\x00" in send
    assert options <= 2
    assert len(calls) <= len(names) + 1
