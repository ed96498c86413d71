"""How much of the processor a step may use: libraries take all that they see."""

import math
import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Time and period of the container's limit, in microseconds (cgroup v2)."""


def usable(quota: Path = QUOTA) -> int:
    """Cores that this process may run on, less where its container is limited to the time of fewer."""
    cores = len(os.sched_getaffinity(0))
    try:
        time, period = quota.read_text("ascii").split()
        return max(1, min(cores, math.ceil(int(time) / int(period))))
    except (OSError, ValueError):
        return cores
