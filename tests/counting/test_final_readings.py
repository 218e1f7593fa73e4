"""Which interface a notification of a deletion is about, where the kernel's order can't be chosen.

The dumps and notifications are made up: on a real kernel a number is used again, or one socket lags
behind another, only now and then.
"""

from __future__ import annotations

from typing import Any

from pynetstrat.counting._final import FinalReadings
from pynetstrat.counting._tracking import TrackedNamespace


class _Dump:
    """A NetnsLinks whose counters are zero."""

    def __init__(self, *links: tuple[int, int, str]) -> None:
        self.links = links

    def position(self, index: int) -> int | None:
        return next((at for at, link in enumerate(self.links) if link[0] == index), None)

    def values(self, _: int) -> list[int]:
        return [0] * 8


def _namespace(inode: int, *links: tuple[int, int, str]) -> TrackedNamespace:
    dump: Any = _Dump(*links)
    return TrackedNamespace(7, (4, inode, None), dump, 0)


def test_a_deletion_is_about_the_first_namespace_with_the_nsid_whose_end_was_not_reported():
    first, second = _namespace(1, (2, 10, "eth0")), _namespace(2, (2, 11, "eth0"))
    readings = FinalReadings()
    readings.follow(first)
    readings.follow(second)
    readings.take([(7, 2, [100] * 8), (7, 0, []), (7, 2, [5] * 8)], [second], [first])
    assert first.finals[2].values == [100] * 8
    assert second.finals[2].values == [5] * 8


def test_the_deletion_of_a_host_end_is_not_about_the_next_pair_with_the_containers_index():
    tracked = _namespace(1, (2, 10, "eth0"))
    readings = FinalReadings()
    readings.follow(tracked)
    readings.take([(7, 2, [100] * 8)], [tracked], [])  # the host end's has not arrived
    dump: Any = _Dump((2, 11, "eth0"))
    tracked.dump = dump
    readings.take([(-1, 10, [3] * 8)], [tracked], [])
    assert tracked.finals[2].peer == 11
    assert tracked.finals[2].values == [0] * 8
    assert not tracked.finals[2].has_host
