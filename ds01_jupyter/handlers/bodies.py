"""From the bytes of a body to a request document, or one clear sentence on what is wrong.

The models import pydantic, so they are imported with the first body and not with the extension.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from ds01_jupyter.core.errors import InvalidInput
from ds01_jupyter.handlers.errors import TooLarge

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

    from ds01_jupyter.core.mig_documents import MigLayoutRequest
    from ds01_jupyter.core.models import (
        ContainerRequest,
        CordonRequest,
        ImagePruneRequest,
        ImageRequest,
        ImageRollbackRequest,
        ImageShareRequest,
        ImageUpdateRequest,
        ImportRequest,
        KeepAliveRequest,
        LimitsCheckRequest,
        ReservationRequest,
    )

    Model = TypeVar("Model", bound=BaseModel)

MAX_BODY = 1024 * 1024
MAX_PROBLEMS = 10
_FORM = "The form of every request stands at ds01/api/spec."


def image_request(body: bytes) -> ImageRequest:
    """An `ImageRequest`; raises `InvalidInput` or `TooLarge`."""
    from ds01_jupyter.core.models import ImageRequest

    return _parse(ImageRequest, body)


def image_update_request(body: bytes) -> ImageUpdateRequest:
    """An `ImageUpdateRequest`; raises `InvalidInput` or `TooLarge`."""
    from ds01_jupyter.core.models import ImageUpdateRequest

    return _parse(ImageUpdateRequest, body)


def image_rollback_request(body: bytes) -> ImageRollbackRequest:
    """An `ImageRollbackRequest`; raises `InvalidInput` or `TooLarge`."""
    from ds01_jupyter.core.models import ImageRollbackRequest

    return _parse(ImageRollbackRequest, body)


def image_share_request(body: bytes) -> ImageShareRequest:
    """An `ImageShareRequest`; raises `InvalidInput` or `TooLarge`."""
    from ds01_jupyter.core.models import ImageShareRequest

    return _parse(ImageShareRequest, body)


def image_prune_request(body: bytes) -> ImagePruneRequest:
    """An `ImagePruneRequest`; raises `InvalidInput` or `TooLarge`."""
    from ds01_jupyter.core.models import ImagePruneRequest

    return _parse(ImagePruneRequest, body)


def import_request(body: bytes) -> ImportRequest:
    """An `ImportRequest`; raises `InvalidInput` or `TooLarge`."""
    from ds01_jupyter.core.models import ImportRequest

    return _parse(ImportRequest, body)


def container_request(body: bytes) -> ContainerRequest:
    """A `ContainerRequest`; raises `InvalidInput` or `TooLarge`."""
    from ds01_jupyter.core.models import ContainerRequest

    return _parse(ContainerRequest, body)


def cordon_request(body: bytes) -> CordonRequest:
    """A `CordonRequest`; raises `InvalidInput` or `TooLarge`."""
    from ds01_jupyter.core.models import CordonRequest

    return _parse(CordonRequest, body)


def mig_layout_request(body: bytes) -> MigLayoutRequest:
    """A `MigLayoutRequest`; raises `InvalidInput` or `TooLarge`."""
    from ds01_jupyter.core.mig_documents import MigLayoutRequest

    return _parse(MigLayoutRequest, body)


def keep_alive_request(body: bytes) -> KeepAliveRequest:
    """A `KeepAliveRequest`, empty where there is no body; raises `InvalidInput` or `TooLarge`."""
    from ds01_jupyter.core.models import KeepAliveRequest

    return _parse(KeepAliveRequest, body or b"{}")


def limits_check_request(body: bytes) -> LimitsCheckRequest:
    """A `LimitsCheckRequest`; raises `InvalidInput` or `TooLarge`."""
    from ds01_jupyter.core.models import LimitsCheckRequest

    return _parse(LimitsCheckRequest, body)


def reservation_request(body: bytes) -> ReservationRequest:
    """A `ReservationRequest`; raises `InvalidInput` or `TooLarge`."""
    from ds01_jupyter.core.models import ReservationRequest

    return _parse(ReservationRequest, body)


def _parse(model: type[Model], body: bytes) -> Model:
    from pydantic import ValidationError

    if len(body) > MAX_BODY:
        raise TooLarge(
            f"The request has {len(body)} bytes; at most {MAX_BODY} are taken.",
            hint="Ask for fewer packages.",
            size=len(body),
            limit=MAX_BODY,
        )
    try:
        # Strict: "2" is not 2, and true is not 1.
        return model.model_validate_json(body, strict=True)
    except ValidationError as error:
        raise _refusal(model, error) from None


def _refusal(model: type[BaseModel], error: ValidationError) -> InvalidInput:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    first = problems[0]
    if first["type"] == "json_invalid":
        return InvalidInput(
            "The body is not valid JSON.",
            hint='Send a JSON object, such as {"name": "..."}.',
            problem=first["msg"],
        )
    if not first["loc"]:
        return InvalidInput(
            "The body must be a JSON object.", hint=f"Send a {model.__name__} document."
        )
    field = _place(first["loc"])
    if first["type"] == "extra_forbidden":
        message, hint = f"There is no field {field}.", _known_fields(model, first["loc"])
    elif first["type"] == "missing":
        message, hint = f"The field {field} is missing.", _FORM
    else:
        message, hint = f"The field {field} is wrong: {_uncapitalised(first['msg'])}.", _FORM
    return InvalidInput(message, hint=hint, fields=_listed(problems))


def _listed(problems: list[ErrorDetails]) -> list[dict[str, str]]:
    shown = problems[:MAX_PROBLEMS]
    return [{"field": _place(problem["loc"]), "problem": problem["msg"]} for problem in shown]


def _place(location: tuple[int | str, ...]) -> str:
    """`pip[3]` or `framework.version`: where in the document, in the words of its author."""
    place = ""
    for step in location:
        if isinstance(step, int):
            place += f"[{step}]"
        elif not step.startswith(("literal[", "list[", "constrained-")):
            # pydantic also names the branch of a union; the author of a request knows no branches
            place += f".{step[:80]}" if place else step[:80]
    return place


def _known_fields(model: type[BaseModel], location: tuple[Any, ...]) -> str:
    if len(location) > 1:
        return _FORM
    return "Known are: " + ", ".join(model.model_fields) + "."


def _uncapitalised(text: str) -> str:
    return text[:1].lower() + text[1:]
