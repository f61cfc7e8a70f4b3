"""The client's requests, and the refusals that it makes of whatever comes back."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from ds01_jupyter.client import Client, ClientError
from ds01_jupyter.core import models
from ds01_jupyter.discovery import Server
from tests.unit import lab_standin as lab
from tests.unit.lab_standin import Answer, Standin


@pytest.fixture
def standin() -> Iterator[Standin]:
    with lab.running(Standin("/hub/user/ada/")) as server:
        yield server


@pytest.fixture
def client(standin: Standin) -> Iterator[Client]:
    with Client(standin.server(), timeout=5) as made:
        yield made


def refused(client: Client) -> ClientError:
    with pytest.raises(ClientError) as caught:
        client.about()
    return caught.value


def test_base_url_and_secret(standin: Standin, client: Client) -> None:
    standin.replies["GET about"] = Answer(body=lab.about())
    assert client.about().user == "ada"
    (request,) = standin.requests
    assert request.headers["Authorization"] == "token secret"
    assert request.headers["User-Agent"].startswith("ds01-jupyter/")


def test_no_secret_no_header(standin: Standin) -> None:
    standin.replies["GET about"] = Answer(body=lab.about())
    with Client(Server(standin.url(), "", "a test")) as client:
        client.about()
    assert "Authorization" not in standin.requests[0].headers


def test_proxies_of_the_environment_are_not_used(
    standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    standin.replies["GET about"] = Answer(body=lab.about())
    with Client(standin.server()) as client:
        assert client.about().host == "gpu1"


def test_b35_every_method_has_its_route(standin: Standin, client: Client) -> None:
    image, container, running = lab.image(), lab.container(), lab.operation()
    preview = {
        "path": "/h/d",
        "dockerfile": "FROM x",
        "files": {},
        "base_image": "x",
        "state": "new",
    }
    tier = {"key": "base", "title": "Base", "why": "w", "packages": []}
    rows = {
        "rows": [],
        "frameworks": [],
        "architecture": None,
        "architecture_from": None,
        "architectures": [],
        "problems": [],
        "source": "s",
    }
    standin.replies = {
        "GET catalogue?architecture=CUDA_ADA": Answer(body=rows),
        "GET packages": Answer(body={"base": tier, "use_cases": []}),
        "GET limits": Answer(body=lab.limits()),
        "GET gpus": Answer(body=lab.gpus(lab.slot("0:0"))),
        "GET images": Answer(body=[image]),
        "GET images/demo": Answer(body=image),
        "POST images": Answer(202, running),
        "DELETE images/demo": Answer(204),
        "GET images/demo/dockerfile": Answer(body=preview),
        "POST dockerfile": Answer(body=preview),
        "GET containers": Answer(body=[container]),
        "GET containers?all=true": Answer(body=[container]),
        "GET containers/demo": Answer(body=container),
        "POST containers": Answer(202, running),
        "POST containers/demo/start": Answer(body=container),
        "POST containers/demo/stop": Answer(body=container),
        "DELETE containers/demo": Answer(204),
        "GET containers/demo/logs?tail=5": Answer(body={"text": "hello"}),
        "GET operations": Answer(body=[running]),
        "GET operations/op1": Answer(body=running),
        "DELETE operations/op1": Answer(202, running),
    }
    image_request = models.ImageRequest(name="demo", framework="Pytorch")
    container_request = models.ContainerRequest(name="demo", image="demo")
    assert client.catalogue("CUDA_ADA").source == "s"
    assert client.packages().base.key == "base"
    assert client.limits().limits.max_containers == 3
    assert client.gpus().gpus[0].slots[0].slot == "0:0"
    assert client.images()[0].name == "demo"
    assert client.image("demo").size == 5 * 2**30
    assert client.create_image(image_request).id == "op1"
    client.remove_image("demo")
    assert client.image_dockerfile("demo").dockerfile == "FROM x"
    assert client.preview_dockerfile(image_request).state == "new"
    assert client.containers()[0].gpus[0].profile == "1g.5gb"
    assert client.containers(all=True)[0].owner == "ada"
    assert client.container("demo").state == "running"
    assert client.create_container(container_request).state == "running"
    assert client.start_container("demo").name == "demo"
    assert client.stop_container("demo").name == "demo"
    client.remove_container("demo")
    assert client.container_logs("demo", tail=5).text == "hello"
    assert client.operations()[0].id == "op1"
    assert client.operation("op1").id == "op1"
    assert client.cancel_operation("op1").id == "op1"
    assert standin.asked() == list(standin.replies)
    sent = {request.path: request.body for request in standin.requests if request.body}
    assert sent["images"]["framework"] == "Pytorch"
    assert sent["containers"]["gpu"] == "any"


@pytest.mark.parametrize(
    ("name", "path"),
    [("a/b", "a%2Fb"), ("../../x", "..%2F..%2Fx"), ("a?b#c", "a%3Fb%23c"), ("é", "%C3%A9")],
)
def test_a_name_stays_in_its_place(standin: Standin, client: Client, name: str, path: str) -> None:
    with pytest.raises(ClientError):
        client.container(name)
    assert standin.asked() == [f"GET containers/{path}"]


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_no_path_can_hold(standin: Standin, client: Client, name: str) -> None:
    with pytest.raises(ClientError, match="not a name"):
        client.remove_container(name)
    assert standin.asked() == []


# ---- refusals ------------------------------------------------------------------------------


def test_a_refusal_of_the_lab(standin: Standin, client: Client) -> None:
    body = {
        "code": "limit_reached",
        "message": "You have 2 of 2 containers.",
        "hint": "Remove one.",
        "details": {"limit": 2, "in_use": 2},
        "reason": None,
    }
    standin.replies["GET about"] = Answer(409, body)
    error = refused(client)
    assert (error.code, error.status) == ("limit_reached", 409)
    assert str(error) == "You have 2 of 2 containers. Remove one."
    assert error.details == {"limit": 2, "in_use": 2}


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (Answer(404, {"message": "Not Found"}), "extension_missing", "server extension enable"),
        (Answer(403, {"message": "Forbidden"}), "not_allowed", "did not accept our token"),
        (Answer(302, headers={"Location": "/login"}), "not_allowed", "did not accept our token"),
        (Answer(500, {"message": "Unhandled error"}), "server_error", "500: Unhandled error"),
        (Answer(502, raw=b"<html>bad gateway</html>"), "server_error", "502"),
        (Answer(500, raw=b"[]"), "server_error", "500"),
        (Answer(400, {"code": "x"}), "server_error", "400"),
        (Answer(200, raw=b"<html>a login page</html>"), "bad_answer", "not JSON"),
        (Answer(200, {"user": "ada"}), "bad_answer", "About.version"),
        (Answer(200, lab.about(new_key=1)), "bad_answer", "another version"),
    ],
)
def test_answers_that_the_lab_did_not_write(
    standin: Standin, client: Client, answer: Answer, code: str, said: str
) -> None:
    standin.replies["GET about"] = answer
    error = refused(client)
    assert error.code == code
    assert said in str(error)
    assert "secret" not in str(error)


def test_a_list_that_is_none(standin: Standin, client: Client) -> None:
    standin.replies["GET images"] = Answer(body={"images": []})
    with pytest.raises(ClientError, match="a list was expected"):
        client.images()


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        with Client(Server(url, "token secret", "a test")) as client:
            error = refused(client)
    assert error.code == "server_unreachable"
    assert url in error.message
    assert "jupyter lab" in error.hint


def test_nobody_answers() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with Client(Server(url, "", "a test"), timeout=0.2) as client:
            error = refused(client)
    assert error.code == "server_unreachable"
    assert "did not answer in time" in error.message


def test_what_ipython_shows() -> None:
    error = ClientError("No \x1b[31mslot\x07.", hint="Wait.", code="no_free_slot")
    assert error._render_traceback_() == ["No [31mslot.", "Wait."]
