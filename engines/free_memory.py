"""How much memory the host has left."""

from __future__ import annotations


def free_memory() -> int | None:
    """Bytes that Linux says are available; None elsewhere."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:  # noqa: PTH123
            fields = dict(line.split(":") for line in file)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
