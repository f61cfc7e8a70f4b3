"""The GPU map and the choice of a slot."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest

from ds01_jupyter import widgets
from ds01_jupyter.core import models
from ds01_jupyter.widgets import gpu_choice, gpu_map_view
from ds01_jupyter.widgets.gpu_drawing import snapshot_html
from tests.unit.widgets_source import ScriptedSource, gpu, lease, refusal, slot, snapshot

MACHINE = snapshot(
    gpu(0, slot("0", "whole", "leased", lease=lease("bob", "train"))),
    gpu(
        1,
        slot("1:0", "3g.20gb", "leased", lease=lease("alice", "mine")),
        slot("1:1", "2g.10gb", "leased", lease=lease("bob", "off", "held")),
        slot("1:2", "1g.5gb", "foreign", used_by="old"),
    ),
    gpu(2, slot("2", "whole", "unusable"), problem="Lost.", temperature=None, power=None),
    gpu(3, slot("3", "whole")),
)


def test_each_slot_says_its_state_in_words() -> None:
    html = snapshot_html(MACHINE, "alice")
    shown = dict(re.findall(r"data-slot='([^']+)'.*?ds01-slot-who'>([^<]*)<", html))
    assert shown == {
        "0": "bob",
        "1:0": "yours",
        "1:1": "bob, stopped",
        "1:2": "not ours",
        "2": "unusable",
        "3": "free",
    }
    assert "1 of 6 slots free" in html
    assert "1 yours" in html
    assert "Lost." in html


def test_slots_are_as_wide_as_their_share() -> None:
    html = snapshot_html(MACHINE, "alice")
    found = re.findall(r"flex-grow:(\d+)'[^>]*data-slot='(1:.)'", html)
    assert {name: int(weight) for weight, name in found} == {"1:0": 3, "1:1": 2, "1:2": 1}
    assert re.findall(r"ds01-slot-none' role='listitem' style='flex-grow:(\d+)'", html) == ["1"]


def test_what_the_driver_does_not_tell_is_not_available() -> None:
    lost = snapshot(gpu(0, slot("0", "whole"), memory_used=None, temperature=None, power=None))
    html = snapshot_html(lost, "alice")
    assert html.count("n/a") >= 3
    assert "role='meter'" not in html
    zero = snapshot(gpu(0, slot("0", "whole"), memory_used=0, temperature=0, power=0.0))
    assert "0 °C" in snapshot_html(zero, "alice")
    assert "aria-valuenow='0'" in snapshot_html(zero, "alice")


def test_names_of_others_are_escaped() -> None:
    evil = "<img src=x>"
    machine = snapshot(
        gpu(0, slot("0", "whole", "leased", lease=lease(evil, evil)), name=evil, problem=evil),
        gpu(1, slot("1", "whole", "foreign", used_by=evil)),
        host=evil,
        problem=evil,
    )
    html = snapshot_html(machine, "alice")
    assert "<img" not in html
    assert html.count("&lt;img") >= 6


def test_a_machine_without_gpus_says_why() -> None:
    assert "No driver." in snapshot_html(snapshot(problem="No driver.", driver=None), "alice")


def test_the_map_looks_again() -> None:
    source = ScriptedSource()
    shown = widgets.gpu_map(source)
    shown.drain()
    assert "GPU 0" in shown.map.value
    source.machine = snapshot(gpu(7, slot("7", "whole")))
    shown.refresh.click()
    shown.drain()
    assert "GPU 7" in shown.map.value
    source.refuse["gpus"] = refusal("The driver is gone.", "driver_unavailable")
    shown.refresh.click()
    shown.drain()
    assert "The driver is gone." in shown.problem.value
    assert "GPU 7" in shown.map.value, "what was last seen stays"
    assert source.requests("about") == [None], "who one is does not change"
    shown.close()


def test_the_map_follows_until_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_map_view, "INTERVAL", 0.01)
    source = ScriptedSource()
    shown = widgets.gpu_map(source)
    shown.drain()
    seen = threading.Event()
    shown.map.observe(lambda _: seen.set(), "value")
    source.machine = snapshot(gpu(9, slot("9", "whole")))
    shown.auto.value = True
    assert seen.wait(30)
    followers = [each for each in threading.enumerate() if each.name == "ds01-gpu-map"]
    assert len(followers) == 1
    shown.close()
    followers[0].join(30)
    assert not followers[0].is_alive()


# ---- the choice


def test_offers_are_counted_by_kind_smallest_first() -> None:
    machine = snapshot(
        gpu(0, slot("0", "whole", "foreign", used_by="x", memory_total=40 * 2**30)),
        gpu(
            1,
            slot("1:0", "3g.20gb", memory_total=20 * 2**30),
            slot("1:1"),
            slot("1:2", state="leased", lease=lease("bob", "b")),
        ),
        gpu(2, slot("2", "whole", "unusable")),
    )
    assert gpu_choice.options(machine) == [
        ("Smallest free slot (recommended) · MIG 1g.5gb · 5 GiB now", "any"),
        ("MIG 1g.5gb · 5 GiB · 1 of 2 free", "1g.5gb"),
        ("MIG 3g.20gb · 20 GiB · 1 of 1 free", "3g.20gb"),
        ("A whole GPU · 40 GiB · none free now", "whole"),
        ("At least 21 GB, in whatever slot · 1 of 2 free", ">=21GB"),
        ("No GPU: CPU only", "none"),
    ]


NOTE = "time-sliced with up to 1 other, no isolation of memory or faults"


def share(name: str, state: str = "free", **values: Any) -> models.Slot:
    """One of two shares of a GPU."""
    told = {"kind": "share", "shared_by": 2, "note": NOTE, "memory_total": None}
    return slot(name, "shared", state, **{**told, "memory_used": None, **values})


SHARED = snapshot(
    gpu(0, share("0/1", "leased", lease=lease("bob", "train"), memory_used=2**30), share("0/2")),
    gpu(1, slot("1", "whole", memory_total=40 * 2**30)),
)


def test_a_shared_gpu_says_so_wherever_it_is_drawn() -> None:
    html = snapshot_html(SHARED, "alice")
    assert html.count(f"The shares of GPU 0 are {NOTE}.") == 1
    assert re.findall(r"title='(0/.[^']*)'", html) == [
        f"0/1 · shared · bob · train · 1 GiB · {NOTE}",
        f"0/2 · shared · free · {NOTE}",
    ]
    widths = re.findall(r"flex-grow:(\d+)'[^>]*data-slot='0/.'", html)
    assert len(set(widths)) == 1
    assert "no instance" not in html
    assert "time-sliced" not in snapshot_html(MACHINE, "alice")


def test_a_share_is_offered_for_what_it_is() -> None:
    title = f"A share of a GPU ({NOTE})"
    assert gpu_choice.options(SHARED) == [
        (f"Smallest free slot (recommended) · {title} now", "any"),
        (f"{title} · 1 of 2 free", "shared"),
        ("A whole GPU · 40 GiB · 1 of 1 free", "whole"),
        ("No GPU: CPU only", "none"),
    ]


def test_memory_that_nothing_free_has_is_known_as_such() -> None:
    machine = snapshot(
        gpu(0, slot("0", "whole", "leased", memory_total=40 * 2**30, lease=lease("bob", "b"))),
        gpu(
            1,
            slot("1:0", "3g.20gb", "leased", memory_total=20 * 10**9, lease=lease("bob", "c")),
            slot("1:1"),
        ),
    )
    assert gpu_choice.none_free(machine) == {"whole", "3g.20gb", ">=20GB"}
    assert (">=20GB") in [value for _, value in gpu_choice.options(machine)]


def test_without_a_slot_there_is_only_the_cpu() -> None:
    assert gpu_choice.options(snapshot()) == [("No GPU: CPU only", "none")]
    full = snapshot(gpu(0, slot("0", "whole", "foreign", used_by="x")))
    assert gpu_choice.options(full)[0] == (
        "Smallest free slot (recommended) · none free now",
        "any",
    )
