"""A process that is killed at any moment leaves nothing that a tear-down cannot clear.

Here it is killed before and after each system call that changes something; before and after every
system call in tests/check/kills.py.
"""

from __future__ import annotations

import os

import killed
import pytest


@pytest.mark.parametrize("action", ["set-up", "tear-down"])
@pytest.mark.parametrize("what", killed.NETWORKS)
@pytest.mark.slow
def test_tear_down_and_set_up_succeed_after_a_kill_at_any_change(net, run, tmp_path, what, action):
    stage = killed.Stage(what, tmp_path)
    try:
        stops = list(killed.sweep(stage, action, killed.CHANGES.get(os.uname().machine)))
    finally:
        stage.close()
    assert len(stops) > 3
