"""Names of images and containers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds01_jupyter.core.errors import InvalidInput
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.names import (
    MAX_NAME,
    container_name,
    full_name,
    image_name,
    image_reference,
    is_reference,
    split_full_name,
    split_reference,
)

BAD_EVERYWHERE = [
    "",
    " ",
    "a b",
    "a.b",
    "a/b",
    "../a",
    "a\n",
    "\na",
    "-a",
    "_a",
    "a#b",
    "a:b",
    "a@b",
    "a\0b",
    "$(id)",
    "a;b",
    "projekt-ä",
    "\uff41bc",
    "\u0663",
    "a\u202eb",
    "x" * 61,
    "x" * 200,
]


def person(name: str, uid: int = 1001) -> Person:
    return Person(name, uid, uid, Path("/home/x"))


@pytest.mark.parametrize("name", ["a", "0", "my-project", "my_project", "a--b", "a__b", "x" * 60])
def test_image_names_that_are_fine(name: str) -> None:
    assert image_name(name) == name
    assert container_name(name, 1001) == name


@pytest.mark.parametrize("name", ["A", "MyProject_2", "a-", "a_", "a-_b", "a___b"])
def test_only_containers_may_have_these(name: str) -> None:
    assert container_name(name, 1001) == name
    with pytest.raises(InvalidInput):
        image_name(name)


@pytest.mark.parametrize("name", BAD_EVERYWHERE)
def test_bad_names_are_refused_with_the_rule_and_a_name_that_works(name: str) -> None:
    for check in (image_name, lambda text: container_name(text, 1001)):
        with pytest.raises(InvalidInput) as refusal:
            check(name)
        error = refusal.value
        assert error.status == 400
        assert error.details["rule"] in error.hint
        assert check(error.details["suggestion"]) == error.details["suggestion"]
        assert repr(error.details["suggestion"]) in error.hint
        assert error.message.isprintable()
        assert len(error.message) < 140


def test_the_suggestion_is_close_to_what_was_typed() -> None:
    with pytest.raises(InvalidInput) as refusal:
        image_name("Müllers Projekt/v2.1")
    assert refusal.value.details["suggestion"] == "mullers-projekt-v2-1"


def test_full_name_is_aimes_form() -> None:
    assert full_name("train", 1001) == "train._.1001"
    assert split_full_name("train._.1001") == ("train", 1001)


@pytest.mark.parametrize(
    ("full", "parts"),
    [
        ("a.b._.7", ("a.b", 7)),
        ("a._.1._.2", ("a._.1", 2)),
        ("x._.0", ("x", 0)),
        ("x._.4294967294", ("x", 4294967294)),
        ("x._.4294967295", None),
        ("train", None),
        ("train._.", None),
        ("._.1001", None),
        ("train._.bob", None),
        ("train._.01", None),
        ("train._.1001\n", None),
        ("train._.\u0661", None),
        ("/train._.1001", None),
        ("-a._.1", None),
    ],
)
def test_splitting_full_names(full: str, parts: tuple[str, int] | None) -> None:
    assert split_full_name(full) == parts


@settings(deadline=None)
@given(
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}", fullmatch=True),
    st.integers(0, 2**32 - 2),
)
def test_every_container_name_survives_the_way_through_docker(name: str, uid: int) -> None:
    full = full_name(container_name(name, uid), uid)
    assert split_full_name(full) == (name, uid)
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", full), "Docker's rule for a tag"


@pytest.mark.parametrize(
    ("user", "reference"),
    [
        ("john", "net-john:latest"),
        ("john.doe", "net-john.doe:latest"),
        ("john_doe", "net-john_doe:latest"),
        ("1001", "net-1001:latest"),
        ("john-doe", "net-john_doe__1001:latest"),
        ("John", "net-john__1001:latest"),
        ("a@lab.example", "net-a_lab_example__1001:latest"),
        ("DOM\\bob", "net-dom_bob__1001:latest"),
        ("Łukasz", "net-ukasz__1001:latest"),
        ("ж", "net-user__1001:latest"),
        ("-", "net-user__1001:latest"),
        ("x" * 65, f"net-{'x' * 32}__1001:latest"),
    ],
)
def test_image_reference(user: str, reference: str) -> None:
    assert image_reference("net", person(user)) == reference
    assert is_reference(reference)


user_names = st.text(st.sampled_from("aAbB01.-_@\\ é"), min_size=1, max_size=8)
image_names = st.from_regex(r"[a-z0-9]{1,3}((_|__|-|--)[a-z0-9]{1,3}){0,3}", fullmatch=True)


@settings(deadline=None)
@given(image_names, user_names, image_names, user_names)
def test_two_people_never_share_a_reference(one: str, user: str, two: str, other: str) -> None:
    first = image_reference(one, person(user, 1001))
    second = image_reference(two, person(other, 1001 if user == other else 1002))
    assert is_reference(first)
    assert (first == second) == ((one, user) == (two, other))


def test_an_image_name_is_checked_on_the_way_to_a_reference() -> None:
    with pytest.raises(InvalidInput):
        image_reference("A b", person("kim"))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("aimehub/pytorch-2.5.1-cuda", ("aimehub/pytorch-2.5.1-cuda", None, None)),
        ("a/b:5.4.2-complete", ("a/b", "5.4.2-complete", None)),
        ("host:5000/a/b:1", ("host:5000/a/b", "1", None)),
        ("host.example/a", ("host.example/a", None, None)),
        ("localhost/a:x", ("localhost/a", "x", None)),
        ("net-john:train._.1001", ("net-john", "train._.1001", None)),
        (f"a@sha256:{'0' * 64}", ("a", None, f"sha256:{'0' * 64}")),
        ("a:b:c", None),
        ("Aimehub/x", None),
        ("a/B", None),
        ("", None),
        ("a b", None),
        ("a\n", None),
        ("-a", None),
        ("a/../b", None),
        ("http://a/b", None),
        ("a" * 256, None),
        (f"a:{'x' * 129}", None),
    ],
)
def test_splitting_references(text: str, parts: tuple[str, str | None, str | None] | None) -> None:
    assert split_reference(text) == parts
    assert is_reference(text) is (parts is not None)


def test_our_longest_name_is_shorter_than_aimes() -> None:
    assert 125 - len(str(2**32 - 2)) > MAX_NAME
