"""The labels that AIME's commands read."""

from __future__ import annotations

from ds01_jupyter.core.labels import ContainerFacts, container_labels

FACTS = ContainerFacts(
    user="ada",
    name="thesis",
    framework="Pytorch-2.5.1",
    architecture="CUDA_ADA",
    workspace="/home/ada/workspace/thesis",
    data=None,
    models="/models",
    devices=("MIG-1", "MIG-2"),
    slots=("2:0", "2:1"),
    claim="c1",
    ledger="l1",
)


def test_every_key_of_both_generations_is_there() -> None:
    assert container_labels(FACTS, {}) == {
        "aime.mlc": "ada",
        "aime.mlc.NAME": "thesis",
        "aime.mlc.USER": "ada",
        "aime.mlc.VERSION": "3",
        "aime.mlc.MLC_VERSION": "4",
        "aime.mlc.ARCH": "CUDA_ADA",
        "aime.mlc.WORK_MOUNT": "/home/ada/workspace/thesis",
        "aime.mlc.DATA_MOUNT": "-",
        "aime.mlc.MODELS_MOUNT": "/models",
        "aime.mlc.FRAMEWORK": "Pytorch-2.5.1",
        "aime.mlc.GPUS": "MIG-1 MIG-2",
        "aime.mlc.SLOTS": "2:0 2:1",
        "aime.mlc.CLAIM": "c1",
        "aime.mlc.LEDGER": "l1",
    }


def test_inherited_labels_that_break_aimes_list_are_emptied() -> None:
    inherited = {"description": "PyTorch, CUDA 12", "plain": "a=b"}
    labels = container_labels(FACTS, inherited)
    assert labels["description"] == ""
    assert "plain" not in labels


def test_labels_of_the_image_never_name_its_maker_as_the_owner() -> None:
    labels = container_labels(FACTS, {"aime.mlc.USER": "mallory", "aime.mlc": "mallory"})
    assert labels["aime.mlc.USER"] == labels["aime.mlc"] == "ada"


def test_no_value_breaks_aimes_splitting() -> None:
    odd = ContainerFacts(**{**FACTS.__dict__, "user": "a,b\n", "framework": "x,y"})
    values = container_labels(odd, {}).values()
    assert not [value for value in values if set(value) & set(",\n")]
