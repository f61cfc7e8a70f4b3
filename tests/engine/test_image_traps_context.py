"""Traps of what goes into a build and what can be read off it (docs/images-traps.md)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ds01_jupyter.core import image_draft
from ds01_jupyter.core.build_site import SITE_FILE
from tests.engine.traps import TrapLab, trap_lab
from tests.rig.fixtures import RigEngine

pytestmark = pytest.mark.engine
SECRET = "ds01-s3cret"


@pytest.fixture
def lab(rig_engine: RigEngine, tmp_path: Path, unique_name: str) -> Iterator[TrapLab]:
    with trap_lab(rig_engine, tmp_path, unique_name) as lab:
        yield lab


@pytest.fixture(params=["buildkit", "classic"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both builders, one after the other."""
    if request.param == "classic":
        monkeypatch.setattr(image_draft, "uv_reference", lambda: None)
    return str(request.param)


def test_a_build_gets_no_file_but_those_that_were_written_for_it(lab: TrapLab, either: str) -> None:
    path = lab.edited("COPY . /all")
    (path.parent / ".env").write_text(SECRET)
    (path.parent / f"{lab.name}.context").mkdir(exist_ok=True)
    with (path.parent / "data.bin").open("wb") as large:
        large.truncate(2**30)
    image = lab.create(dockerfile="keep")
    found = lab.run(image.reference, "ls", "-A", "/all").split()
    assert "freeze.py" in found
    assert {".env", "data.bin"}.isdisjoint(found)
    ours = {*lab.images.dockerfile(lab.person, lab.name).files, "Dockerfile", SITE_FILE}
    assert set(found) <= ours


def test_no_secret_of_the_server_is_in_an_image_or_its_history(
    rig_engine: RigEngine,
    tmp_path: Path,
    unique_name: str,
    either: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Build arguments stay in the history whatever is removed later; Docker's own client passes
    the proxies of its configuration as such."""
    index = f"https://me:{SECRET}@index.invalid/simple"
    proxies = {"default": {"httpProxy": f"http://me:{SECRET}@127.0.0.1:9"}}
    (tmp_path / "config.json").write_text(json.dumps({"proxies": proxies}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for name in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "MY_TOKEN"):
        monkeypatch.setenv(name, index)
    with trap_lab(rig_engine, tmp_path, unique_name) as lab:
        arguments = ["PIP_INDEX_URL", "UV_DEFAULT_INDEX", "MY_TOKEN", "HTTP_PROXY", "http_proxy"]
        lines = [f"ARG {name}" for name in arguments]
        lab.edited(*lines, 'RUN ["sh", "-c", "env > /env"]')
        image = lab.create(dockerfile="keep")
        client = rig_engine.client()
        try:
            history = json.dumps(client.api.history(image.reference))
            history += json.dumps(client.api.inspect_image(image.reference))
        finally:
            client.close()
        assert "freeze.py" in history
        assert SECRET not in history
        assert SECRET not in lab.run(image.reference, "cat", "/env")


def test_apt_removes_nothing_and_installs_nothing_that_is_only_recommended(
    lab: TrapLab, either: str
) -> None:
    image = lab.create(apt=["zip"])
    look = "zip --version > /dev/null && echo zip; command -v unzip || echo no unzip"
    assert lab.run(image.reference, "sh", "-c", look) == "zip\nno unzip\n"
    # The name is refused long before; here it stands in the list all the same.
    script = "echo git- > /list; python3 -B /opt/ds01/apt.py /list; echo code $?; git --version"
    said = lab.run(image.reference, "sh", "-c", script)
    assert "code 0" not in said
    assert "git version" in said


def test_the_account_and_its_files_belong_to_the_person(lab: TrapLab) -> None:
    """Labels name the owner by number, whatever the account is called."""
    odd = lab.someone("ann aime.mlc.USER=root")
    image = lab.create(odd)
    found = lab.engine.image(image.reference)
    assert found is not None
    assert found.labels[image_draft.UID_LABEL] == str(odd.uid)
    assert "aime.mlc.USER" not in found.labels
