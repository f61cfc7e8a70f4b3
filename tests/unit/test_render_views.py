"""What the views say, and that they fit 80 and 140 columns without losing a letter."""

from __future__ import annotations

from typing import Any

import pytest

from ds01_jupyter.client_error import ClientError
from ds01_jupyter.core import models
from ds01_jupyter.render import View, image_views, machine_views, views
from ds01_jupyter.render.problem import problem
from tests.unit import lab_standin as lab

LEASE = {"owner": "ada", "container": "demo", "state": "active", "since": lab.NOW}
LONG = "a-container-with-a-name-as-long-as-names-may-be-in-this-lab1"


def snapshot(*slots: dict[str, Any]) -> models.GpuSnapshot:
    return models.GpuSnapshot.model_validate(lab.gpus(*slots))


def containers(*documents: dict[str, Any]) -> list[models.Container]:
    return [models.Container.model_validate(document) for document in documents]


def busy() -> models.GpuSnapshot:
    return snapshot(
        lab.slot("0:0", state="leased", lease=LEASE),
        lab.slot("0:1", state="leased", lease={**LEASE, "owner": "bob", "state": "held"}),
        lab.slot("0:2"),
        lab.slot("0:3", state="foreign", used_by=LONG),
        lab.slot("0:4", state="unusable", memory_used=None),
    )


def operation(**more: Any) -> models.Operation:
    return models.Operation.model_validate(lab.operation(**more))


NOTE = "time-sliced with up to 3 others, no isolation of memory or faults"


def shared(name: str, **more: Any) -> dict[str, Any]:
    """One of four shares of a GPU."""
    kind = {"kind": "share", "profile": "shared", "shared_by": 4, "note": NOTE}
    memory = {"memory_total": None, "memory_used": None}
    return lab.slot(name, uuid=f"GPU-0#{name[-1]}", **{**kind, **memory, **more})


ALL: dict[str, View] = {
    "about": machine_views.about(models.About.model_validate(lab.about())),
    "limits": machine_views.limits(models.LimitsReport.model_validate(lab.limits())),
    "gpus": machine_views.gpus(busy(), "ada"),
    "containers": views.containers(containers(lab.container(LONG)), everybody=True),
    "container": views.container(containers(lab.container(LONG))[0]),
    "images": image_views.images([models.Image.model_validate(lab.image(LONG, containers=[LONG]))]),
    "image": image_views.image(models.Image.model_validate(lab.image(LONG))),
    "operations": views.operations([operation(title=f"Build the image {LONG}")]),
    "problem": problem(ClientError(f"No container {LONG}.", hint="Look.", details={"limit": 2})),
}


@pytest.mark.parametrize("width", [80, 140])
@pytest.mark.parametrize("name", list(ALL))
def test_it_fits_and_loses_nothing(name: str, width: int) -> None:
    text = ALL[name].text(width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    if name not in ("about", "limits"):
        # A long name goes on in the next line of its column.
        letters = "".join(character for character in text if character.isalnum())
        wanted = [character for character in LONG if character.isalnum()]
        assert all(letters.count(one) >= wanted.count(one) for one in set(wanted))


def test_who_has_what() -> None:
    lines = {
        line.split()[0]: line for line in ALL["gpus"].text(120).splitlines() if line[:1] == " "
    }
    assert "you" in lines["0:0"]
    assert "demo" in lines["0:0"]
    assert "bob (held)" in lines["0:1"]
    assert "free" in lines["0:2"]
    assert "outside ds01" in lines["0:3"]
    assert "unusable" in lines["0:4"]
    assert "- of 5 GiB" in lines["0:4"]
    assert "Free now: 1 x 1g.5gb." in ALL["gpus"].text(120)


@pytest.mark.parametrize("width", [60, 80, 140])
def test_who_shares_a_gpu_is_told_what_that_means(width: int) -> None:
    snapshot_ = snapshot(
        shared("0/1", state="leased", lease=LEASE, memory_used=3 * 2**30), shared("0/2")
    )
    text = machine_views.gpus(snapshot_, "ada").text(width)
    lines = {line.split()[0]: line for line in text.splitlines() if line[:1] == " "}
    assert "3 GiB" in lines["0/1"]
    assert "3 GiB of" not in text, "it has no memory of its own"
    assert "free" in lines["0/2"]
    assert f"The shares of GPU 0 are {NOTE}." in " ".join(text.split())
    assert "Free now: 1 x shared." in text


@pytest.mark.parametrize("width", [60, 140])
def test_a_container_with_a_share_is_told_so(width: int) -> None:
    gpus = [{"slot": "0/1", "uuid": "GPU-0#1", "profile": "shared", "note": NOTE}]
    [document] = containers(lab.container(gpus=gpus))
    text = views.container(document).text(width)
    assert f"The slot 0/1 is {NOTE}." in " ".join(text.split())
    [other] = containers(lab.container())
    assert "time-sliced" not in views.container(other).text(width)


def test_nothing_is_free() -> None:
    text = machine_views.gpus(snapshot(lab.slot("0:0", state="leased", lease=LEASE))).text()
    assert "Free now: nothing. `--gpu none`" in text
    assert "ada" in text


def test_machines_without_gpus() -> None:
    none = models.GpuSnapshot.model_validate({**lab.gpus(), "gpus": []})
    assert "no NVIDIA GPU" in machine_views.gpus(none).text()
    lost = none.model_copy(update={"problem": "The NVIDIA driver is not loaded."})
    assert machine_views.gpus(lost).text() == "The NVIDIA driver is not loaded."


@pytest.mark.parametrize(
    ("used", "limit", "text", "tone", "bar"),
    [
        (1, 2, "1 of 2", "good", 0.5),
        (2, 2, "2 of 2", "warn", 1.0),
        (0, 0, "0 of 0", "warn", 1.0),
        (7, None, "7 (unlimited)", "", None),
    ],
)
def test_meters(used: int, limit: int | None, text: str, tone: str, bar: float | None) -> None:
    cell = machine_views.meter(used, limit)
    assert (cell.text, cell.tone, cell.bar) == (text, tone, bar)


def test_limits_keep_unlimited_and_zero_apart() -> None:
    document = lab.limits(most=0)
    document["limits"]["memory"] = None
    text = machine_views.limits(models.LimitsReport.model_validate(document)).text()
    assert "1 of 0" in text
    assert "memory a container  unlimited" in text


def test_b33_containers_say_whose_they_are() -> None:
    shown = views.containers(
        containers(
            lab.container(),
            lab.container("old", made_by="aime", managed=False, gpus=[], state="exited"),
            lab.container("raw", made_by="docker", managed=False, framework=None, owner=None),
        ),
        everybody=True,
    )
    lines = shown.text(140).splitlines()
    assert "0:1 (1g.5gb)" in lines[2]
    assert "AIME's mlc" in lines[3]
    assert "CPU only" in lines[3]
    assert "plain Docker" in lines[4]
    assert "raw-ada:raw._.1000" in lines[4]


def test_empty_lists_say_what_to_do() -> None:
    assert "`%ds01 create` makes one" in views.containers([], prog="%ds01").text()
    assert "`ds01 image create NAME" in image_views.images([]).text()


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"base": "none", "use_cases": []}, "framework only"),
        ({}, "base, cv"),
        ({"base": ["numpy", "pandas"], "use_cases": []}, "base (2)"),
        ({"pip": ["a", "b"], "apt": ["c"]}, "base, cv, +2 pip, +1 apt"),
        ({"base": None, "use_cases": []}, "framework only"),
    ],
)
def test_tiers_of_an_image(more: dict[str, Any], text: str) -> None:
    assert image_views.tiers_of(models.Image.model_validate(lab.image(**more))) == text


