"""An https server is verified, always, and a refusal says how to make it trusted."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ds01_jupyter.client import Client, ClientError
from tests.unit import lab_standin as lab
from tests.unit.lab_standin import Answer, Standin


def make_certificate(folder: Path, name: str, address: str) -> tuple[Path, Path]:
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    command += ["-keyout", str(key), "-out", str(certificate), "-subj", f"/CN={name}"]
    command += ["-addext", f"subjectAltName={address}"]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls")
    make_certificate(path, "loopback", "IP:127.0.0.1")
    make_certificate(path, "elsewhere", "DNS:lab.example")
    return path


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DS01_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


def serving(folder: Path, name: str) -> Iterator[Standin]:
    standin = Standin()
    standin.replies["GET about"] = Answer(body=lab.about())
    with lab.running(standin, folder / f"{name}.pem", folder / f"{name}.key") as server:
        yield server


@pytest.fixture
def loopback(folder: Path) -> Iterator[Standin]:
    yield from serving(folder, "loopback")


@pytest.fixture
def elsewhere(folder: Path) -> Iterator[Standin]:
    yield from serving(folder, "elsewhere")


def user(standin: Standin, certificate: str = "") -> str:
    with Client(standin.server(certificate), timeout=5) as client:
        return client.about().user


def refused(standin: Standin, certificate: str = "") -> ClientError:
    with pytest.raises(ClientError) as caught:
        user(standin, certificate)
    assert standin.requests == []
    assert caught.value.code == "certificate_not_trusted"
    return caught.value


def test_an_unknown_certificate_is_refused(loopback: Standin) -> None:
    error = refused(loopback)
    assert "nothing was sent" in error.message
    assert "DS01_CA_BUNDLE" in error.hint


@pytest.mark.parametrize("variable", ["DS01_CA_BUNDLE", "SSL_CERT_FILE"])
def test_an_authority_that_was_named(
    loopback: Standin, folder: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(folder / "loopback.pem"))
    assert user(loopback) == "ada"


def test_a_named_authority_does_not_excuse_a_wrong_name(
    elsewhere: Standin, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DS01_CA_BUNDLE", str(folder / "elsewhere.pem"))
    assert "DS01_SERVER_URL" in refused(elsewhere).hint


def test_the_certificate_of_the_ticket(elsewhere: Standin, folder: Path) -> None:
    assert user(elsewhere, str(folder / "elsewhere.pem")) == "ada"


def test_another_certificate_than_the_tickets(elsewhere: Standin, folder: Path) -> None:
    refused(elsewhere, str(folder / "loopback.pem"))


def test_only_the_first_certificate_of_the_tickets_file_counts(
    elsewhere: Standin, folder: Path
) -> None:
    chain = folder / "chain.pem"
    chain.write_text((folder / "loopback.pem").read_text() + (folder / "elsewhere.pem").read_text())
    refused(elsewhere, str(chain))


def test_files_without_certificates(
    loopback: Standin, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = folder / "empty.pem"
    empty.write_text("")
    assert "cannot be read" in refused(loopback, str(empty)).message
    assert "cannot be read" in refused(loopback, str(folder / "absent.pem")).message
    monkeypatch.setenv("DS01_CA_BUNDLE", str(folder / "absent.pem"))
    assert "absent.pem" in refused(loopback).message
