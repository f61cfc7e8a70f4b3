"""MIG layouts for admins: what is there, what a layout needs, and making it so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ds01_jupyter.core import mig_documents as documents
from ds01_jupyter.core.errors import EngineUnavailable, Forbidden
from ds01_jupyter.core.gpu.mig_apply import MigApplier
from ds01_jupyter.core.gpu.mig_driver import MigDriver
from ds01_jupyter.core.gpu.mig_layout import (
    CURRENT,
    Entry,
    Shape,
    device_id_text,
    parse_layout,
    render_layout,
)
from ds01_jupyter.core.gpu.mig_obstacles import Obstacle, Occupation
from ds01_jupyter.core.gpu.mig_plan import GpuPlan, LayoutPlan, plan_layout
from ds01_jupyter.core.gpu.mig_state import GpuInstance, MigGpu, slot_of
from ds01_jupyter.core.gpu.slots import WHOLE, SlotInfo
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.ledger import LeaseRow, Ledger
from ds01_jupyter.core.operations import Progress

Foreign = Callable[[Sequence[SlotInfo]], Mapping[str, str]]
"""Which containers use these slots without a lease, by slot UUID; may raise
`EngineUnavailable`."""

DOCKER_AWAY = (
    "Docker does not answer, so containers that use a GPU without a lease cannot be seen; "
    "apply waits for it."
)
CDI = (
    "Where Docker uses CDI, its list of devices is out of date now: "
    "`sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`."
)
REBOOT = "Instances do not survive a reboot: apply the layout again at boot."


class MigLayouts:
    """The MIG layouts of this host. `admins` are the names that may change them, beside root."""

    def __init__(
        self,
        ledger: Ledger,
        driver: MigDriver,
        host: str,
        foreign: Foreign,
        admins: Sequence[str] = (),
        promised: Callable[[LayoutPlan], LayoutPlan] = lambda plan: plan,
    ) -> None:
        """`promised` adds the reservations that a plan would break to what is in its way."""
        self._driver = driver
        self._host = host
        self._foreign = foreign
        self._admins = admins
        self._promised = promised
        self._applier = MigApplier(ledger, driver, host)

    def export(self, person: Person) -> documents.MigLayout:
        """The present layout of all GPUs that know MIG. Raises `DriverUnavailable`."""
        gpus = self._driver.read()
        shapes = [
            Shape(gpu.index, gpu.device_id, gpu.enabled, gpu.counts)
            for gpu in gpus
            if gpu.capable and gpu.problem is None
        ]
        return documents.MigLayout(
            host=self._host,
            label=CURRENT,
            layout=render_layout(shapes),
            gpus=[_gpu(gpu) for gpu in gpus],
        )

    def plan(self, person: Person, request: documents.MigLayoutRequest) -> documents.MigPlan:
        """What the layout needs; nothing is changed. Raises `InvalidInput` for the file."""
        label, entries = _wanted(request)
        plan, away = self._plan(label, entries, self._applier.leases(), docker_needed=False)
        document = _plan(plan, self._host)
        return document.model_copy(update={"notes": [*document.notes, *away]}) if away else document

    def check(self, person: Person, request: documents.MigLayoutRequest) -> str:
        """Refuse what cannot be applied now; returns the label.

        Raises `Forbidden` (not an admin, or the server is not root), `InvalidInput`, `Conflict`.
        """
        require_admin(person, self._admins)
        label, entries = _wanted(request)
        self._applier.check(self._planner(label, entries)(self._applier.leases()))
        return label

    def apply(
        self, person: Person, request: documents.MigLayoutRequest, progress: Progress
    ) -> documents.MigOutcome:
        """Make the machine so, or leave it as it is. Raises as `check` and `MigApplier.apply`."""
        require_admin(person, self._admins)
        label, entries = _wanted(request)
        outcome = self._applier.apply(
            person, self._planner(label, entries), lambda text, part: progress.step(text, part)
        )
        changed = [
            documents.MigChange(index=index, before=list(before), after=list(after))
            for index, before, after in outcome.changed
        ]
        return documents.MigOutcome(
            label=label, changed=changed, notes=[CDI, REBOOT] if changed else []
        )

    def _planner(
        self, label: str, entries: Sequence[Entry]
    ) -> Callable[[Sequence[LeaseRow]], LayoutPlan]:
        return lambda leases: self._plan(label, entries, leases, docker_needed=True)[0]

    def _plan(
        self,
        label: str,
        entries: Sequence[Entry],
        leases: Sequence[LeaseRow],
        *,
        docker_needed: bool,
    ) -> tuple[LayoutPlan, list[str]]:
        gpus = self._driver.read()
        away: EngineUnavailable | None = None
        foreign: Mapping[str, str] = {}
        try:
            foreign = self._foreign([slot for gpu in gpus for slot in _slots(gpu)])
        except EngineUnavailable as error:
            away = error
        plan = self._promised(plan_layout(label, entries, gpus, Occupation(leases, foreign)))
        if away is None or plan.matches:
            return plan, []
        if docker_needed:
            raise away
        return plan, [DOCKER_AWAY]


def require_admin(person: Person, admins: Sequence[str]) -> None:
    """Raise `Forbidden` for who is neither root nor one of `admins`."""
    if person.uid != 0 and person.name not in admins:
        raise Forbidden(
            "Only an admin of this machine may change its MIG layout.",
            hint=f"Ask one of: {', '.join(admins) or 'root'}. (DS01App.admins lists them.)",
            user=person.name,
        )


def _wanted(request: documents.MigLayoutRequest) -> tuple[str, tuple[Entry, ...]]:
    return parse_layout(request.layout, request.source).label(request.label)


def _slots(gpu: MigGpu) -> list[SlotInfo]:
    """The GPU's slots as far as it matters for who uses them."""
    if gpu.problem is not None:
        return []
    if not gpu.enabled:
        return [SlotInfo(str(gpu.index), gpu.uuid, "gpu", WHOLE, gpu.index, gpu.uuid, None, 1.0)]
    return [slot_of(gpu, item, device) for item in gpu.instances for device in item.devices]


