"""How many forks lie between this process and the first: what was made before one is told by it."""

from __future__ import annotations

import os

count = 0


def _count() -> None:
    global count
    count += 1


os.register_at_fork(after_in_child=_count)
