"""cni/: a plugin that is killed at any change leaves nothing that DEL does not clear."""

from __future__ import annotations

import os
from functools import partial

import killed
import pytest
import support
from helpers_cni import owners, translations
from helpers_network import names

FIELDS = {
    "isGateway": True,
    "ipMasq": True,
    "runtimeConfig": {
        "portMappings": [{"hostPort": 8080, "containerPort": 80}],
        "bandwidth": {"egressRate": 8_000_000},
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("command", ["ADD", "DEL"])
def test_del_and_a_new_add_succeed_after_a_kill_at_any_change(runtime, ipam, box, command):
    changes = killed.CHANGES.get(os.uname().machine)
    for stop in support.sample(range(100_000), offset=command == "DEL"):
        if command == "DEL":
            runtime.call("ADD", **FIELDS)
        was_killed = killed.killed_at(
            partial(runtime.call, command, **FIELDS), stop=stop, calls=changes
        )
        assert runtime.call("DEL", **FIELDS) is None
        assert ipam.calls()[-1] == "DEL"
        assert (owners(), translations(), names(box)) == ([], [], {"lo"})
        assert names() <= {"lo", "br7"}
        if not was_killed:
            break
    assert stop > 8
    runtime.call("ADD", **FIELDS)
    assert len(owners()) == 2
