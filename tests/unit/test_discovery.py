"""Which server is found, whose files are believed, and to whom a secret is sent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ds01_jupyter.client_error import ClientError
from ds01_jupyter.discovery import Server, base_url, discover, same_server

ME = os.getpid()
MY_PARENT = os.getppid()


def write(path: Path, document: Any, mode: int = 0o600) -> Path:
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    path.chmod(mode)
    return path


def ticket(folder: Path, pid: int = ME, port: int = 8888, **more: Any) -> Path:
    url = f"http://127.0.0.1:{port}/"
    return write(folder / f"ds01-{pid}.json", {"url": url, "secret": "s3cret", **more})


def jpserver(folder: Path, pid: int = ME, port: int = 8888, token: str = "t0ken") -> Path:
    url = f"http://localhost:{port}/"
    return write(folder / f"jpserver-{pid}.json", {"url": url, "token": token, "pid": pid})


def find(folder: Path, url: str | None = None, **environ: str) -> Server:
    return discover(url, environ=environ, runtime_dir=folder)


@pytest.fixture
def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_our_parents_ticket_comes_first(tmp_path: Path) -> None:
    ticket(tmp_path, port=1111)
    jpserver(tmp_path, port=1111)
    ticket(tmp_path, pid=MY_PARENT, port=2222)
    found = find(tmp_path, JPY_PARENT_PID=str(MY_PARENT))
    assert (found.url, found.authorization) == ("http://127.0.0.1:2222/", "ds01 s3cret")


def test_the_ticket_names_the_certificate(tmp_path: Path) -> None:
    ticket(tmp_path, certificate="/etc/ssl/own.pem")
    assert find(tmp_path, JPY_PARENT_PID=str(ME)).certificate == "/etc/ssl/own.pem"


def test_without_ticket_the_parents_token(tmp_path: Path) -> None:
    jpserver(tmp_path)
    found = find(tmp_path, JPY_PARENT_PID=str(ME))
    assert (found.url, found.authorization) == ("http://localhost:8888/", "token t0ken")


def test_a_server_without_token_and_ticket_is_none(tmp_path: Path) -> None:
    jpserver(tmp_path, token="")
    with pytest.raises(ClientError) as caught:
        find(tmp_path, JPY_PARENT_PID=str(ME))
    assert caught.value.code == "no_server"


def test_hub(tmp_path: Path) -> None:
    hub = {
        "JUPYTERHUB_SERVICE_URL": "http://0.0.0.0:8888/user/ada/",
        "JUPYTERHUB_SERVICE_PREFIX": "/user/ada/",
        "JUPYTERHUB_API_TOKEN": "hubtoken",
    }
    found = find(tmp_path, JPY_PARENT_PID=str(ME), **hub)
    assert found.url == "http://127.0.0.1:8888/user/ada/"
    assert found.authorization == "token hubtoken"
    bare = find(tmp_path, **{**hub, "JUPYTERHUB_SERVICE_URL": "http://127.0.0.1:8888"})
    assert bare.url == "http://127.0.0.1:8888/user/ada/"


def test_the_ticket_is_better_than_the_hub(tmp_path: Path) -> None:
    ticket(tmp_path)
    hub = {"JUPYTERHUB_SERVICE_URL": "http://127.0.0.1:9/u/", "JUPYTERHUB_API_TOKEN": "x"}
    assert find(tmp_path, JPY_PARENT_PID=str(ME), **hub).authorization == "ds01 s3cret"


def test_terminal(tmp_path: Path) -> None:
    ticket(tmp_path, port=7777)
    ticket(tmp_path, pid=MY_PARENT, port=8888)
    found = find(tmp_path, JUPYTER_SERVER_URL="http://localhost:7777/")
    assert (found.url, found.authorization) == ("http://127.0.0.1:7777/", "ds01 s3cret")
    other = find(tmp_path, JUPYTER_SERVER_URL="http://localhost:5/x", JUPYTER_TOKEN="abc")
    assert (other.url, other.authorization) == ("http://localhost:5/x/", "token abc")


def test_the_only_one(tmp_path: Path, dead_pid: int) -> None:
    jpserver(tmp_path, pid=dead_pid, port=1)
    ticket(tmp_path, pid=dead_pid, port=1)
    jpserver(tmp_path, port=2)
    assert find(tmp_path).authorization == "token t0ken"
    ticket(tmp_path, port=2)
    assert find(tmp_path).authorization == "ds01 s3cret"


def test_several(tmp_path: Path) -> None:
    ticket(tmp_path, port=1111)
    ticket(tmp_path, pid=MY_PARENT, port=2222)
    with pytest.raises(ClientError) as caught:
        find(tmp_path)
    assert caught.value.code == "several_servers"
    assert "http://127.0.0.1:1111/" in caught.value.message
    assert "http://127.0.0.1:2222/" in caught.value.message
    assert "--server http" in caught.value.hint
    assert "DS01_SERVER_URL=" in caught.value.hint


def test_none(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="jupyter lab") as caught:
        find(tmp_path / "absent")
    assert caught.value.code == "no_server"


# ---- a server that is named ----------------------------------------------------------------


def test_environment_names_it(tmp_path: Path) -> None:
    file = write(tmp_path / "ticket", {"secret": "own", "url": "ignored"})
    named = {"DS01_SERVER_URL": "https://lab.example:8000/user/a", "DS01_TICKET_FILE": str(file)}
    found = find(tmp_path, **named)
    assert found.url == "https://lab.example:8000/user/a/"
    assert found.authorization == "ds01 own"


def test_the_ticket_file_is_only_for_the_server_beside_it(tmp_path: Path) -> None:
    file = write(tmp_path / "ticket", {"secret": "own"})
    named = {"DS01_SERVER_URL": "https://lab.example/", "DS01_TICKET_FILE": str(file)}
    assert find(tmp_path, "https://elsewhere.example/", **named).authorization == ""


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_readable_ticket_file_is_refused(tmp_path: Path, mode: int) -> None:
    file = write(tmp_path / "ticket", {"secret": "own"}, mode)
    with pytest.raises(ClientError, match="others can read it"):
        find(tmp_path, DS01_SERVER_URL="http://localhost/", DS01_TICKET_FILE=str(file))


def test_a_named_server_gets_its_own_secret_only(tmp_path: Path) -> None:
    ticket(tmp_path, port=1111)
    jpserver(tmp_path, pid=MY_PARENT, port=2222)
    hub = {"JUPYTERHUB_SERVICE_URL": "http://127.0.0.1:3333/", "JUPYTERHUB_API_TOKEN": "hub"}
    assert find(tmp_path, "http://localhost:1111").authorization == "ds01 s3cret"
    assert find(tmp_path, "http://127.0.0.1:2222/").authorization == "token t0ken"
    assert find(tmp_path, "http://127.0.0.1:3333/", **hub).authorization == "token hub"
    for other in ("http://127.0.0.1:4444/", "http://127.0.0.1:1111/x/", "https://127.0.0.1:1111/"):
        assert find(tmp_path, other, **hub).authorization == ""


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:8888/lab?token=abc", "http://127.0.0.1:8888/"),
        ("http://127.0.0.1:8888/?token=abc", "http://127.0.0.1:8888/"),
        ("https://h/user/ada/lab?token=abc", "https://h/user/ada/"),
        ("http://127.0.0.1:8888/tree?token=abc", "http://127.0.0.1:8888/"),
    ],
)
def test_a_pasted_address(tmp_path: Path, text: str, url: str) -> None:
    found = find(tmp_path, text)
    assert (found.url, found.authorization) == (url, "token abc")


@pytest.mark.parametrize("text", ["ftp://x/", "localhost:8888", "file:///etc/passwd", "http://"])
def test_no_address(tmp_path: Path, text: str) -> None:
    with pytest.raises(ClientError) as caught:
        find(tmp_path, text)
    assert caught.value.code == "invalid_input"


# ---- whose files are believed --------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_files_that_others_reach_are_ignored(tmp_path: Path, mode: int) -> None:
    ticket(tmp_path).chmod(mode)
    with pytest.raises(ClientError) as caught:
        find(tmp_path, JPY_PARENT_PID=str(ME))
    assert "others can read it" in caught.value.message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_files_of_others_are_ignored(tmp_path: Path) -> None:
    os.chown(ticket(tmp_path), 65534, 65534)
    with pytest.raises(ClientError, match="belongs to another account"):
        find(tmp_path)


def test_links_and_pipes_are_ignored(tmp_path: Path) -> None:
    file = ticket(tmp_path, pid=MY_PARENT)
    (tmp_path / f"ds01-{ME}.json").symlink_to(file)
    assert find(tmp_path).source == f"ticket of {MY_PARENT}"
    file.unlink()
    (tmp_path / f"ds01-{ME}.json").unlink()
    os.mkfifo(tmp_path / f"ds01-{ME}.json", 0o600)
    with pytest.raises(ClientError, match="not a plain file"):
        find(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"url": 5, "secret": "x"}', "{}"])
def test_broken_files_are_ignored(tmp_path: Path, text: str) -> None:
    write(tmp_path / f"ds01-{ME}.json", text)
    jpserver(tmp_path)
    assert find(tmp_path, JPY_PARENT_PID=str(ME)).authorization == "token t0ken"


@pytest.mark.parametrize("pid", ["", "x", "-1", "0", "٣", "1e3", "99999999999999999999"])
def test_odd_parents(tmp_path: Path, pid: str) -> None:
    with pytest.raises(ClientError) as caught:
        find(tmp_path, JPY_PARENT_PID=pid)
    assert caught.value.code == "no_server"


def test_the_secret_does_not_show(tmp_path: Path) -> None:
    ticket(tmp_path)
    assert "s3cret" not in repr(find(tmp_path))


def test_urls() -> None:
    assert base_url("http://h:1/a?x=1#y") == "http://h:1/a/"
    assert same_server("http://localhost:80/", "http://127.0.0.1")
    assert same_server("https://h/a", "https://H:443/a/")
    assert not same_server("https://h/a", "https://h/b")
