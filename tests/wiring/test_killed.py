"""A process that is killed at any moment leaves nothing that a tear-down cannot clear.

Here it is killed before and after each system call that changes something; before and after every
system call in tests/check/kills.py.
"""

from __future__ import annotations

import os

import killed
import pytest
import support


@pytest.mark.slow
@pytest.mark.parametrize("action", ["set-up", "tear-down"])
@pytest.mark.parametrize("what", killed.NETWORKS)
def test_tear_down_and_set_up_succeed_after_a_kill_at_any_change(net, run, tmp_path, what, action):
    stage = killed.Stage(what, tmp_path)
    offset = list(killed.NETWORKS).index(what) + (action == "tear-down")
    stops = support.sample(range(100_000), offset, step=6)
    changes = killed.CHANGES.get(os.uname().machine)
    try:
        tried = list(killed.sweep(stage, action, changes, stops))
    finally:
        stage.close()
    assert tried[-1] > 2
