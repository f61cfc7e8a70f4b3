"""The tiers: what ships, what an admin may write, and what a request picks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ds01_jupyter.core.errors import ConfigurationError, InvalidInput
from ds01_jupyter.core.models import ImageRequest
from ds01_jupyter.core.packages import PackageSelection, TierFile
from ds01_jupyter.core.settings import DATA

BASE = (
    "jupyter jupyterlab ipykernel ipywidgets numpy pandas matplotlib seaborn scikit-learn scipy "
    "tqdm tensorboard Pillow python-dotenv"
)
USE_CASES = {
    "ml": "xgboost lightgbm catboost optuna",
    "cv": "timm albumentations opencv-python-headless torchvision",
    "nlp": "transformers datasets tokenizers accelerate sentencepiece",
    "rl": "gymnasium stable-baselines3 tensorboard",
}
SMALL = """\
base:
  title: Base
  why: For all.
  packages:
    - {name: numpy, why: Arrays.}
    - {name: "pandas>=2", why: Tables.}
  apt:
    - {name: git, why: Versions.}
use_cases:
  audio:
    title: Audio
    why: For sound.
    packages:
      - {name: librosa, why: Reads sound.}
      - {name: NumPy, why: Arrays.}
    apt:
      - {name: ffmpeg, why: Decodes.}
      - {name: git, why: Versions.}
