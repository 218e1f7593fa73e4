"""The metrics of the exporter's own process, with the names that Prometheus' libraries use.

https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics
"""

from __future__ import annotations

import os
import resource
import time
from io import FileIO

from ._exporter_text import format_metric

_TICKS = os.sysconf("SC_CLK_TCK")


class ProcessMetrics:
    """Reads /proc/self/stat and counts descriptors (proc(5))."""

    def __init__(self) -> None:
        # Not btime of /proc/stat, which a /proc with subset=pid does not have.
        boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        self._started = round(boot + int(_read_stat()[19]) / _TICKS, 2)

    def write(self) -> bytes:
        """Returns the metrics as text."""
        stat = _read_stat()
        cpu = int(stat[11]) / _TICKS + int(stat[12]) / _TICKS  # in user and in kernel mode
        memory = int(stat[21]) * resource.getpagesize()
        descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        gauges = (
            ("process_virtual_memory_bytes", "Virtual memory size in bytes.", int(stat[20])),
            ("process_resident_memory_bytes", "Resident memory size in bytes.", memory),
            (
                "process_start_time_seconds",
                "Start time of the process since unix epoch in seconds.",
                self._started,
            ),
        )
        files = (
            ("process_open_fds", "Number of open file descriptors.", descriptors),
            ("process_max_fds", "Maximum number of open file descriptors.", most),
        )
        seconds = "Total user and system CPU time spent in seconds."
        return b"".join(
            [
                *(format_metric(*gauge) for gauge in gauges),
                format_metric("process_cpu_seconds_total", seconds, cpu, kind="counter"),
                *(format_metric(*gauge) for gauge in files if gauge[2] >= 0),  # -1: unlimited
            ]
        )


def _read_stat() -> list[bytes]:
    """Returns the fields of /proc/self/stat from the third on: the second may contain spaces."""
    with FileIO("/proc/self/stat") as file:
        return (file.read(4096) or b"").rpartition(b")")[2].split()
