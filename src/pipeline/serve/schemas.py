"""Describes requests and responses for OpenAPI."""

from typing import Annotated

from fastapi import Query

from pipeline.inference.open_set import NO_ANIMAL, SPECIES, UNKNOWN_ANIMAL
from pipeline.serve import request_format

TopK = Annotated[int, Query(ge=1, le=1000)]
Threshold = Annotated[float | None, Query(ge=0, le=1)]
Explain = bool
Boxes = Annotated[list[float], Query(default_factory=list, description="x, y, width, height")]

_PHOTO = {"schema": {"type": "string", "format": "binary"}}
_LIKELY = {"type": "object", "required": ["species", "probability"]}
ANSWER = {
    "type": "object",
    "required": [
        *("species", "probability", "top", "unknown", "prediction_set", "kind", "reason"),
        "version",
    ],
    "properties": {
        "species": {"type": "string"},
        "probability": {"type": "number", "minimum": 0, "maximum": 1},
        "top": {"type": "array", "items": _LIKELY},
        "unknown": {"type": "boolean"},
        "prediction_set": {"type": "array", "items": {"type": "string"}},
        "kind": {"enum": [SPECIES, UNKNOWN_ANIMAL, NO_ANIMAL]},
        "reason": {"type": "string", "description": "why it is of this kind"},
        "looks_like": {"type": "string", "description": "an unknown animal's likeness"},
        "rank": {"type": ["string", "null"], "description": "of the lowest taxon that is sure"},
        "taxon": {"type": ["string", "null"], "description": "its name"},
        "taxon_probability": {"type": "number", "description": "summed over its species"},
        "cut_short": {"type": "boolean", "description": "true where the file ends too early"},
        "version": {"type": "string"},
        "explanation": {"type": "string", "description": "a PNG in base64"},
    },
}
_SENTENCE = {
    "application/json": {
        "schema": {
            "type": "object",
            "required": ["error_code", "message"],
            "properties": {"error_code": {"type": "string"}, "message": {"type": "string"}},
        }
    }
}
REFUSED = {
    400: {"description": "It cannot be read", "content": _SENTENCE},
    401: {"description": "The token is missing or wrong", "content": _SENTENCE},
    408: {"description": "The body did not arrive in time", "content": _SENTENCE},
    413: {"description": "The body is too large", "content": _SENTENCE},
    415: {"description": "Another kind of body is wanted", "content": _SENTENCE},
}
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
ANSWERED = {200: {"content": {"application/json": {"schema": ANSWER}}}}
ANSWERED_BATCH = {
    200: {
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["predictions"],
                    "properties": {"predictions": {"type": "array", "items": {"type": "object"}}},
                }
            }
        }
    }
}
NOT_READY = {503: {"description": "It does not answer", "content": _SENTENCE}}