"""


@pytest.fixture(scope="module")
def shipped() -> TierFile:
    return TierFile.load(DATA / "tiers.yaml")


@pytest.fixture
def small(tmp_path: Path) -> TierFile:
    return load(tmp_path, SMALL)


def load(folder: Path, content: str) -> TierFile:
    path = folder / "tiers.yaml"
    path.write_text(content)
    return TierFile.load(path)


def select(tiers: TierFile, **choice: Any) -> PackageSelection:
    return tiers.select(ImageRequest(name="x", framework="Pytorch", **choice))


def layers(selection: PackageSelection) -> dict[str, list[str]]:
    return {layer.key: list(layer.requirements) for layer in selection.layers}


def test_what_ships(shipped: TierFile) -> None:
    document = shipped.document()
    assert [p.name for p in document.base.packages] == BASE.split()
    assert {t.key: [p.name for p in t.packages] for t in document.use_cases} == {
        key: names.split() for key, names in USE_CASES.items()
    }
    for tier in (document.base, *document.use_cases):
        assert tier.why.endswith(".")
        assert tier.title
        assert all(p.why.endswith(".") for p in tier.packages)


def test_layers_in_order_and_each_package_once(shipped: TierFile) -> None:
    selection = select(shipped, use_cases=["rl", "cv"], pip=["einops", "tqdm"])
    assert layers(selection) == {
        "base": BASE.split(),
        "cv": USE_CASES["cv"].split(),
        "rl": ["gymnasium", "stable-baselines3"],
        "custom": ["einops"],
    }
    assert [layer.key for layer in selection.layers] == ["base", "cv", "rl", "custom"]
    assert all(layer.title and layer.why for layer in selection.layers)
    assert len(selection.requirements) == len(set(selection.requirements)) == 21


def test_nothing_chosen_is_nothing_installed(shipped: TierFile) -> None:
    assert select(shipped, base="none") == PackageSelection((), ())
    assert select(shipped, base=[]) == PackageSelection((), ())


def test_a_package_in_two_use_cases_is_in_the_first(shipped: TierFile) -> None:
    assert layers(select(shipped, base="none", use_cases=["rl"]))["rl"] == [
        "gymnasium",
        "stable-baselines3",
        "tensorboard",
    ]


def test_own_choice_of_the_base(shipped: TierFile) -> None:
    chosen = layers(select(shipped, base=["scikit_learn", "NumPy", "numpy", "pillow"]))
    assert chosen == {"base": ["numpy", "scikit-learn", "Pillow"]}


@pytest.mark.parametrize(
    ("base", "words", "hint"),
    [
        (["numpi"], "no package 'numpi'", "'numpy'"),
        (["torch"], "no package 'torch'", "pip"),
        (["numpy>=2"], "not 'numpy>=2'", "'numpy'"),
        (["numpy; rm"], "cannot be installed", ""),
        (["--pre"], "option", ""),
    ],
)
def test_own_choice_must_be_of_the_base(
    shipped: TierFile, base: list[str], words: str, hint: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        select(shipped, base=base)
    assert words in refusal.value.message
    assert hint in refusal.value.hint


def test_an_unknown_use_case_gets_the_nearest(shipped: TierFile) -> None:
    with pytest.raises(InvalidInput, match="no use case 'nlpp'") as refusal:
        select(shipped, use_cases=["cv", "nlpp"])
    assert refusal.value.hint == "Did you mean 'nlp'?"
    assert refusal.value.details["use_cases"] == ["ml", "cv", "nlp", "rl"]


def test_a_stricter_requirement_of_ones_own_stays(small: TierFile) -> None:
    pip = ["numpy >= 2", "numpy", "NUMPY>=2", "pandas", "pandas>=2", "pandas>=2.1", "numpy[x]"]
    assert layers(select(small, pip=pip)) == {
        "base": ["numpy", "pandas>=2"],
        "custom": ["numpy>=2", "pandas>=2.1", "numpy[x]"],
    }


def test_a_package_for_some_machines_only_does_not_stand_for_all(small: TierFile) -> None:
    pip = ["einops; python_version < '3.0'", "einops"]
    assert layers(select(small, base="none", pip=pip))["custom"] == [
        'einops; python_version < "3.0"',
        "einops",
    ]


def test_debian_packages_of_the_tiers_and_ones_own(small: TierFile) -> None:
    selection = select(small, use_cases=["audio"], apt=["htop", "ffmpeg", "g++"])
    assert selection.apt == ("git", "ffmpeg", "htop", "g++")
    assert layers(selection)["audio"] == ["librosa"]
    assert select(small, base="none", apt=[]).apt == ()
    assert [p.name for p in small.document().use_cases[0].apt] == ["ffmpeg", "git"]


def test_bad_packages_of_ones_own_are_refused(small: TierFile) -> None:
    with pytest.raises(InvalidInput):
        select(small, pip=["numpy", "x @ https://host.example/x"])
    with pytest.raises(InvalidInput):
        select(small, apt=["git-"])


def test_a_file_may_offer_no_use_cases(tmp_path: Path) -> None:
    text = SMALL.split("use_cases")[0] + "use_cases:\n  # none yet\n"
    tiers = load(tmp_path, text)
    assert tiers.use_cases == ()
    with pytest.raises(InvalidInput, match="no use case"):
        select(tiers, use_cases=["cv"])


def test_whatever_an_admin_writes_stays_on_one_line(tmp_path: Path) -> None:
    tiers = load(tmp_path, SMALL.replace("For all.", '"For all.\\nRUN id\\u2028x"'))
    assert tiers.base.why == "For all. RUN id x"


@pytest.mark.parametrize(
    ("old", "new", "line", "place", "words"),
    [
        ("name: numpy", "name: --pre", 5, "base.packages[0].name", "option"),
        ("name: numpy", "name: numpy pandas", 5, "base.packages[0].name", "several"),
        ("name: NumPy", "name: librosa>=1", 15, "use_cases.audio.packages[1].name", "twice"),
        ("name: ffmpeg", "name: ffmpeg-", 17, "use_cases.audio.apt[0].name", "remove"),
        ("why: Tables.", "wy: Tables.", 6, "base.packages[1].wy", "no meaning"),
        ("why: Tables.", 'why: ""', 6, "base.packages[1].why", "at least 1 character"),
        ("why: Tables.", "why: 1", 6, "base.packages[1].why", "string"),
        ("  apt:\n    - {name: git", "  aptt:\n    - {name: git", 7, "base.aptt", "no meaning"),
        ("use_cases:", "usecases:", 9, "usecases", "no meaning"),
        ("  audio:", "  Audio:", 10, "use_cases.Audio", "named by"),
        ("  audio:", "  custom:", 10, "use_cases.custom", "named by"),
        ("base:", "bass:", 1, "bass", "no meaning"),
        (", why: Tables.", "", 6, "base.packages[1]", "'why' is missing"),
        ("title: Audio\n", "title: A\n    title: B\n", 12, "use_cases.audio.title", "twice"),
        ("name: librosa", "name: !!python/name:os.system", 14, "", "not YAML"),
        ("use_cases:", "use_cases: [", 11, "", "not YAML"),
    ],
)
def test_mistakes_are_told_with_their_place(
    tmp_path: Path, old: str, new: str, line: int, place: str, words: str
) -> None:
    assert SMALL.count(old) == 1
    with pytest.raises(ConfigurationError) as refusal:
        load(tmp_path, SMALL.replace(old, new))
    start = f"{tmp_path}/tiers.yaml:{line}: " + (f"{place}: " if place else "")
    assert refusal.value.message.startswith(start)
    assert words in refusal.value.message
    assert refusal.value.details["line"] == line


@pytest.mark.parametrize("content", ["", "# nothing\n", "- a\n", "base: 1\n", "\x00", "\xff\xfe"])
def test_files_that_are_no_tiers_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "tiers.yaml").write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigurationError):
        TierFile.load(tmp_path / "tiers.yaml")


def test_a_missing_file_is_a_mistake_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        TierFile.load(tmp_path / "none.yaml")
