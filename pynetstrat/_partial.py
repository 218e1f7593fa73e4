"""`functools.partial` without `functools`, which takes longer to load than any module of ours."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from functools import partial as partial
else:
    from _functools import partial as partial
