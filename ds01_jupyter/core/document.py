"""What all documents of the API have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

MAX_LIST = 200
MAX_TEXT = 400
MAX_LIMITS_TEXT = 512 * 1024
"""Characters of a limits file that is sent to be checked."""


class Document(BaseModel):
    """Base of all documents: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")
