"""An allocator over the simulated driver and a ledger of its own, in the words of the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from ds01_jupyter.core.allocator import Allocator, Claim
from ds01_jupyter.core.errors import CoreError
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.gpu.request import GpuRequest
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.models import LimitValues

ANNA = Person("anna", 1001, 1001, Path("/home/anna"))
BEN = Person("ben", 1002, 1002, Path("/home/ben"))


class Desk:
    """The allocator of one host, with the words that the tests use."""

    def __init__(self, ledger: Ledger, driver: NvmlDriver) -> None:
        self.ledger = ledger
        self.driver = driver
        self.allocator = Allocator(ledger, driver, "here")

    def claim(
        self,
        name: str,
        gpu: str = "any",
        count: int = 1,
        *,
        person: Person = ANNA,
        foreign: dict[str, str] | None = None,
        **limits: int | None,
    ) -> Claim:
        values = LimitValues(
            group="students",
            max_cpus=None,
            memory=None,
            memory_swap=None,
            shm_size=1,
            pids_limit=None,
            cgroup_parent="x.slice",
            **{  # type: ignore[arg-type]
                "priority": 50,
                "max_containers": None,
                "max_mig_instances": None,
                **limits,
            },
        )
        request = GpuRequest.parse(gpu, count)
        return self.allocator.claim(person, name, request, values, foreign or {}, {"image": "x"})

    def slots(self, name: str, gpu: str = "any", count: int = 1, **limits: int) -> list[str]:
        return [slot.slot for slot in self.claim(name, gpu, count, **limits).slots]

    def uuid(self, slot: str) -> str:
        return next(item.uuid for item in self.driver.inventory().slots if item.slot == slot)

    def refusal(self, *args: object, **kwargs: object) -> CoreError:
        """The error; nothing may have been written."""
        before = (self.ledger.containers(), self.ledger.live_leases(), self.ledger.history(999))
        with pytest.raises(CoreError) as error:
            self.claim(*args, **kwargs)  # type: ignore[arg-type]
        after = (self.ledger.containers(), self.ledger.live_leases(), self.ledger.history(999))
        assert after == before
        assert error.value.hint
        return error.value

    def close(self) -> None:
        self.driver.close()
        self.ledger.close()
