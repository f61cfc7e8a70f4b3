"""Which architecture of the catalogue a machine has."""

from __future__ import annotations

import pytest

from ds01_jupyter.core.architecture import DriverFacts, choose_architecture
from ds01_jupyter.core.errors import (
    ConfigurationError,
    DriverUnavailable,
    InvalidInput,
    NotFound,
)

KNOWN = ("CUDA_BLACKWELL", "CUDA_ADA", "CUDA_AMPERE", "ROCM6", "ROCM5", "CUDA")
A100, H100, L40, T4, V100, P100, B200, RTX5090 = (
    (8, 0),
    (9, 0),
    (8, 9),
    (7, 5),
    (7, 0),
    (6, 0),
    (10, 0),
    (12, 0),
)


@pytest.mark.parametrize(
    ("cuda", "gpus", "expected"),
    [
        ((13, 0), [A100], "CUDA_BLACKWELL"),
        ((12, 8), [A100, H100], "CUDA_BLACKWELL"),
        ((12, 10), [A100], "CUDA_BLACKWELL"),
        ((12, 7), [A100], "CUDA_ADA"),
        ((12, 0), [H100], "CUDA_ADA"),
        ((11, 8), [A100], "CUDA_AMPERE"),
        ((11, 2), [V100], "CUDA_AMPERE"),
        ((12, 8), [T4], "CUDA_BLACKWELL"),
        ((12, 8), [V100], "CUDA_ADA"),
        ((13, 0), [P100, A100], "CUDA_ADA"),
        ((12, 8), [B200], "CUDA_BLACKWELL"),
        ((12, 9), [RTX5090, L40], "CUDA_BLACKWELL"),
        ((12, 8), [], "CUDA_BLACKWELL"),
    ],
)
def test_the_driver_decides(
    cuda: tuple[int, int], gpus: list[tuple[int, int]], expected: str
) -> None:
    chosen = choose_architecture(None, "", DriverFacts(cuda, tuple(gpus)), KNOWN)
    assert chosen == (expected, "driver")


@pytest.mark.parametrize(
    ("cuda", "gpus", "words"),
    [
        ((11, 8), [L40], "too old"),
        ((11, 8), [A100, H100], "too old"),
        ((12, 4), [B200], "too old"),
        ((12, 8), [V100, B200], "too far apart"),
    ],
)
def test_f43_what_cannot_be_decided_is_not_guessed(
    cuda: tuple[int, int], gpus: list[tuple[int, int]], words: str
) -> None:
    with pytest.raises(DriverUnavailable, match=words) as refusal:
        choose_architecture(None, "", DriverFacts(cuda, tuple(gpus)), KNOWN)
    assert "architecture" in refusal.value.hint
    assert refusal.value.details["cuda_version"] == list(cuda)


def test_without_driver_and_without_a_word_it_refuses() -> None:
    with pytest.raises(DriverUnavailable) as refusal:
        choose_architecture(None, "", None, KNOWN)
    assert "DS01App.architecture" in refusal.value.hint


def test_request_beats_configuration_beats_driver() -> None:
    facts = DriverFacts((12, 8), (A100,))
    assert choose_architecture("CUDA_AMPERE", "CUDA_ADA", facts, KNOWN) == (
        "CUDA_AMPERE",
        "request",
    )
    assert choose_architecture(None, "CUDA_ADA", facts, KNOWN) == ("CUDA_ADA", "configuration")
    assert choose_architecture(None, "", facts, KNOWN) == ("CUDA_BLACKWELL", "driver")


def test_case_does_not_count_and_the_catalogues_spelling_is_answered() -> None:
    assert choose_architecture("cuda_ada ", "", None, KNOWN) == ("CUDA_ADA", "request")


@pytest.mark.parametrize(("requested", "configured"), [("CUDA_ADDA", ""), (None, "CUDA_ADDA")])
def test_unknown_names_are_refused_with_the_nearest(requested: str | None, configured: str) -> None:
    facts = DriverFacts((12, 8), (A100,))
    with pytest.raises(NotFound) as refusal:
        choose_architecture(requested, configured, facts, KNOWN)
    assert "'CUDA_ADA'" in refusal.value.hint
    assert refusal.value.details["architectures"] == list(KNOWN)


def test_an_empty_request_is_not_an_absent_one() -> None:
    with pytest.raises(NotFound):
        choose_architecture("", "CUDA_ADA", None, KNOWN)


def test_an_older_generation_serves_where_the_catalogue_lacks_the_newest() -> None:
    v1 = ("CUDA_ADA", "CUDA_AMPERE", "CUDA")
    assert choose_architecture(None, "", DriverFacts((13, 0), (A100,)), v1)[0] == "CUDA_ADA"
    with pytest.raises(NotFound, match="CUDA_BLACKWELL"):
        choose_architecture(None, "", DriverFacts((13, 0), (B200,)), v1)


def test_an_nvidia_driver_never_leads_to_rocm() -> None:
    facts = DriverFacts((12, 8), (A100,))
    with pytest.raises(NotFound):
        choose_architecture(None, "", facts, ("ROCM6", "ROCM5", "CUDA"))
    with pytest.raises(InvalidInput, match="AMD"):
        choose_architecture("rocm6", "", facts, KNOWN)
    with pytest.raises(ConfigurationError, match="AMD"):
        choose_architecture(None, "ROCM6", facts, KNOWN)
    assert choose_architecture("ROCM6", "", None, KNOWN) == ("ROCM6", "request")
