"""The OpenAPI document says what is served, no more and no less."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from openapi_spec_validator import validate

from ds01_jupyter.handlers import containers
from ds01_jupyter.handlers.machine import SPECIFICATION
from ds01_jupyter.handlers.routes import PARAMETERS, ROUTES
from tests.server.conftest import Ask
from tests.server.openapi_tools import FILE, generated_schemas

VERBS = ("get", "head", "post", "put", "patch", "delete")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(SPECIFICATION.read_text(encoding="utf-8"))
    return loaded


def test_it_is_valid(document: dict[str, Any]) -> None:
    validate(document)


def test_it_has_every_route_and_verb(document: dict[str, Any]) -> None:
    served = {
        (f"/{template}", verb)
        for template, handler in ROUTES
        for verb in VERBS
        if verb in handler.__dict__
    }
    described = {(path, verb) for path, item in document["paths"].items() for verb in item}
    assert {each for each in described if each[1] != "parameters"} == served


def test_path_parameters_are_described(document: dict[str, Any]) -> None:
    for path, item in document["paths"].items():
        named = [each["$ref"].rpartition("/")[2] for each in item.get("parameters", [])]
        described = [document["components"]["parameters"][name]["name"] for name in named]
        assert described == re.findall(r"\{(\w+)\}", path), path
    pattern = document["components"]["parameters"]["OperationId"]["schema"]["pattern"]
    assert pattern == f"^{PARAMETERS['operation_id']}$"


def test_the_schemas_are_the_models(document: dict[str, Any]) -> None:
    told = "run `python -m tests.server.openapi_tools`"
    assert document["components"]["schemas"] == generated_schemas(), told
    assert FILE == SPECIFICATION


def test_every_schema_is_used(document: dict[str, Any]) -> None:
    text = SPECIFICATION.read_text(encoding="utf-8")
    unused = [
        name
        for name in document["components"]["schemas"]
        if f'#/components/schemas/{name}"' not in text
        and f"#/components/schemas/{name}'" not in text
    ]
    assert unused == []


def test_figures_agree(document: dict[str, Any]) -> None:
    (tail,) = document["paths"]["/containers/{name}/logs"]["get"]["parameters"]
    assert tail["schema"]["maximum"] == containers.MAX_TAIL


async def test_it_is_served(ask: Ask, document: dict[str, Any]) -> None:
    answer = await ask("GET", "spec")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/yaml"
    assert yaml.safe_load(answer.body) == document
