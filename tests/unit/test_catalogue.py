"""The catalogue: both of AIME's formats, and what people do to such files."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds01_jupyter.core.catalogue import CatalogueFile, Row
from ds01_jupyter.core.errors import ConfigurationError, NotFound
from ds01_jupyter.core.settings import DATA

SHIPPED = DATA / "ml_images.repo"


@pytest.fixture(scope="module")
def shipped() -> CatalogueFile:
    return CatalogueFile.load(SHIPPED)


def load(folder: Path, content: str | bytes) -> CatalogueFile:
    path = folder / "ml_images.repo"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return CatalogueFile.load(path)


def aime_v2(path: Path, architecture: str) -> list[tuple[str, str, str]]:
    """AIME v2's own way of reading the file: framework, version, image of an architecture."""
    with path.open(newline="") as file:
        reader = csv.DictReader(file, fieldnames=["framework", "version", "arch", "image"])
        found = []
        for row in reader:
            fields = {key: value.strip() for key, value in row.items()}
            if architecture in fields["arch"].strip("[]").split(";"):
                found.append((fields["framework"], fields["version"], fields["image"]))
    return found


# ---- what ships ------------------------------------------------------------------------------


def test_the_shipped_rows_are_those_that_aime_published(shipped: CatalogueFile) -> None:
    assert shipped.problems == ()
    triples = Counter((r.framework, a) for r in shipped.rows for a in r.architectures)
    assert triples == {
        ("Pytorch", "CUDA"): 8,
        ("Pytorch", "CUDA_AMPERE"): 31,
        ("Pytorch", "CUDA_ADA"): 25,
        ("Pytorch", "CUDA_BLACKWELL"): 7,
        ("Pytorch", "ROCM5"): 5,
        ("Pytorch", "ROCM6"): 5,
        ("Tensorflow", "CUDA"): 10,
        ("Tensorflow", "CUDA_AMPERE"): 18,
        ("Tensorflow", "CUDA_ADA"): 11,
        ("Tensorflow", "ROCM5"): 1,
        ("Tensorflow", "ROCM6"): 1,
        ("ROCM", "ROCM5"): 1,
        ("Mxnet", "CUDA"): 4,
        ("Mxnet", "CUDA_AMPERE"): 1,
    }


def test_the_shipped_file_is_in_aimes_own_format() -> None:
    content = SHIPPED.read_bytes()
    assert content.endswith(b"\n")
    assert b"\r" not in content
    assert b"#" not in content
    lines = content.decode("ascii").splitlines()
    assert len(lines) == 117
    assert all(line.count(", ") == 3 and line == line.strip() for line in lines)


def test_aime_v2_reads_the_shipped_file_as_we_do(shipped: CatalogueFile) -> None:
    for architecture in shipped.architectures:
        theirs: dict[tuple[str, str], str] = {}
        for framework, version, image in aime_v2(SHIPPED, architecture):
            theirs.setdefault((framework, version), image)
        ours = {
            (row.framework, row.version): row.image
            for row in shipped.rows
            if architecture in row.architectures
        }
        assert list(ours.items()) == list(theirs.items())
        for (framework, version), image in theirs.items():
            assert shipped.select(framework, version, architecture).image == image


@pytest.mark.parametrize(
    ("framework", "architecture", "newest"),
    [
        ("Pytorch", "CUDA_BLACKWELL", "2.9.1"),
        ("Pytorch", "CUDA_ADA", "2.8.0-aime"),
        ("pytorch", "CUDA_AMPERE", "2.7.1-aime"),
        ("PYTORCH", "ROCM6", "2.6.0"),
        ("Tensorflow", "CUDA_ADA", "2.16.1"),
        ("TensorFlow", "CUDA_AMPERE", "2.14.0"),
        ("rocm", "ROCM5", "5.4.2"),
    ],
)
def test_the_newest_version(
    shipped: CatalogueFile, framework: str, architecture: str, newest: str
) -> None:
    row = shipped.select(framework, None, architecture)
    assert row.version == newest
    assert row == shipped.select(framework, newest, architecture)


def test_b29_one_version_has_different_images_for_different_architectures(
    shipped: CatalogueFile,
) -> None:
    ada = shipped.select("Pytorch", "2.8.0-aime", "CUDA_ADA").image
    blackwell = shipped.select("Pytorch", "2.8.0-aime", "CUDA_BLACKWELL").image
    assert ada == "aimehub/pytorch-2.8.0-aime-cuda12.6.3"
    assert blackwell == "aimehub/pytorch-2.8.0-aime-cuda12.8.1"


def test_the_first_of_a_triple_that_is_there_twice_counts(shipped: CatalogueFile) -> None:
    row = shipped.select("Tensorflow", "1.15.4-nvidia", "CUDA_AMPERE")
    assert row.image == "aimehub/tensorflow-1.15.4-nvidia"
    document = shipped.document("CUDA_AMPERE", "request", lambda _: False)
    versions = [r.version for r in document.rows if r.framework == "Tensorflow"]
    assert versions.count("1.15.4-nvidia") == 1


