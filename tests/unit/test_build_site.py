"""Mirrors and certificates for builds: what is written, and what is refused."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from ds01_jupyter.core import build_site
from ds01_jupyter.core.build_site import NO_SITE, site_text
from ds01_jupyter.core.errors import ConfigurationError
from ds01_jupyter.core.settings import Settings

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
SCRIPT = Path(build_site.__file__).parent / "build_scripts/mirrors.py"


def test_without_settings_there_is_nothing_to_tell() -> None:
    assert site_text(Settings()) == NO_SITE


@pytest.mark.parametrize(
    "url",
    ["https://ann:s3cret@mirror.example/simple", "https://s3cret@mirror.example/",
     "https://mirror.example@s3cret/", "http://:s3cret@h/", "https://mirror.example/?token=s3cret",
     "https://mirror.example/#s3cret", "file:///s3cret", "s3cret", "https://h/ s3cret",
     "https://h/\ns3cret", "https://[s3cret/"],
)  # fmt: skip
@pytest.mark.parametrize("setting", ["package_indexes", "apt_mirror"])
def test_no_credentials_get_into_builds_nor_into_the_refusal(setting: str, url: str) -> None:
    value: Any = (url,) if setting == "package_indexes" else url
    with pytest.raises(ConfigurationError) as caught:
        site_text(Settings(**{setting: value}))
    if "example@" not in url:
        assert "s3cret" not in json.dumps(caught.value.document())


def test_what_is_no_certificate_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    with pytest.raises(ConfigurationError, match="cannot be read"):
        site_text(Settings(ca_bundle=str(path)))
    path.write_text("hello")
    with pytest.raises(ConfigurationError, match="no certificates"):
        site_text(Settings(ca_bundle=str(path)))
    path.write_text(CERTIFICATE + "-----BEGIN PRIVATE KEY-----\nS\n")
    with pytest.raises(ConfigurationError, match="private key"):
        site_text(Settings(ca_bundle=str(path)))
    path.write_text(CERTIFICATE)
    assert json.loads(site_text(Settings(ca_bundle=str(path)))) == {"ca": CERTIFICATE}


def mirrors(folder: Path, **site: object) -> dict[str, Any]:
    """The script as it is in a build, with its file beside it."""
    (folder / "site.json").write_text(json.dumps(site))
    (folder / "mirrors.py").write_text(SCRIPT.read_text())
    return runpy.run_path(str(folder / "mirrors.py"))


def test_uv_and_pip_are_told_the_same_order(tmp_path: Path) -> None:
    script = mirrors(tmp_path, indexes=["http://a:1/simple", "https://b/simple"], ca=CERTIFICATE)
    with script["environment"]() as extra:
        assert extra["UV_INDEX"] == extra["PIP_INDEX_URL"] == "http://a:1/simple"
        assert extra["UV_DEFAULT_INDEX"] == extra["PIP_EXTRA_INDEX_URL"] == "https://b/simple"
        assert extra["PIP_TRUSTED_HOST"] == "a:1"
        bundle = Path(extra["SSL_CERT_FILE"])
        assert extra["PIP_CERT"] == extra["REQUESTS_CA_BUNDLE"] == str(bundle)
        assert bundle.read_text().endswith(CERTIFICATE)
    assert not bundle.exists(), "nothing is left in the image"


@pytest.mark.parametrize("text", ["", "{}"])
def test_an_empty_file_leaves_only_patience(tmp_path: Path, text: str) -> None:
    script = mirrors(tmp_path)
    (tmp_path / "site.json").write_text(text)
    with script["environment"]() as extra, script["apt_options"]() as options:
        assert extra == {"UV_HTTP_RETRIES": "5", "PIP_RETRIES": "8"}
        assert options == ["-o", "Acquire::Retries=3"]


def test_apt_keeps_sources_that_the_mirror_does_not_have(tmp_path: Path) -> None:
    script = mirrors(tmp_path, apt="http://m.example/os/debian")
    etc = tmp_path / "apt"
    (etc / "sources.list.d").mkdir(parents=True)
    (etc / "sources.list").write_text(
        "deb http://deb.debian.org/debian bookworm main\n"
        "deb http://security.debian.org/debian-security bookworm-security main\n"
        "deb https://developer.download.nvidia.com/compute/cuda/repos/debian12 /\n"
    )
    (etc / "sources.list.d/x.sources").write_text("URIs: http://archive.ubuntu.com/ubuntu/\n")
    script["apt_options"].__wrapped__.__globals__["APT"] = str(etc)
    with script["apt_options"]() as options:
        parts = Path(options[-1].partition("=")[2])
        assert (parts / "sources.list").read_text() == (
            "deb http://m.example/os/debian bookworm main\n"
            "deb http://m.example/os/debian-security bookworm-security main\n"
            "deb https://developer.download.nvidia.com/compute/cuda/repos/debian12 /\n"
        )
        assert (parts / "x.sources").read_text() == "URIs: http://m.example/os/ubuntu/\n"
    assert not parts.exists()
