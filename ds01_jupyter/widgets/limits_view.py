"""A person's limits, and what is in use of them."""

from __future__ import annotations

from ds01_jupyter.core.models import ContainerLimits, LimitsReport
from ds01_jupyter.render import life_views, units
from ds01_jupyter.widgets.markup import escape, facts


def limits_html(report: LimitsReport) -> str:
    """What a container of this person gets, and how many there may be."""
    limits, usage = report.limits, report.usage
    rows = {
        "Memory": units.size(limits.memory, unlimited=True),
        "CPUs": units.count(limits.max_cpus),
        "Shared memory": units.size(limits.shm_size),
        "Processes": units.count(limits.pids_limit),
        "Containers": _of(usage.containers, limits.max_containers),
        "GPU slots": _of(usage.slots, limits.max_mig_instances),
    }
    if report.times is not None:
        times = life_views.time_limits(report.times)
        rows |= {f"{name[:1].upper()}{name[1:]}": text for name, text in times.items()}
    head = f"<p class='ds01-label'>Your limits <span class='ds01-muted'>as {limits_of(report)}"
    return f"{head}</span></p>" + facts({key: escape(value) for key, value in rows.items()})


def limits_of(report: LimitsReport) -> str:
    """The group by which the limits are given, as HTML."""
    return escape(report.limits.group)


def container_limits(limits: ContainerLimits | None) -> dict[str, str]:
    """What Docker holds for a container, as terms and HTML values."""
    if limits is None:
        return {}
    rows = {
        "Memory": units.size(limits.memory, unlimited=True),
        "CPUs": units.count(limits.cpus),
        "Shared memory": units.size(limits.shm_size),
        "Processes": units.count(limits.pids),
    }
    return {key: escape(value) for key, value in rows.items()}


def _of(used: int, most: int | None) -> str:
    return f"{used} in use, unlimited" if most is None else f"{used} of {most} in use"
