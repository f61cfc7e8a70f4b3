"""The client against real servers: token, password, https, a base URL; and from a real kernel."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jupyter_client import BlockingKernelClient
from jupyter_server.auth.security import passwd

from ds01_jupyter.client import Client, ClientError
from ds01_jupyter.core.identity import process_owner
from ds01_jupyter.discovery import discover
from tests.server.jupyter_process import JupyterProcess, started

NO_ENGINE = "unix:///nonexistent/docker.sock"
PASSWORD = {"PasswordIdentityProvider": {"hashed_password": passwd("geheim", "sha1")}}


@pytest.fixture
def config(tmp_path: Path, gpu_machine: Any) -> dict[str, Any]:
    return {"DS01App": {"docker_host": NO_ENGINE, "ledger": str(tmp_path / "ledger.sqlite")}}


def client_of(server: JupyterProcess, **more: str) -> Client:
    environment = {"JPY_PARENT_PID": str(server.pid), **more}
    return Client(discover(environ=environment, runtime_dir=server.runtime))


def test_a_token_and_a_base_url(tmp_path: Path, config: dict[str, Any]) -> None:
    with started(tmp_path, {"ServerApp": {"base_url": "/user/ada/"}, **config}) as server:
        assert server.url.endswith("/user/ada/")
        with client_of(server) as client:
            assert client.server.authorization.startswith("ds01 ")
            assert client.about().user == process_owner().name
        # Without the extension's ticket, Jupyter's own token serves.
        (server.runtime / f"ds01-{server.pid}.json").unlink()
        with client_of(server) as client:
            assert client.server.authorization.startswith("token ")
            assert client.about().docker.available is False
            assert len(client.gpus().gpus) == 4
            with pytest.raises(ClientError) as caught:
                client.images()
            assert caught.value.code == "docker_unavailable"
            assert caught.value.hint
        done = server.ds01("gpus")
        assert (done.returncode, done.stderr) == (0, "")
        assert "Free now:" in done.stdout
    assert not list(server.runtime.glob("*.json"))


def test_a_password(tmp_path: Path, config: dict[str, Any]) -> None:
    with started(tmp_path, {"IdentityProvider": {"token": ""}, **PASSWORD, **config}) as server:
        with client_of(server) as client:
            assert client.about().uid == process_owner().uid
        (server.runtime / f"ds01-{server.pid}.json").unlink()
        with pytest.raises(ClientError) as caught:
            client_of(server)
        assert caught.value.code == "no_server"
        done = server.ds01("--server", server.url, "status")
        assert done.returncode == 1
        assert "You are not logged in to this Jupyter server" in done.stderr


def test_https(tmp_path: Path, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DS01_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    certificate, key = tmp_path / "own.pem", tmp_path / "own.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    command += ["-keyout", str(key), "-out", str(certificate), "-subj", "/CN=gpu1.lab"]
    subprocess.run(command, check=True, capture_output=True)
    secure = {"certfile": str(certificate), "keyfile": str(key)}
    with started(tmp_path, {"ServerApp": secure, **config}) as server:
        assert server.url.startswith("https://")
        with client_of(server) as client:
            assert client.about().user == process_owner().name
        (server.runtime / f"ds01-{server.pid}.json").unlink()
        with client_of(server) as client, pytest.raises(ClientError) as caught:
            client.about()
        assert caught.value.code == "certificate_not_trusted"


def test_a_server_without_the_extension(tmp_path: Path, config: dict[str, Any]) -> None:
    with started(tmp_path, config) as server:
        known = json.loads((server.runtime / f"jpserver-{server.pid}.json").read_text())
        base = known["url"]
        elsewhere = f"{base}api/?token={known['token']}"
        with (
            Client(discover(elsewhere, environ={})) as client,
            pytest.raises(ClientError) as caught,
        ):
            client.about()
        assert caught.value.code == "extension_missing"


# ---- from a kernel -------------------------------------------------------------------------


class Kernel:
    """A kernel that the server started, spoken to as a front end does."""

    def __init__(self, server: JupyterProcess) -> None:
        known = json.loads((server.runtime / f"jpserver-{server.pid}.json").read_text())
        self._http = httpx.Client(
            base_url=known["url"], headers={"Authorization": f"token {known['token']}"}
        )
        answer = self._http.post("api/kernels", json={"name": "python3"}, timeout=60)
        self.id = answer.json()["id"]
        self.client = BlockingKernelClient(
            connection_file=str(server.runtime / f"kernel-{self.id}.json")
        )
        self.client.load_connection_file()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def run(self, code: str) -> list[dict[str, Any]]:
        """The output messages of a cell."""
        seen: list[dict[str, Any]] = []
        self.client.execute_interactive(code, output_hook=seen.append, timeout=120)
        kept = ("stream", "error", "display_data", "update_display_data", "execute_result")
        return [message for message in seen if message["msg_type"] in kept]

    def text(self, code: str) -> str:
        """The plain text of a cell's only output."""
        (message,) = self.run(code)
        content = message["content"]
        assert message["msg_type"] in ("execute_result", "stream"), content
        return str(content["text"] if "text" in content else content["data"]["text/plain"])

    def close(self) -> None:
        self.client.stop_channels()
        self._http.delete(f"api/kernels/{self.id}", timeout=60)
        self._http.close()


@pytest.fixture
def kernel(tmp_path: Path, config: dict[str, Any]) -> Iterator[Kernel]:
    with started(tmp_path, {"ServerApp": {"base_url": "/lab/"}, **config}) as server:
        made = Kernel(server)
        try:
            yield made
        finally:
            made.close()


def test_a_kernel_finds_its_server(kernel: Kernel) -> None:
    assert kernel.run("%load_ext ds01_jupyter") == []
    assert f"you are        {process_owner().name}" in kernel.text("%ds01 status")
    assert "GPU 0" in kernel.text("%ds01 gpus")
    shown = kernel.run("%ds01 catalogue")[0]["content"]["data"]
    assert sorted(shown) == ["text/html", "text/plain"]
    code = "x = %ds01 gpus\nprint(type(x.data).__name__, len(x.data.gpus))"
    assert kernel.text(code) == "GpuSnapshot 4\n"
    (error,) = kernel.run("%ds01 image list")
    assert error["msg_type"] == "error"
    lines = "\n".join(error["content"]["traceback"])
    assert "Traceback" not in lines
    assert "Docker" in lines
    completed = kernel.client.complete("%ds01 create --gpu 2:", reply=True, timeout=30)
    assert completed["content"]["matches"] == ["2:0", "2:1", "2:2", "2:3"]
