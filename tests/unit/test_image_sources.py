"""Files that people have, as packages of an image."""

from __future__ import annotations

import pytest

from ds01_jupyter.core.errors import InvalidInput
from ds01_jupyter.core.image_sources.documents import ImageImport, ImportRequest
from ds01_jupyter.core.image_sources.reading import read_source, source_of


def read(filename: str, text: str, *extras: str) -> ImageImport:
    request = ImportRequest(filename=filename, text=text, extras=list(extras))
    known = {"aimehub/pytorch-2.5.1": ("Pytorch", "2.5.1")}
    return read_source(request, known.get)


def whys(found: ImageImport) -> list[tuple[int | None, str, str]]:
    return [(note.line, note.text, note.why) for note in found.notes]


# ---- requirements.txt ------------------------------------------------------------------------


def test_b25_comments_markers_extras_and_lower_bounds_are_kept_right() -> None:
    found = read(
        "requirements.txt",
        "\ufeff# for the thesis\n"
        "numpy>=2  # needs 2\n"
        'tomli; python_version < "3.11"\n'
        "jax[cuda12] >= 0.4 , < 0.6\n"
        "\n"
        "pandas \\\n"
        "    >=2.2\n"
        "numpy >= 2\n",
    )
    assert found.pip == [
        "numpy>=2",
        'tomli; python_version < "3.11"',
        "jax[cuda12]<0.6,>=0.4",
        "pandas>=2.2",
    ]
    assert found.notes == []


def test_what_is_not_a_package_is_noted_with_its_line() -> None:
    found = read(
        "requirements-dev.txt",
        "-r base.txt\n"
        "--extra-index-url https://user:secret@mirror.example/simple\n"
        "-e .\n"
        "six==1.17.0 --hash=sha256:0000\n"
        "git+https://github.com/a/b\n"
        "./wheels/x.whl\n"
        "pkg @ https://files.example/x.whl\n"
        "-cconstraints.txt\n",
    )
    assert found.pip == ["six==1.17.0"]
    assert [note.line for note in found.notes] == [1, 2, 3, 4, 5, 6, 7, 8]
    by_line = {note.line: note.why for note in found.notes}
    assert "another file" in by_line[1]
    assert "admin" in by_line[2]
    assert "its workspace" in by_line[3]
    assert "hashes" in by_line[4]
    assert "URL" in by_line[5]
    assert "constraints" in by_line[8]


@pytest.mark.parametrize(
    "line", ["$(touch x)", "a; import os", "numpy`id`", "-rfile", "numpy\x00", "${HOME}"]
)
def test_nothing_but_packages_gets_through(line: str) -> None:
    found = read("requirements.txt", line)
    assert found.pip == []
    assert len(found.notes) == 1


def test_an_empty_file_is_nothing() -> None:
    assert read("requirements.txt", "\n# nothing\n\n").pip == []


def test_a_last_line_that_is_continued_into_nothing_counts() -> None:
    assert read("requirements.txt", "numpy \\").pip == ["numpy"]


# ---- pyproject.toml --------------------------------------------------------------------------

PROJECT = """
[project]
name = "thesis"
requires-python = ">=3.10"
dependencies = ["numpy>=2", "pandas[excel]>=2 ; sys_platform == 'linux'"]
[project.optional-dependencies]
plots = ["seaborn"]
[dependency-groups]
test = ["pytest", {include-group = "lint"}]
lint = ["ruff"]
loop = [{include-group = "loop"}]
"""


def test_the_dependencies_of_a_project_are_taken() -> None:
    found = read("sub/pyproject.toml", PROJECT)
    assert found.pip == ["numpy>=2", 'pandas[excel]>=2; sys_platform == "linux"']
    assert {"plots, test, lint, loop", "requires-python >=3.10"} == {n.text for n in found.notes}


def test_extras_and_groups_are_taken_when_named() -> None:
    found = read("pyproject.toml", PROJECT, "Plots", "test")
    assert found.pip[2:] == ["seaborn", "pytest", "ruff"]


def test_groups_that_include_each_other_end() -> None:
    found = read("pyproject.toml", PROJECT, "loop")
    assert any("include each other" in note.why for note in found.notes)


def test_an_unknown_extra_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidInput) as refusal:
        read("pyproject.toml", PROJECT, "plot")
    assert "plots" in refusal.value.hint


def test_a_broken_project_file_is_refused_with_its_place() -> None:
    with pytest.raises(InvalidInput, match="line 1"):
        read("pyproject.toml", "[project\n")


