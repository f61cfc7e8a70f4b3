"""What a person may write as a pip or apt package."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement

from ds01_jupyter.core.errors import InvalidInput
from ds01_jupyter.core.requirements import MAX_LENGTH, parse_apt, parse_requirement


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("numpy", "numpy"),
        (" numpy ", "numpy"),
        ("numpy >= 2", "numpy>=2"),
        ("numpy>=2,<3", "numpy<3,>=2"),
        ("numpy (>=2)", "numpy>=2"),
        ("numpy==2.*", "numpy==2.*"),
        ("numpy~=2.1", "numpy~=2.1"),
        ("numpy!=2.0", "numpy!=2.0"),
        ("x==1!2.0", "x==1!2.0"),
        ("torch==2.5.1+cu121", "torch==2.5.1+cu121"),
        ("jax[cuda12]", "jax[cuda12]"),
        ("Pillow", "Pillow"),
        ("zope.interface", "zope.interface"),
        ("numpy; python_version<'3.12'", 'numpy; python_version < "3.12"'),
        (
            "a[b] >=1 ; sys_platform == 'linux' and python_version > '3.9'",
            'a[b]>=1; sys_platform == "linux" and python_version > "3.9"',
        ),
    ],
)
def test_requirements_that_are_fine(text: str, canonical: str) -> None:
    assert parse_requirement(text) == canonical


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("-r requirements.txt", "option"),
        ("--index-url=x", "option"),
        (" -e .", "option"),
        ("numpy @ https://host.example/x.whl", "URL"),
        ("git+https://host.example/x", "URL"),
        ("https://host.example/x.whl", "URL"),
        ("numpy@1.2", "URL"),
        ("./numpy", "path"),
        (".", "path"),
        ("/tmp/x.whl", "path"),
        ("..\\x", "path"),
        ("~/x", "path"),
        ("numpy\n", "line break"),
        ("numpy\n--pre", "line break"),
        ("numpy\r", "line break"),
        ("numpy\0", "line break"),
        ("numpy\tx", "line break"),
        ("numpy\x1b[31m", "line break"),
        ("numpy; rm -rf x", "environment marker"),
        ("numpy;", "environment marker"),
        ("numpy; echo", "environment marker"),
        ("numpy && id", "character '&'"),
        ("numpy$(id)", "character '$'"),
        ("${HOME}", "character '$'"),
        ("numpy`id`", "character '`'"),
        ("numpy #x", "character '#'"),
        ("numpy|id", "character '|'"),
        ("\uff4eumpy", "character"),
        ("nu\u043cpy", "character"),
        ("numpy\u200b", "control character"),
        ("numpy\u202e", "control character"),
        ("numpy pandas", "several packages"),
        ("numpy,pandas", "several packages"),
        ("numpy>=2 pandas", "several packages"),
        ("numpy>=", "not a package name"),
        ("numpy=2", "not a package name"),
        ("numpy-", "not a package name"),
        ("_numpy", "not a package name"),
        ("numpy[", "not a package name"),
        ('x; platform_machine == " --pre " or os_name == "x"', "looks like an option"),
        ('x; os_name == "-r"', None),
        ("x" * (MAX_LENGTH + 1), "longer"),
        ("x; " + "(" * 190, "environment marker"),
    ],
)
def test_requirements_that_are_refused(text: str, words: str | None) -> None:
    if words is None:
        # A dash inside quotes is no word of its own, so pip reads no option from it.
        assert parse_requirement(text) == text
        return
    with pytest.raises(InvalidInput) as refusal:
        parse_requirement(text)
    assert words in refusal.value.message
    assert refusal.value.message.isprintable()
    assert len(refusal.value.message) < 200
    assert refusal.value.hint


pieces = st.sampled_from(
    [
        "numpy",
        ">=",
        "==",
        "--pre",
        "os_name",
        "python_version",
        "and",
        *"""a[]b2.*,; -'"()\n@/$#+!~\\""",
    ]
)


markers = st.text(st.sampled_from("ab -r.\n/$"), max_size=8).map(
    lambda value: f"; os_name == '{value}' or python_version > \"3\""
)
near_valid = st.tuples(
    st.sampled_from(["numpy", " numpy", "Zope.Interface", "a-b", "-a", "a_"]),
    st.sampled_from(["", "[x]", "[x,y-z]", "[-x]"]),
    st.sampled_from(["", ">=2", " (>=2,<3)", "==2.*", "===--pre", "=== -r", " -r"]),
    st.one_of(st.just(""), markers),
).map("".join)


@settings(deadline=None)
@given(st.one_of(near_valid, st.text(max_size=40), st.lists(pieces, max_size=14).map("".join)))
@example('x; os_name == "a" and " --pre" == os_name')
@example("numpy===--pre")
@example("numpy=== --pre")
def test_what_passes_is_one_plain_requirement(text: str) -> None:
    try:
        canonical = parse_requirement(text)
    except InvalidInput:
        return
    assert re.fullmatch(r"[\x20-\x7e]+", canonical)
    assert not set(canonical) & set("\\/@#$`{}%&|:")
    assert not any(word.startswith("-") for word in canonical.split())
    assert Requirement(canonical).url is None
    assert parse_requirement(canonical) == canonical


@pytest.mark.parametrize(
    "name",
    ["git", "g++", "libstdc++6", "libgl1", "python3.11", "fonts-dejavu-core", "0ad", " git "],
)
def test_apt_packages_that_are_fine(name: str) -> None:
    assert parse_apt(name) == name.strip()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        (" ", "empty"),
        ("git-", "remove"),
        ("g++-", "remove"),
        ("git+", "mark of apt"),
        ("git.", "ends in"),
        ("-o", "option"),
        ("-o x", "option"),
        ("--allow-downgrades", "option"),
        ("git=1:2.39", "version"),
        ("git/bookworm", "not the name"),
        ("git:i386", "not the name"),
        ("Git", "lowercase"),
        ("git curl", "several"),
        ("git,curl", "several"),
        ("git\n", "not the name"),
        ("git\ncurl", "not the name"),
        ("git;id", "not the name"),
        ("$(id)", "not the name"),
        ("git*", "not the name"),
        ("lib^", "not the name"),
        ("./x.deb", "not the name"),
        ("g", "not the name"),
        ("gít", "not the name"),
        ("\uff47it", "not the name"),
        ("+git", "not the name"),
        ("git\0", "not the name"),
        ("x" * (MAX_LENGTH + 1), "longer"),
    ],
)
def test_apt_packages_that_are_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_apt(text)
    assert words in refusal.value.message
    assert refusal.value.message.isprintable()
    assert refusal.value.hint


@settings(deadline=None)
@given(st.text(st.sampled_from("ag1+-.=\n*"), max_size=6))
def test_apt_reads_what_passes_as_a_name(text: str) -> None:
    try:
        name = parse_apt(text)
    except InvalidInput:
        return
    assert re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", name)
    assert not name.endswith("-")
    assert parse_apt(name) == name
