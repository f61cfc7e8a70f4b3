"""From the resolver's words to a problem that a person understands."""

from __future__ import annotations

import pytest

from ds01_jupyter.core.resolve.documents import ResolutionProblem
from ds01_jupyter.core.resolve.lock import Lock, LockedPackage
from ds01_jupyter.core.resolve.problems import explain, of_result

BASE = {"torch": "2.5.1+cu121", "torchvision": "0.20.1+cu121", "numpy": "1.26.4", "pip": "23.0"}
FRAMEWORK = ["torch", "torchvision"]
NO_SOLUTION = (
    "Using Python 3.11.2 environment at: /usr\n"
    "error: No solution found when resolving dependencies\n"
    "  cause: {}\n"
)


def said(cause: str, *asked: str) -> ResolutionProblem:
    text = NO_SOLUTION.format(cause)
    return explain(text, asked, BASE, FRAMEWORK, {"scikit-learn", "numpy"})


def test_a_typo_gets_a_suggestion_that_can_be_taken() -> None:
    found = said(
        "Because scikit-lern was not found in the package registry and you require scikit-lern, "
        "we can conclude that your requirements are unsatisfiable.",
        "numpy",
        "scikit-lern",
    )
    assert (found.kind, found.package, found.replace) == (
        "not_found",
        "scikit-lern",
        "scikit-learn",
    )
    assert found.suggestion == "Did you mean scikit-learn?"


def test_a_missing_dependency_is_not_blamed_on_who_asked() -> None:
    found = said("Because ghost was not found in the package registry and a depends on ghost", "a")
    assert found.replace is None
    assert "Something that you asked for needs it" in found.message


def test_the_framework_stays_and_says_so() -> None:
    found = said(
        "Because you require torchvision>=0.21 and torchvision==0.20.1+cu121, we can conclude",
        "torchvision>=0.21",
    )
    assert (found.kind, found.package, found.replace) == ("framework", "torchvision", "torchvision")
    assert "torchvision 0.20.1+cu121" in found.message
    assert "stays as it is" in found.message


def test_who_needs_another_framework_is_named_and_not_the_framework() -> None:
    found = said(
        "Because vllm>=0.8 depends on torchvision==0.21 and torchvision==0.20.1+cu121, we can "
        "conclude that vllm>=0.8 cannot be used.\n    And because you require vllm>=0.8, we can",
        "einops",
        "vllm>=0.8",
    )
    assert (found.kind, found.package) == ("framework", "vllm")
    assert found.message.startswith("vllm>=0.8 does not go with torchvision 0.20.1+cu121")


def test_numpys_next_major_version_is_the_frameworks_matter() -> None:
    found = said("Because you require numpy>=2 and numpy<2, we can conclude", "numpy>=2")
    assert found.kind == "framework"
    assert "1.26.4" in found.message


def test_two_that_contradict_each_other() -> None:
    found = said("Because you require six<1.16 and six>=1.17, we can", "six<1.16", "six>=1.17")
    assert (found.kind, found.package) == ("conflict", "six")
    assert found.message == "six<1.16 and six>=1.17 do not fit together."


def test_a_version_that_there_is_not() -> None:
    found = said("Because there is no version of pandas==99.0 and you require", "pandas==99.0")
    assert (found.kind, found.replace) == ("no_version", "pandas")
    assert "pandas==99.0" in found.message


def test_a_package_without_a_wheel() -> None:
    found = said("Because gym==0.21.0 has no usable wheels and you require gym", "gym==0.21.0")
    assert (found.kind, found.package) == ("no_wheel", "gym")


def test_an_index_that_cannot_be_reached_is_no_fault_of_the_packages() -> None:
    text = "error: Failed to fetch: `https://index/simple/six/`\n  Caused by: dns error"
    found = explain(text, ["six"], BASE, FRAMEWORK, ())
    assert (found.kind, found.package) == ("network", None)


def test_what_is_not_understood_keeps_the_resolvers_words() -> None:
    found = explain("thread 'main' panicked", ["six"], BASE, FRAMEWORK, ())
    assert found.kind == "other"
    assert found.said == "thread 'main' panicked"


# ---- what fits, and would not work -----------------------------------------------------------


def test_two_opencvs_are_refused() -> None:
    comes = {"opencv-python": "5", "opencv-python-headless": "5"}
    (found,) = of_result(["opencv-python", "opencv-python-headless"], comes, {}, gl=True)
    assert (found.kind, found.package, found.replace) == ("opencv", "opencv-python", "")


def test_an_opencv_beside_that_of_the_base_is_refused() -> None:
    base = {"opencv-python-headless": "4"}
    assert of_result(["opencv-python"], {"opencv-python": "5"}, base, gl=True)
    assert not of_result([], {"opencv-python-headless": "5"}, base, gl=False)


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("opencv-python", "opencv-python-headless"),
        ("opencv-contrib-python", "opencv-contrib-python-headless"),
    ],
)
def test_opencv_with_windows_needs_their_libraries(name: str, instead: str) -> None:
    (found,) = of_result([name], {name: "5"}, {}, gl=False)
    assert found.replace == instead
    assert of_result([name], {name: "5"}, {}, gl=True) == []


def test_half_of_a_torch_family_is_refused() -> None:
    base = {"torch": "2.5.1+cu121"}
    (found,) = of_result(["torchaudio"], {"torchaudio": "2.5.1"}, base, gl=True)
    assert (found.kind, found.package) == ("framework", "torchaudio")
    assert "torch 2.5.1+cu121" in found.message


def test_a_family_of_one_build_is_fine() -> None:
    assert of_result([], {"torchaudio": "2.5.1"}, {"torch": "2.5.1"}, gl=True) == []
    assert of_result([], {"torchaudio": "2.5.1+cu121"}, {"torch": "2.5.1+cu121"}, gl=True) == []


# ---- the lock --------------------------------------------------------------------------------


def test_a_tiers_lock_is_the_same_text_whatever_comes_after_it() -> None:
    base = {"numpy": LockedPackage("2.4.6", "base", "a" * 64)}
    own = {"einops": LockedPackage("0.8.2", "custom")}
    one, other = Lock("sha256:1", base), Lock("sha256:1", {**own, **base})
    assert one.file("base") == other.file("base")
    assert "numpy==2.4.6" in one.file("base")
    assert "einops" not in other.file("base")


def test_a_lock_is_read_as_it_was_written() -> None:
    lock = Lock("sha256:1", {"numpy": LockedPackage("2.4.6", "base", None)})
    assert Lock.read(lock.text()) == lock
    for text in ("", "{}", "[]", '{"base_image_id": 1}', "null"):
        assert Lock.read(text) is None