@pytest.mark.parametrize("state", ["new", "same", "changed", "edited"])
def test_every_state_of_a_dockerfile_is_explained(state: str) -> None:
    document = {
        "path": "/home/ada/dockerfiles/demo.Dockerfile",
        "dockerfile": "FROM x\n",
        "files": {"tier-base.txt": "numpy\n", "install.py": "print()\n"},
        "base_image": "x",
        "state": state,
    }
    text = image_views.dockerfile(models.DockerfilePreview.model_validate(document)).text()
    assert "\nFROM x\n" in text
    assert "\nnumpy\n" in text
    assert "Beside it: install.py" in text
    assert "print()" not in text
    assert ("--dockerfile keep" in text) == (state == "edited")


def test_operations() -> None:
    failed = operation(state="failed", error={"code": "build_failed", "message": "It broke."})
    half = operation(progress={"phase": "build", "fraction": 0.5})
    many = [half, failed, *(operation() for _ in range(30))]
    text = views.operations(many).text(140)
    assert "████░░░░ build 50 %" in text
    assert "It broke." in text
    assert text.count("op1") == views.MAX_OPERATIONS
    assert "and 12 older ones" in text


def test_a_problem_with_its_figures() -> None:
    details = {"limit": 2, "in_use": 2, "asked": 1, "server": "http://x/", "name": "demo"}
    details["last_lines"] = "one\ntwo\x1b[0m"
    error = ClientError("You have 2 containers, demo too.", hint="Remove one.", details=details)
    lines = problem(error).text().splitlines()
    assert lines[:3] == [
        "You have 2 containers, demo too.",
        "Remove one.",
        "limit: 2 · in use: 2 · asked: 1",
    ]
    assert lines[-3:] == ["last lines", "one", "two"]
    assert problem(error).data["details"]["limit"] == 2


def test_the_catalogue_shows_one_framework_and_bad_rows() -> None:
    row = {"framework": "Pytorch", "version": "2.5.1", "architectures": ["CUDA_ADA"], "image": "x"}
    document = models.Catalogue.model_validate(
        {
            "rows": [{**row, "local": True}, {**row, "framework": "Tensorflow"}],
            "frameworks": ["Pytorch", "Tensorflow"],
            "architecture": "CUDA_ADA",
            "architecture_from": "driver",
            "architectures": ["CUDA_ADA"],
            "problems": [{"file": "/f", "line": 3, "text": "x", "problem": "too few columns"}],
            "source": "/f",
        }
    )
    text = views.catalogue(document, "pytorch").text()
    assert "on this machine" in text
    assert "Tensorflow" not in text
    assert "/f:3: too few columns" in text
    assert "from the NVIDIA driver" in text
