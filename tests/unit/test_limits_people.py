"""resource-limits.yaml: whom its names mean, files of members, exemptions."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ds01_jupyter.core.errors import ConfigurationError
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.limits import LimitsFile, PersonLimits


class Book:
    """Accounts that a test writes down; the real name service is in test_identity.py."""

    def __init__(self, **uids: int) -> None:
        self.uids: dict[str, int] = dict(uids)

    def uid(self, name: str) -> int | None:
        return self.uids.get(name)

    def ambiguous(self, name: str) -> bool:
        return False


def person(name: str, uid: int, groups: tuple[str, ...] = ()) -> Person:
    return Person(name, uid, uid, Path("/nowhere"), groups)


def load(folder: Path, text: str, book: Book | None = None) -> LimitsFile:
    path = folder / "limits.yaml"
    path.write_text(text)
    return LimitsFile.load(path, book or Book())


def refusal(folder: Path, text: str, book: Book | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(folder, text, book)
    return caught.value.message.replace(str(folder), "DIR")


# ---- one person, however the name is spelt -----------------------------------------------------


def test_a_uid_that_is_known_is_what_counts(tmp_path: Path) -> None:
    book = Book(kim=1001)
    limits = load(tmp_path, "groups: {lab: {members: [kim, lee]}}", book)
    assert limits.group_of(person("kim", 1001)) == "lab"
    assert limits.group_of(person("kim.min", 1001)) == "lab"
    assert limits.group_of(person("kim", 1002)) == "default", "another account of that name"
    assert limits.group_of(person("lee", 1003)) == "lab", "nobody has this account yet"
    assert limits.group_of(person("Lee", 1003)) == "default"


def test_who_gets_an_account_later_is_found_without_reading_anew(tmp_path: Path) -> None:
    book = Book()
    text = "groups: {lab: {members: [kim@lab.example]}}\nuser_overrides: {KIM: {priority: 7}}"
    limits = load(tmp_path, text, book)
    kim = person("kim", 1001)
    assert limits.group_of(kim) == "default"
    book.uids |= {"kim@lab.example": 1001, "KIM": 1001}
    assert limits.group_of(kim) == "lab"
    assert limits.for_person(kim).priority == 7


def test_who_turns_out_to_be_there_twice_is_refused_alone(tmp_path: Path) -> None:
    book = Book()
    text = (
        "groups:\n  a: {members: [kim]}\n  b: {members: [k.min]}\nuser_overrides: {lee: {}, l: {}}"
    )
    limits = load(tmp_path, text, book)
    book.uids |= {"kim": 1001, "k.min": 1001, "lee": 1002, "l": 1002}
    with pytest.raises(ConfigurationError, match=r"yaml:3: groups.b.members\[0\]: this is kim"):
        limits.for_person(person("kim", 1001))
    with pytest.raises(ConfigurationError, match=r"user_overrides.l: this is lee \(uid 1002\), as"):
        limits.for_person(person("lee", 1002))
    assert limits.for_person(person("ann", 1003)).group == "default"


# ---- in two groups, or twice -------------------------------------------------------------------


def test_a_person_in_two_groups_is_an_error_with_both_places(tmp_path: Path) -> None:
    text = "groups:\n  a:\n    members:\n    - x\n    - kim\n  b:\n    members: [kim]\n"
    assert refusal(tmp_path, text) == (
        "DIR/limits.yaml:7: groups.b.members[0]: kim is in groups.a too (groups.a.members[1], "
        "line 5); a person is in one group."
    )
    assert "k.min is the account kim (uid 7), which is in groups.a too" in refusal(
        tmp_path, text.replace("[kim]", "[k.min]"), Book(kim=7, **{"k.min": 7})
    )


def test_an_override_is_judged_in_the_group_of_the_other_spelling(tmp_path: Path) -> None:
    text = "groups:\n  a: {members: [kim], memory: 64g}\nuser_overrides:\n  '1001': "
    text += "{memory_swap: 50g}\n"
    book = Book(**{"kim": 1001, "1001": 1001})
    assert "too little for a memory of 64g" in refusal(tmp_path, text, book)
    assert load(tmp_path, text).for_person(person("1001", 9)).memory_swap == 50 * 1024**3


def test_too_many_people_are_not_looked_up(tmp_path: Path) -> None:
    class Closed(Book):
        def uid(self, name: str) -> int | None:
            raise AssertionError(name)

    (tmp_path / "crowd").write_text("\n".join(f"u{number}" for number in range(20_001)))
    text = "groups:\n  a: {members_file: crowd}\n"
    assert "more than 20000 people" in refusal(tmp_path, text, Closed())


# ---- files of members --------------------------------------------------------------------------


def test_members_from_a_file_and_a_list(tmp_path: Path) -> None:
    (tmp_path / "groups").mkdir()
    (tmp_path / "groups/lab.members").write_bytes(
        "\ufeff# the lab\nkim\r\n\n  lee  # until June\n007\n#ann\nb@lab.example".encode()
    )
    text = "groups: {lab: {members: [rosa], members_file: groups/lab.members, priority: 5}}"
    limits = load(tmp_path, text)
    for name in ("kim", "lee", "007", "rosa", "b@lab.example"):
        assert limits.for_person(person(name, 9)).priority == 5, name
    for name in ("ann", "#ann", "lee  # until June", "kim\r", ""):
        assert limits.group_of(person(name, 9)) == "default", name


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"kim\nlee ann\n", "DIR/m:2: there must be one name a line."),
        (b"kim\n\nl\x1bee\n", "DIR/m:3: there must be one name a line."),
        (b"\xff\xfe", "DIR/limits.yaml:3: groups.a.members_file: DIR/m is not text in UTF-8."),
        (b"#" * (1 << 20) + b"#", "DIR/limits.yaml:3: groups.a.members_file: The members file"),
        (b"kim\nlee\nkim\n", "DIR/m:3: kim is in groups.a already (line 1)."),
        (b"rosa\n", "DIR/m:1: rosa is in groups.a already (limits.yaml:4)."),
        (b"xu\n", "DIR/limits.yaml:5: groups.b.members[0]: xu is in groups.a too (m:1); a person"),
    ],
)
def test_mistakes_with_files_of_members(tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / "m").write_bytes(content)
    text = "groups:\n  a:\n    members_file: m\n    members: [rosa]\n  b: {members: [xu]}\n"
    message = refusal(tmp_path, text)
    assert message.startswith(problem)


def test_f23_a_file_of_members_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    """Upstream, people silently got the default group because the file was elsewhere."""
    (tmp_path / "folder").mkdir()
    for path, why in (("gone", "No such file"), ("folder", "Is a directory"), ('"a\\0b"', "not a")):
        message = refusal(tmp_path, f"groups:\n  a:\n    members_file: {path}\n")
        assert message.startswith("DIR/limits.yaml:3: groups.a.members_file: ")
        assert why in message
        assert message.isprintable()


def test_a_change_of_a_file_of_members_is_seen(tmp_path: Path) -> None:
    members = tmp_path / "m"
    members.write_text("kim\n")
    limits = load(tmp_path, "groups: {a: {members_file: m}}")
    assert not limits.changed()
    members.write_text("lee\n")
    os.utime(members, (1, 1))
    assert limits.changed()
    members.unlink()
    assert limits.changed()


# ---- exemptions --------------------------------------------------------------------------------


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine's clock, two hours before UTC in summer."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def exempt(folder: Path, until: str, exempt_from: str = "[idle_timeout]") -> PersonLimits:
    text = "defaults: {idle_timeout: 1h, max_runtime: 2h}\nexemptions:\n"
    text += f"- {{user: kim, exempt_from: {exempt_from}, expires_on: {until}, reason: thesis}}\n"
    return load(folder, text).person_limits(person("kim", 1))


@pytest.mark.parametrize(
    ("until", "end"),
    [
        ("2026-06-30", "2026-06-30T22:00:00Z"),
        ("'2026-06-30'", "2026-06-30T22:00:00Z"),
        ("2026-10-25", "2026-10-25T23:00:00Z"),
        ("2026-06-30 18:00", "2026-06-30T16:00:00Z"),
        ("2026-06-30T18:00:30", "2026-06-30T16:00:30Z"),
        ("2026-06-30T18:00:00Z", "2026-06-30T18:00:00Z"),
        ("2026-06-30 18:00:00 +05:30", "2026-06-30T12:30:00Z"),
    ],
)
def test_b32_an_exemption_holds_until_the_end_of_its_day(
    in_berlin: None, tmp_path: Path, until: str, end: str
) -> None:
    """With quotes or without, with a time zone or without: never silently no exemption."""
    limits = exempt(tmp_path, until)
    last = datetime.fromisoformat(end)
    before, after = limits.at(last - timedelta(seconds=1)), limits.at(last)
    assert (before.idle_timeout, before.max_runtime) == (None, timedelta(hours=2))
    assert after.idle_timeout == timedelta(hours=1)
    assert limits.exemptions[0].reason == "thesis"


@pytest.mark.parametrize(
    "until", ["soon", "2026-6-30", "2026-13-01", "30.06.2026", "20260630", "9999-12-31", "2026-06"]
)
def test_b32_an_exemption_that_cannot_be_read_is_a_mistake(tmp_path: Path, until: str) -> None:
    with pytest.raises(ConfigurationError, match=r"exemptions\[0\].expires_on: this is a date"):
        exempt(tmp_path, until)


def test_exemptions_without_end_and_from_several_limits(tmp_path: Path) -> None:
    limits = exempt(tmp_path, "null", "[idle_timeout, max_runtime]")
    future = limits.at(datetime(2100, 1, 1, tzinfo=UTC))
    assert (future.idle_timeout, future.max_runtime) == (None, None)
    assert future.gpu_hold_after_stop == timedelta(hours=24)
    assert exempt(tmp_path, "null", "max_runtime").at(datetime.now(UTC)).max_runtime is None


def test_exemptions_are_for_the_account_and_nobody_else(tmp_path: Path) -> None:
    text = "exemptions:\n- {username: k.min, exempt_from: idle_timeout, until: null}\n"
    limits = load(tmp_path, text, Book(**{"k.min": 1001}))
    now = datetime.now(UTC)
    assert limits.person_limits(person("kim", 1001)).at(now).idle_timeout is None
    assert limits.person_limits(person("k.min", 1002)).at(now).idle_timeout == timedelta(hours=48)
