"""What AIME's mlc commands do to find and use a container, done to ours.

The commands are AIME's filters and rules as docs describe them: v1 looks for the label `aime.mlc`
and an anchored name, v2 for `aime.mlc.USER` and the joined labels.
"""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from tests.engine.conftest import Desk

pytestmark = pytest.mark.engine

BASE = "aimehub/pytorch-2.5.1-aime-cuda12.1.1"


def docker(desk: Desk, *arguments: str) -> str:
    done = subprocess.run(
        ["docker", *arguments],
        env={**os.environ, "DOCKER_HOST": desk.settings.docker_host},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def test_v1_lists_it(desk: Desk) -> None:
    made = desk.create("thesis")
    form = '{{.Names}} {{.Label "aime.mlc.FRAMEWORK"}}'
    listed = docker(
        desk,
        "container",
        "ls",
        "-a",
        f"--filter=label=aime.mlc={desk.person.name}",
        "--format",
        form,
    )
    assert listed == f"{made.full_name} Pytorch-2.5.1"


def test_v2_lists_it_by_splitting_the_joined_labels(desk: Desk) -> None:
    desk.create("thesis")
    line = docker(
        desk, "container", "ls", "-a", f"--filter=label=aime.mlc={desk.person.name}",
        "--format", "{{json .}}",
    )  # fmt: skip
    labels = dict(pair.split("=", 1) for pair in json.loads(line)["Labels"].split(","))
    workspace = str(desk.person.home / "workspace" / "thesis")
    expected = {
        "aime.mlc": desk.person.name,
        "aime.mlc.USER": desk.person.name,
        "aime.mlc.NAME": "thesis",
        "aime.mlc.FRAMEWORK": "Pytorch-2.5.1",
        "aime.mlc.ARCH": "CUDA_ADA",
        "aime.mlc.VERSION": "3",
        "aime.mlc.MLC_VERSION": "4",
        "aime.mlc.WORK_MOUNT": workspace,
        "aime.mlc.DATA_MOUNT": "-",
        "aime.mlc.MODELS_MOUNT": "-",
    }
    assert {key: labels.get(key) for key in expected} == expected


def test_stop_start_open_and_remove_as_they_do_it(desk: Desk) -> None:
    made = desk.create("thesis")
    tag = made.full_name
    anchored = (f"--filter=name=^/{tag}$", "--filter=label=aime.mlc", "--format", "{{.Names}}")
    assert docker(desk, "container", "ps", *anchored) == tag
    # mlc-open leaves a container alone only while more than one process is in it.
    assert len(docker(desk, "top", tag, "-o", "pid").splitlines()) == 2
    account = docker(desk, "exec", "--user", f"{desk.person.uid}:{desk.person.gid}", tag, "whoami")
    assert account == desk.person.name
    assert docker(desk, "container", "stop", tag) == tag
    assert desk.leased() == {made.gpus[0].slot: "held"}
    assert docker(desk, "start", tag) == tag
    assert desk.leased() == {made.gpus[0].slot: "active"}
    docker(desk, "container", "stop", tag)
    image = docker(
        desk, "container", "ps", "-a", f"--filter=name=^/{tag}$", "--format", "{{.Image}}"
    )
    assert image.endswith(f":{tag}")
    docker(desk, "container", "rm", tag)
    docker(desk, "image", "rm", image)
    assert desk.leased() == {}
    assert docker(desk, "image", "inspect", BASE)


def test_the_image_has_an_id_of_its_own(desk: Desk) -> None:
    made = desk.create("thesis", gpu="none")
    own = desk.inspect(made)["Image"]
    base = json.loads(docker(desk, "image", "inspect", made.image))[0]["Id"]
    assert own != base


def test_b33_one_that_aime_made_is_shown_as_not_ours(desk: Desk) -> None:
    name, user = f"old._.{desk.person.uid}", desk.person.name
    docker(desk, "create", f"--name={name}", f"--label=aime.mlc={user}",
           f"--label=aime.mlc.USER={user}", "--label=aime.mlc.NAME=old",
           "--label=aime.mlc.FRAMEWORK=Pytorch-2.5.1",
           "--label=aime.mlc.WORK_MOUNT=/home/x", BASE, "bash")  # fmt: skip
    [shown] = [one for one in desk.lab.containers(desk.person) if one.full_name == name]
    assert (shown.managed, shown.made_by, shown.owner) == (False, "aime", user)
    assert (shown.name, shown.framework, shown.workspace) == ("old", "Pytorch-2.5.1", "/home/x")
    from ds01_jupyter.core.errors import Forbidden

    with pytest.raises(Forbidden, match="not made by ds01"):
        desk.lab.remove_container(desk.person, "old")
