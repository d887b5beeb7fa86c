"""What Label Studio exports as JSON: tasks, with the brushes of their annotations."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, BinaryIO

from lsu_seg.review.brush import decode
from lsu_seg.review.elements import elements
from lsu_seg.review.errors import ReviewError
from lsu_seg.review.returned import Layers, Returned
from lsu_seg.review.tasks import name_and_label

_EXPECTED = 'export the project from Label Studio as "JSON"'


def read(place: str, file: BinaryIO) -> Iterator[Returned]:
    """The tasks that people have submitted; of several annotations of a task, the latest.

    Raises:
        ReviewError: it is damaged, or of another format.
    """
    for number, task in enumerate(_tasks(place, file), 1):
        if not isinstance(task, dict):
            raise ReviewError(f"{place}: expected a list of tasks; {_EXPECTED}")
        of = f"{place}: task {task.get('id', number)}"
        if not isinstance(task.get("annotations"), list) or not isinstance(task.get("data"), dict):
            raise ReviewError(f'{of} has no `annotations` and `data`; {_EXPECTED}, and not as "JSON-MIN"')
        submitted = [a for a in task["annotations"] if isinstance(a, dict) and not a.get("was_cancelled")]
        if not submitted:
            continue
        annotation = max(submitted, key=_time)
        data = task["data"]
        name, digits = name_and_label(str(data.get("image", "")))
        results = annotation.get("result")
        if not isinstance(results, list):
            raise ReviewError(f"{of}: `result` of its annotation is {results!r}; {_EXPECTED}")
        name, shown = str(data.get("name") or name), str(data.get("label_sha256") or digits)
        layers = partial(_layers, f"{of} (`{name}`)", results)
        yield Returned(of, name, layers, _who(annotation), _time(annotation), shown)


def _tasks(place: str, file: BinaryIO) -> Iterator[Any]:
    try:
        yield from elements(file)
    except (ValueError, RecursionError) as error:
        raise ReviewError(f"{place}: cannot be read ({error}); {_EXPECTED}") from error


def _time(annotation: dict[str, Any]) -> str:
    return str(annotation.get("updated_at") or annotation.get("created_at") or "")


def _who(annotation: dict[str, Any]) -> str:
    by = annotation.get("completed_by", "")
    return str(by.get("email") or by.get("id") or "") if isinstance(by, dict) else str(by)


def _layers(place: str, results: list[Any], height: int, width: int) -> Layers:
    for result in results:
        kind = result.get("type") if isinstance(result, dict) else None
        if kind in ("choices", "textarea", "rating", "relation", "pairwise", "number", "datetime"):
            continue  # of controls that a team has added
        if kind != "brushlabels":
            raise ReviewError(f"{place}: found a region of `{kind}`; expected `brushlabels`, which have pixels")
        try:
            value = result["value"]
            if (result["original_height"], result["original_width"]) != (height, width):
                raise ValueError(f"the image was {result['original_width']}x{result['original_height']}")
            if result.get("image_rotation"):
                raise ValueError("the image was turned")
            names = value["brushlabels"]
            if not isinstance(names, list) or len(names) != 1:
                raise ValueError(f"its classes are {names!r}; expected a list of one")
            if not isinstance(value["rle"], list):
                raise ValueError("its run lengths are no list")
            yield str(names[0]), decode(value["rle"], height, width)
        except (KeyError, TypeError, ValueError) as error:
            raise ReviewError(f"{place}: a brush is damaged, or of another image ({error}); {_EXPECTED}") from error