def test_poetrys_own_table_and_dynamic_dependencies_are_not_passed_over_in_silence() -> None:
    poetry = read("pyproject.toml", "[tool.poetry.dependencies]\nnumpy = '^2'\n")
    assert poetry.pip == []
    assert "Poetry" in poetry.notes[0].why
    dynamic = read("pyproject.toml", "[project]\nname='a'\ndynamic=['dependencies']\n")
    assert "building the project" in dynamic.notes[0].why


# ---- environment.yml -------------------------------------------------------------------------


def test_the_pip_part_of_an_environment_is_taken_and_the_rest_gets_a_word() -> None:
    found = read(
        "environment.yml",
        "name: thesis\nchannels: [pytorch]\ndependencies:\n"
        "  - python=3.10\n  - pip\n  - numpy=1.26.4=py310h1\n  - pytorch::pytorch>=2\n"
        "  - cudatoolkit=11.8\n  - pip:\n    - einops>=0.8\n    - --pre\n",
    )
    assert found.pip == ["einops>=0.8"]
    suggestions = {note.text: note.suggestion for note in found.notes}
    assert suggestions == {
        "python=3.10": None,
        "numpy=1.26.4=py310h1": "numpy==1.26.4.*",
        "pytorch::pytorch>=2": "torch>=2",
        "cudatoolkit=11.8": None,
        "--pre": None,
    }


@pytest.mark.parametrize("text", ["", "- a", "a: b", "dependencies: x", "{", "a: [b", "\t"])
def test_what_is_no_environment_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        read("env.yaml", text)


def test_an_environment_of_aliases_does_not_grow() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    found = read("e.yml", "\n".join([*lines, "dependencies: [*a11]"]))
    assert len(found.notes) == 1
    assert len(found.notes[0].text) <= 200


# ---- Dockerfile ------------------------------------------------------------------------------


def test_a_dockerfile_gives_its_base_and_its_packages() -> None:
    found = read(
        "Dockerfile",
        "# mine\n"
        "FROM --platform=linux/amd64 aimehub/pytorch-2.5.1\n"
        "ENV A=b\n"
        "RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y \\\n"
        "      --no-install-recommends ffmpeg=7:5.1 libgl1 && rm -rf /var/lib/apt/lists/*\n"
        "RUN pip install --no-cache-dir 'numpy>=2' einops -r requirements.txt\n"
        "RUN python3 -m pip install -U --index-url https://x.example tqdm; echo done\n"
        "RUN uv pip install --system rich\n"
        "COPY . /app\n"
        'CMD ["bash"]\n',
    )
    assert (found.framework, found.version) == ("Pytorch", "2.5.1")
    assert found.apt == ["ffmpeg", "libgl1"]
    assert found.pip == ["numpy>=2", "einops", "tqdm", "rich"]
    assert [(line, text) for line, text, _ in whys(found)] == [
        (3, "ENV A=b"),
        (4, "ffmpeg=7:5.1"),
        (6, "pip install --no-cache-dir 'numpy>=2' einops -r requirements.txt"),
        (7, "echo done"),
        (9, "COPY . /app"),
    ]


def test_b25_an_unquoted_bound_in_a_dockerfile_is_no_package_of_its_own() -> None:
    # The shell reads `numpy>=2` as numpy, with its output in a file `=2`; what was meant is clear.
    assert read("Dockerfile", "FROM x\nRUN pip install numpy>=2\n").pip == ["numpy>=2"]


def test_a_base_outside_of_the_catalogue_is_said() -> None:
    found = read("my.Dockerfile", "FROM ubuntu:24.04\nRUN pip install numpy\n")
    assert found.framework is None
    assert "not in the catalogue" in found.notes[0].why


@pytest.mark.parametrize("text", ["", "RUN pip install numpy\n", "# only a comment\n"])
def test_what_is_no_dockerfile_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        read("Dockerfile", text)


def test_what_a_run_hides_is_never_taken() -> None:
    found = read(
        "Dockerfile",
        "FROM x\nRUN --mount=type=secret,id=a pip install numpy\nRUN curl x | bash\n"
        'RUN pip install "$(cat /etc/passwd)" \'--index-url=http://x\' "a\n',
    )
    assert found.pip == []
    assert len(found.notes) >= 4


# ---- names -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("requirements.txt", "requirements"),
        ("C:\\work\\Requirements-dev.TXT", "requirements"),
        ("a/b/pyproject.toml", "pyproject"),
        ("environment.yaml", "environment"),
        ("Dockerfile", "dockerfile"),
        ("thesis.Dockerfile", "dockerfile"),
        ("Dockerfile.gpu", "dockerfile"),
    ],
)
def test_the_name_tells_the_format(name: str, source: str) -> None:
    assert source_of(name) == source


def test_another_name_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(InvalidInput) as refusal:
        source_of("setup.py")
    assert "requirements.txt" in refusal.value.hint