# ---- documents -----------------------------------------------------------------------------------


def _instances(items: Sequence[GpuInstance]) -> list[documents.MigInstance]:
    found = []
    for item in items:
        device = item.devices[0] if len(item.devices) == 1 else None
        found.append(
            documents.MigInstance(
                profile=item.profile,
                start=item.start,
                slot=device.slot if device else None,
                uuid=device.uuid if device else None,
                text=str(item),
            )
        )
    return found


def _gpu(gpu: MigGpu) -> documents.MigGpu:
    return documents.MigGpu(
        index=gpu.index,
        uuid=gpu.uuid,
        name=gpu.name,
        device_id=device_id_text(gpu.device_id),
        mig=gpu.enabled if gpu.capable else None,
        instances=_instances(gpu.instances),
        problem=gpu.problem,
    )


def _plan(plan: LayoutPlan, host: str) -> documents.MigPlan:
    return documents.MigPlan(
        host=host,
        label=plan.label,
        matches=plan.matches,
        possible=plan.possible,
        gpus=[_gpu_plan(each) for each in plan.gpus],
        notes=list(plan.notes),
    )


def _gpu_plan(plan: GpuPlan) -> documents.MigGpuPlan:
    create = [
        documents.MigInstance(
            profile=profile,
            start=start,
            text=profile if start is None else f"{profile} at {start}",
        )
        for profile, start in plan.create
    ]
    return documents.MigGpuPlan(
        index=plan.gpu.index,
        uuid=plan.gpu.uuid,
        name=plan.gpu.name,
        differences=list(plan.differences),
        keep=_instances(plan.keep),
        finish=_instances(plan.finish),
        destroy=_instances(plan.destroy),
        create=create,
        in_the_way=[_obstacle(item) for item in plan.obstacles],
        mode_change=plan.mode_change,
        problem=plan.problem or None,
        advice=plan.advice or None,
    )


def _obstacle(item: Obstacle) -> documents.MigObstacle:
    fields: dict[str, Any] = {
        name: getattr(item, name)
        for name in ("kind", "slot", "profile", "container", "owner", "state", "pid")
    }
    return documents.MigObstacle(**fields, text=str(item))
