"""What `compare` reads of an `evaluation.json`, which may be edited by hand, cut or of another program."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lsu_seg.evaluation.document import FORMAT

_ABSENT: Any = Field(default=None)
_STRICT = ConfigDict(strict=True)
_Count = Annotated[int, Field(ge=0)]
_Share = Annotated[float, Field(ge=0, le=1)] | None


class _Class(BaseModel):
    model_config = _STRICT
    name: str
    iou: _Share
    hits: _Count
    truth: _Count
    predicted: _Count
    scored: bool = True


class _Classes(BaseModel):
    model_config = _STRICT
    miou: _Share
    classes: list[_Class]
    groups: list[_Class] = []


class _Set(BaseModel):
    model_config = _STRICT
    consistency: _Share
    pixels: _Count


class _Views(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    source: _Classes = _ABSENT  # a view may be missing, and is not null
    projected: _Classes = _ABSENT
    set: _Set = _ABSENT


class _Pooled(BaseModel):
    model_config = _STRICT
    images: _Count
    views: _Views


class _Part(_Pooled):
    taxonomy: str | None
    taxonomy_sha256: str | None


class _Evaluation(BaseModel):
    model_config = _STRICT
    format: Literal[FORMAT]  # type: ignore[valid-type]  # the number that this version writes
    source: str
    sets: dict[str, _Part] = Field(min_length=1)
    pooled: _Pooled


def problem(document: Any) -> str | None:
    """Where a document first departs from what `lsu-seg evaluate` writes, and how; None if it does not."""
    try:
        _Evaluation.model_validate(document)
    except ValidationError as e:
        first = e.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        return f"`{where}`: {first['msg'][:1].lower()}{first['msg'][1:]}"
    return None
