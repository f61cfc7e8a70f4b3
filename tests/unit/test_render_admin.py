"""What admins look at in a terminal, wide and narrow: the check of limits, and MIG plans."""

from __future__ import annotations

from typing import Any

import pytest

from ds01_jupyter.core import mig_documents, models
from ds01_jupyter.render import limits_views, mig_views

LONG = "groups.research-lab.gpu_hold_after_stop"


def finding(line: int | None, key: str, message: str, **more: Any) -> dict[str, Any]:
    return {"file": "f.yaml", "line": line, "key": key, "message": message, **more}


@pytest.mark.parametrize("width", [60, 120])
def test_keys_of_limits_are_not_broken_and_mistakes_stand_apart_from_warnings(width: int) -> None:
    report = models.CheckReport.model_validate(
        {
            "file": "f.yaml",
            "ok": False,
            "mistakes": [finding(3, LONG, "a duration carries its unit.", hint="Such as 48h.")],
            "warnings": [finding(12, LONG, "It is odd."), finding(None, "", "Of no key.")],
            "not_checked": [],
        }
    )
    lines = limits_views.check(report, "/etc/ds01/f.yaml").text(width).splitlines()
    assert max(map(len, lines)) <= width
    assert next(line.strip() for line in lines if LONG in line).startswith(f"3  {LONG}: a duration")
    assert len([line for line in lines if LONG in line]) == 2, "whole, and once each"
    assert lines[0] == "Mistakes"
    assert lines[lines.index("Warnings") - 1] == ""
    assert any(line.strip() == "Of no key." for line in lines)


def instance(profile: str, start: int | None) -> dict[str, Any]:
    text = profile if start is None else f"{profile} at {start}"
    return {"profile": profile, "start": start, "text": text}


def gpu(index: int, **more: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {
        "index": index,
        "uuid": f"GPU-{index}",
        "name": "A100",
        "differences": ["so"],
        "keep": [],
        "finish": [],
        "destroy": [],
        "create": [],
        "in_the_way": [],
        "mode_change": False,
        "problem": None,
        "advice": None,
    }
    return {**empty, **more}


def shown(*gpus: dict[str, Any], width: int = 120) -> list[str]:
    document = mig_documents.MigPlan.model_validate(
        {
            "host": "h",
            "label": "goal",
            "matches": False,
            "possible": False,
            "gpus": gpus,
            "notes": [],
        }
    )
    text = mig_views.plan(document).text(width)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    return lines


@pytest.mark.parametrize("width", [60, 120])
def test_instances_of_one_profile_stand_together(width: int) -> None:
    small = [instance("1g.5gb", start) for start in range(4)]
    lines = shown(gpu(2, keep=small, destroy=[instance("3g.20gb", 4)]), width=width)
    assert lines[0] == "MIG layout goal"
    [row] = [line.split("  ") for line in lines if line.startswith("    2")]
    cells = [cell.strip() for cell in row if cell.strip()]
    assert cells == ["2", "1g.5gb at 0, 1, 2, 3", "3g.20gb at 4", "none"]


def test_without_places_instances_are_counted() -> None:
    assert mig_views.listed(["1g.5gb", "1g.5gb", "3g.20gb"]) == "2 x 1g.5gb; 3g.20gb"
    assert mig_views.listed(["1g.5gb at 6 (unfinished)"]) == "1g.5gb at 6 (unfinished)"
    assert mig_views.listed([]) == "none"


def test_a_gpu_with_a_problem_is_not_shown_as_empty() -> None:
    lines = shown(gpu(2, problem="At most 2.", keep=[instance("3g.20gb", 0)]))
    assert lines == [
        "MIG layout goal",
        "GPU 2: At most 2.",
        "It cannot be applied now; nothing would be touched.",
    ]


@pytest.mark.parametrize("width", [60, 120])
def test_who_is_in_the_way_is_named_in_full(width: int) -> None:
    name = "protein-folding-experiment-with-a-long-name"
    obstacle = {
        "kind": "lease",
        "slot": "2:0",
        "profile": "3g.20gb",
        "container": name,
        "owner": "ben",
        "text": f"2:0 (3g.20gb): the container {name} of ben (running)",
    }
    lines = shown(gpu(2, destroy=[instance("3g.20gb", 0)], in_the_way=[obstacle]), width=width)
    assert [line for line in lines if name in line], "not broken"
    assert " ".join(lines).count(name) == 1, "and said once"
