"""The follower of the lab's notices: what it shows, once, and that it is quiet about everything
else. How a kernel has it is in test_notices_kernel.py."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ds01_jupyter import notices
from ds01_jupyter.client_error import ClientError
from ds01_jupyter.notices import EVERY, LONGEST, Follower, notices_after
from tests.unit import lab_standin as lab
from tests.unit.lab_standin import Answer, Standin
from tests.unit.lives import notice
from tests.unit.test_client_tls import make_certificate


def moment(**ahead: float) -> str:
    """That far from the present, which is when the follower begins."""
    return (datetime.now(UTC) + timedelta(**ahead)).isoformat()


def warning(number: int, **more: Any) -> dict[str, Any]:
    """A warning given after the kernel began, of a stop in 40 minutes."""
    return notice(number, **{"time": moment(seconds=1), "at": moment(minutes=40), **more})


def done(number: int, **more: Any) -> dict[str, Any]:
    """What was done after the kernel began."""
    when = moment(seconds=1)
    return notice(number, **{"kind": "done", "time": when, "at": when, **more})


class Lab:
    """Answers one look after the other; the last answer again and again."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[int] = []

    def __call__(self, after: int) -> list[Any]:
        self.asked.append(after)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return list(answer)


def shown(follower: Follower) -> list[int]:
    return [one.id for one in follower.take()]


def test_a_notice_is_shown_once() -> None:
    asked = Lab([warning(1), done(2)], [])
    follower = Follower(asked)
    assert shown(follower) == []
    follower.step()
    assert shown(follower) == [1, 2]
    assert shown(follower) == []
    follower.step()
    assert asked.asked == [0, 2]
    assert shown(follower) == []


def test_what_is_older_than_the_kernel_is_told_only_while_it_is_to_come() -> None:
    old = {"time": moment(hours=-3)}
    follower = Follower(
        Lab(
            [
                done(1, **old),
                warning(2, **old, at=moment(minutes=-5)),
                warning(3, **old),
                {**warning(4, **old), "kind": "reservation"},
            ]
        )
    )
    follower.step()
    assert shown(follower) == [3]


def test_a_warning_that_nobody_was_there_to_see_in_time_is_dropped() -> None:
    follower = Follower(Lab([warning(1), done(2)]))
    follower.step()
    later = datetime.now(UTC) + timedelta(hours=1)
    assert [one.id for one in follower.take(later)] == [2]


def test_of_several_warnings_of_one_thing_the_last_counts() -> None:
    other = warning(2, container="other")
    follower = Follower(Lab([warning(1), other, warning(3), done(4), done(5)]))
    follower.step()
    assert shown(follower) == [2, 3, 4, 5]


def test_a_lab_whose_numbers_begin_anew() -> None:
    again = done(7)
    away = ClientError("No running Jupyter server was found.")
    asked = Lab([again], away, [again, done(1, message="New.")])
    follower = Follower(asked)
    told = []
    for _ in range(3):
        follower.step()
        told.append(shown(follower))
    assert asked.asked == [0, 7, 0]
    assert told == [[7], [], [1]], "7 is not told again"


@pytest.mark.parametrize(
    "trouble",
    [
        ClientError("No running Jupyter server was found.", code="no_server"),
        ConnectionRefusedError("no"),
        TimeoutError("slow"),
        ValueError("not JSON"),
        [{"id": 1}],
        ["text"],
    ],
    ids=["none", "refused", "slow", "garbled", "no notice", "no document"],
)
def test_it_backs_off_without_a_word(
    trouble: Any, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    follower = Follower(Lab(trouble))
    pauses = [follower.step() for _ in range(8)]
    assert pauses[0] >= 1.5 * EVERY
    assert LONGEST * 0.75 <= pauses[-1] <= LONGEST * 1.25
    assert shown(follower) == []
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.levelname != "DEBUG"] == []


def test_a_notice_of_a_later_version_does_not_hide_the_others() -> None:
    follower = Follower(Lab([{**done(1), "kind": "of a later version"}, done(2)]))
    assert follower.step() <= 1.25 * EVERY
    assert shown(follower) == [2]


def test_it_comes_back_to_its_pace() -> None:
    follower = Follower(Lab(TimeoutError(), TimeoutError(), []))
    pauses = [follower.step() for _ in range(3)]
    assert pauses[1] > 2.5 * EVERY
    assert 0.75 * EVERY <= pauses[2] <= 1.25 * EVERY


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(None, True), ("", True), ("on", True), ("off", False), ("0", False), (" No ", False)],
)
def test_it_can_be_turned_off(
    monkeypatch: pytest.MonkeyPatch, value: str | None, wanted: bool
) -> None:
    monkeypatch.delenv(notices.VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(notices.VARIABLE, value)
    assert notices.wanted() is wanted


# ---- asking


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Standin]:
    for name in ("JPY_PARENT_PID", "JUPYTERHUB_SERVICE_URL", "JUPYTER_SERVER_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    with lab.running(Standin("/base/")) as server:
        monkeypatch.setenv("DS01_SERVER_URL", f"{server.url()}?token=abc")
        yield server


def test_it_asks_as_the_client_does(standin: Standin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9/")
    standin.replies["GET notices?after=3"] = Answer(body=[notice(4)])
    assert [one["id"] for one in notices_after(3)] == [4]
    assert standin.requests[0].headers["Authorization"] == "token abc"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(404, {"message": "Not Found"}), ClientError),
        (Answer(403), ClientError),
        (Answer(302, headers={"Location": "http://127.0.0.1:9/"}), ClientError),
        (Answer(raw=b"<html>"), ValueError),
        (Answer(body={"id": 1}), ValueError),
    ],
)
def test_an_answer_that_is_none(standin: Standin, answer: Answer, error: type[Exception]) -> None:
    standin.replies["GET notices?after=0"] = answer
    with pytest.raises(error):
        notices_after(0)


def test_over_https_only_to_whom_we_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DS01_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    certificate, key = make_certificate(tmp_path, "loopback", "IP:127.0.0.1")
    with lab.running(Standin(), certificate, key) as server:
        server.replies["GET notices?after=0"] = Answer(body=[])
        monkeypatch.setenv("DS01_SERVER_URL", f"{server.url()}?token=abc")
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            notices_after(0)
        assert server.requests == []
        monkeypatch.setenv("DS01_CA_BUNDLE", str(certificate))
        assert notices_after(0) == []
