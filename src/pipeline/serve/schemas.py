"""Describes requests and responses for OpenAPI."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from pipeline.inference.open_set import NO_ANIMAL, SPECIES, UNKNOWN_ANIMAL
from pipeline.serve import request_format

_PHOTO = {"schema": {"type": "string", "format": "binary"}}


class Likely(BaseModel):
    """A species that a photo may show."""

    species: str
    probability: Annotated[float, Field(ge=0, le=1)]


class Answer(Likely):
    """The answer to a photo."""

    top: list[Likely]
    unknown: bool
    prediction_set: list[str]
    kind: str = Field(json_schema_extra={"enum": [SPECIES, UNKNOWN_ANIMAL, NO_ANIMAL]})
    reason: str = Field(description="why it is of this kind")
    looks_like: str | None = Field(None, description="an unknown animal's likeness")
    rank: str | None = Field(None, description="of the lowest taxon that is sure")
    taxon: str | None = Field(None, description="its name")
    taxon_probability: float | None = Field(None, description="summed over its species")
    cut_short: bool | None = Field(None, description="true where the file ends too early")
    version: str
    explanation: str | None = Field(None, description="a PNG in base64")


class Answers(BaseModel):
    """The answers to a batch, a row each."""

    predictions: list[dict[str, Any]]


class Refusal(BaseModel):
    """Why a request is refused, in the form that MLflow's own errors have."""

    error_code: str
    message: str


REFUSED = {
    400: {"model": Refusal, "description": "It cannot be read"},
    401: {"model": Refusal, "description": "The token is missing or wrong"},
    408: {"model": Refusal, "description": "The body did not arrive in time"},
    413: {"model": Refusal, "description": "The body is too large"},
    415: {"model": Refusal, "description": "Another kind of body is wanted"},
}
# Of a route that answers with text otherwise, whose models would be taken for text too.
_SENTENCE = {"application/json": {"schema": Refusal.model_json_schema()}}
NOT_READY = {503: {"description": "It does not answer", "content": _SENTENCE}}
UPLOAD = {
    "requestBody": {
        "required": True,
        "content": {
            "image/*": _PHOTO,
            "application/octet-stream": _PHOTO,
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["photo"],
                    "properties": {"photo": _PHOTO["schema"]},
                }
            },
        },
    }
}
_BATCH = {
    "type": "object",
    "required": ["dataframe_split"],
    "properties": {
        "dataframe_split": {
            "type": "object",
            "required": ["columns", "data"],
            "properties": {
                "columns": {"type": "array", "items": {"const": "image"}, "minItems": 1},
                "data": {
                    "type": "array",
                    "items": {
                        "type": "array",
                        "items": {"type": "string", "contentEncoding": "base64"},
                    },
                },
            },
        },
        "params": {
            "type": "object",
            "properties": {
                "top_k": {"type": "integer", "minimum": 1},
                "threshold": {"type": "number", "minimum": 0, "maximum": 1},
                "explain": {"type": "boolean"},
                "on_error": {"enum": ["fail", "row"]},
                "burst": {"type": "boolean"},
                "boxes": {
                    "type": "array",
                    "items": {"type": "number", "minimum": 0, "maximum": 1},
                    "description": "x, y, width and height of each row's animal",
                },
            },
        },
    },
}
BATCH = {
    "requestBody": {
        "required": True,
        "content": {
            request_format.JSON: {"schema": _BATCH},
            request_format.CSV: {"schema": {"type": "string"}},
            request_format.PARQUET: _PHOTO,
        },
    }
}