# ---- formats ---------------------------------------------------------------------------------


def test_both_formats_in_one_file(tmp_path: Path) -> None:
    catalogue = load(tmp_path, "Pytorch, 2, CUDA_ADA, a/b\nPytorch, 1, [CUDA_ADA;CUDA], a/c\n")
    assert catalogue.rows == (
        Row("Pytorch", "2", ("CUDA_ADA",), "a/b", 1),
        Row("Pytorch", "1", ("CUDA_ADA", "CUDA"), "a/c", 2),
    )
    assert catalogue.problems == ()


@pytest.mark.parametrize(
    "line",
    [
        "Pytorch, 2.0.0, [CUDA;CUDA_ADA], a/b",
        "Pytorch,2.0.0,[CUDA;CUDA_ADA],a/b",
        "Pytorch,\t2.0.0,\t[CUDA;CUDA_ADA],\ta/b\t",
        "Pytorch, 2.0.0, [CUDA; CUDA_ADA], a/b   ",
        "  Pytorch , 2.0.0 , [ CUDA ;CUDA_ADA ] , a/b ",
        "Pytorch, 2.0.0, CUDA;CUDA_ADA, a/b",
        "Pytorch, 2.0.0, [CUDA;CUDA_ADA;CUDA], a/b",
        'Pytorch, 2.0.0, [CUDA;CUDA_ADA], a/b, it\'s "extra", #some fancy comment, 1',
        "Pytorch, 2.0.0, [CUDA;CUDA_ADA], a/b,",
        "Pytorch, 2.0.0, [CUDA;CUDA_ADA], a/b\r",
    ],
)
@pytest.mark.parametrize("end", ["", "\n"])
def test_forms_of_one_row(tmp_path: Path, line: str, end: str) -> None:
    catalogue = load(tmp_path, line + end)
    assert catalogue.problems == ()
    assert catalogue.rows == (Row("Pytorch", "2.0.0", ("CUDA", "CUDA_ADA"), "a/b", 1),)


def test_comments_blank_lines_and_a_byte_order_mark(tmp_path: Path) -> None:
    text = "# AIME's images\r\n\r\n   \t\r\nPytorch, 2, CUDA, a/b\r\n  # end\r\n"
    catalogue = load(tmp_path, b"\xef\xbb\xbf" + text.encode())
    assert [row.line for row in catalogue.rows] == [4]
    assert catalogue.problems == ()


@pytest.mark.parametrize(
    "version", ["2.1.2-amd", "1.14.0a-nvidia", "1.14.0_nvidia", "2.0.0dev230301", "2.7.1+cu128"]
)
def test_versions_are_words(tmp_path: Path, version: str) -> None:
    catalogue = load(tmp_path, f"Pytorch, {version}, CUDA, a/b\n")
    assert catalogue.select("Pytorch", version, "CUDA").version == version


def test_an_image_with_a_tag_and_a_framework_that_is_an_architecture(tmp_path: Path) -> None:
    image = "rocm/dev-ubuntu-20.04:5.4.2-complete"
    catalogue = load(tmp_path, f"ROCM, 5.4.2, [ROCM5], {image}\n")
    assert catalogue.select("ROCM", None, "ROCM5").image == image


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("Pytorch, 2", "2 of 4 columns"),
        ("Pytorch", "1 of 4 columns"),
        ("Pytorch, 2, , a/b", "architecture is empty"),
        (", 2, CUDA, a/b", "framework is empty"),
        ("Pytorch, 2, CUDA,", "image is empty"),
        ("Pytorch, 2, [], a/b", "is empty"),
        ("Pytorch, 2, [CUDA;], a/b", "is empty"),
        ("Pytorch, 2, [CUDA, a/b", "not closed"),
        ("Pytorch, 2, CUDA], a/b", "not closed"),
        ("Pytorch, 2, [, a/b", "not closed"),
        ("Pytorch, 2, [CUDA], A/B", "Docker image"),
        ("Pytorch, 2, [CUDA], a b", "Docker image"),
        ("Pytorch, 2, [CUDA], a:b:c", "Docker image"),
        ("Pytorch, 2, [CUDA], a/b\nRUN id".replace("\n", "\x0b"), "Docker image"),
        ("Pytorch, 2, [CU DA], a/b", "architecture"),
        ("Py'torch, 2, [CUDA], a/b", "framework"),
        ("Pytorch, $(id), [CUDA], a/b", "version"),
        ("Pytorch, 2=3, [CUDA], a/b", "version"),
        (f"Pytorch, {'2' * 101}, [CUDA], a/b", "version"),
        (b"Pytorch, \xff, CUDA, a/b", "UTF-8"),
        (b"Pytorch, 2\0, CUDA, a/b", "version"),
    ],
)
def test_a_bad_row_is_told_and_the_rest_loads(
    tmp_path: Path, line: str | bytes, problem: str
) -> None:
    raw = line if isinstance(line, bytes) else line.encode()
    catalogue = load(tmp_path, b"Pytorch, 1, CUDA, a/b\n" + raw + b"\nMxnet, 1, CUDA, a/c\n")
    assert [row.framework for row in catalogue.rows] == ["Pytorch", "Mxnet"]
    (told,) = catalogue.problems
    assert told.file == str(catalogue.source)
    assert told.line == 2
    assert problem in told.problem
    assert told.text.isprintable()
    assert told.text.startswith(line[:7] if isinstance(line, str) else "Pytorch")
    assert catalogue.document(None, None, lambda _: False).problems == [told]


def test_a_folder_is_an_aime_checkout(tmp_path: Path) -> None:
    load(tmp_path, "Pytorch, 1, CUDA, a/b\n")
    catalogue = CatalogueFile.load(tmp_path)
    assert catalogue.source == tmp_path / "ml_images.repo"
    assert len(catalogue.rows) == 1


def test_a_missing_file_is_a_mistake_of_the_configuration(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            CatalogueFile.load(path)


def test_first_row_counts_also_in_part_and_in_other_case(tmp_path: Path) -> None:
    catalogue = load(
        tmp_path, "Pytorch, 1, CUDA, a/b\nPyTorch, 1, [CUDA;ADA], a/c\npytorch, 1, ADA, a/d\n"
    )
    assert catalogue.rows == (
        Row("Pytorch", "1", ("CUDA",), "a/b", 1),
        Row("Pytorch", "1", ("ADA",), "a/c", 2),
    )
    assert catalogue.frameworks == ("Pytorch",)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_content_breaks_the_parser(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    folder = tmp_path_factory.mktemp("any")
    catalogue = load(folder, raw)
    for row in catalogue.rows:
        assert row.architectures
        assert f"{row.framework}{row.version}{row.image}".isprintable()


# ---- choosing --------------------------------------------------------------------------------


def test_an_unknown_framework_gets_the_nearest_and_the_list(shipped: CatalogueFile) -> None:
    with pytest.raises(NotFound) as refusal:
        shipped.select("Pytroch", None, "CUDA_ADA")
    assert refusal.value.hint == "Did you mean 'Pytorch'?"
    assert refusal.value.details["frameworks"] == ["Pytorch", "Tensorflow", "ROCM", "Mxnet"]


def test_an_unknown_version_gets_the_nearest_and_the_list(shipped: CatalogueFile) -> None:
    with pytest.raises(NotFound) as refusal:
        shipped.select("Pytorch", "2.4.1", "CUDA_ADA")
    assert "'2.4.0'" in refusal.value.hint
    assert "2.8.0-aime" in refusal.value.hint
    assert len(refusal.value.details["versions"]) == 25


def test_a_version_for_other_architectures_says_which(shipped: CatalogueFile) -> None:
    with pytest.raises(NotFound, match="for CUDA_BLACKWELL, not for CUDA_ADA") as refusal:
        shipped.select("Pytorch", "2.9.1", "CUDA_ADA")
    assert refusal.value.details["architectures"] == ["CUDA_BLACKWELL"]
    assert "2.8.0-aime" in refusal.value.hint


def test_a_framework_for_other_architectures_says_which(shipped: CatalogueFile) -> None:
    with pytest.raises(NotFound, match="not in the catalogue for CUDA_BLACKWELL") as refusal:
        shipped.select("tensorflow", None, "CUDA_BLACKWELL")
    assert "CUDA_ADA" in refusal.value.details["architectures"]


def test_an_unknown_architecture(shipped: CatalogueFile) -> None:
    with pytest.raises(NotFound) as refusal:
        shipped.select("Pytorch", None, "CUDA_AMPER")
    assert "'CUDA_AMPERE'" in refusal.value.hint


@pytest.mark.parametrize("version", ["", " ", "2.5", "latest", "2.5.1\n2.5.0"])
def test_b29_no_version_is_guessed(shipped: CatalogueFile, version: str) -> None:
    with pytest.raises(NotFound) as refusal:
        shipped.select("Pytorch", version, "CUDA_ADA")
    assert refusal.value.message.isprintable()


def test_the_document_has_what_fits(shipped: CatalogueFile) -> None:
    local = "aimehub/pytorch-2.5.1-aime-cuda12.1.1"
    document = shipped.document("CUDA_ADA", "driver", lambda image: image == local)
    assert len(document.rows) == 36
    assert all("CUDA_ADA" in row.architectures for row in document.rows)
    assert [row.version for row in document.rows if row.local] == ["2.5.1"]
    assert document.frameworks == ["Pytorch", "Tensorflow"]
    assert document.architecture_from == "driver"
    assert document.architectures == list(shipped.architectures)
    assert document.source == str(SHIPPED)


def test_the_document_without_architecture_has_all_rows(shipped: CatalogueFile) -> None:
    document = shipped.document(None, None, lambda _: False)
    assert len(document.rows) == len(shipped.rows) == 116
