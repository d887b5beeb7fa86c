"""How a config finds our parts. Each test is a process of its own: what counts is what has been imported."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from helpers.forkserver import Server

pytest.importorskip("mmseg")

# Takes the place of `lsu_seg/openmmlab/components.py`, so that the real lookup finds a class that only this test has.
COMPONENTS = """
from lsu_seg.registry import DATASETS, LOOPS, MODELS, register

@register(DATASETS)
class DummyDataset: ...

@register(MODELS)
class DummyModel: ...

@register(LOOPS)
class DummyLoop: ...
"""

# What a user's process does: the config's custom_imports, then names. `scope` is the config's default_scope.
START = """
import sys
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, LOOPS, METRICS, MODELS, VISUALIZERS
{before}
import lsu_seg.openmmlab
lsu_seg.openmmlab.__path__.insert(0, {folder!r})
scope = {scope!r}
init_default_scope(scope)

def build(registry, name):
    return type(registry.build(dict(type=name))).__name__
"""


UNAIDED = "the original mmseg cannot be imported before us where MMCV has no compiled operators"


@pytest.fixture
def run(libraries: Server, tmp_path: Path) -> Callable[[str], str]:
    """The output of a Python that has not imported MMSegmentation."""

    def output(code: str) -> str:
        exit_code, said = libraries.run(tmp_path / "log.txt", code=code)
        assert exit_code == 0, said
        return said

    return output


@pytest.fixture
def start(tmp_path: Path):
    (tmp_path / "components.py").write_text(COMPONENTS)

    def code(scope: str, before: str = "") -> str:
        return START.format(scope=scope, folder=str(tmp_path), before=before)

    return code


@pytest.mark.parametrize("scope", ["mmseg", "lsu_seg"])
def test_names_resolve_in_both_scopes(run, start, scope: str) -> None:
    run(
        start(scope)
        + """
for prefix in ('', 'lsu_seg.'):
    assert build(DATASETS, prefix + 'DummyDataset') == 'DummyDataset'
    assert build(MODELS, prefix + 'DummyModel') == 'DummyModel'
    assert build(LOOPS, prefix + 'DummyLoop') == 'DummyLoop'

# mmseg's own names stay what they were, and are found from our scope as well
for registry, name in (MODELS, 'EncoderDecoder'), (METRICS, 'IoUMetric'), (VISUALIZERS, 'SegLocalVisualizer'):
    here = registry.children['lsu_seg'] if scope == 'lsu_seg' else registry
    assert here.get(name).__module__.startswith('mmseg.'), name
"""
    )


@pytest.mark.skipif(not packages_distributions()["mmseg"][0].startswith("onedl"), reason=UNAIDED)
def test_import_after_mmseg_was_used(run, start) -> None:
    """Somebody built an mmseg model first: the registry has done its imports, and must do ours still."""
    before = "assert MODELS.get('EncoderDecoder') and MODELS._imported"
    run(start("mmseg", before) + "assert build(MODELS, 'DummyModel') == 'DummyModel'")


def test_import_is_light() -> None:
    """So that the parts without OpenMMLab work where it is broken, or missing in part."""
    heavy = ("torch", "mmcv", "cv2", "mmseg", "mmengine", "PIL", "lsu_seg.openmmlab.registry")
    code = f"import sys, lsu_seg; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_mmseg_registry_has_a_child_of_ours() -> None:
    from mmengine.registry import Registry
    from mmseg import registry as mmseg_registry

    from lsu_seg.openmmlab import registry

    for name in mmseg_registry.__all__:
        child = getattr(registry, name)
        assert isinstance(child, Registry)
        assert child.parent is getattr(mmseg_registry, name)
        assert child.scope == "lsu_seg"


def test_registries_of_others_are_left_alone() -> None:
    """Registries without locations share one default list; appending to it would reach every one of them."""
    from mmengine import registry as root

    import lsu_seg.openmmlab.registry  # noqa: F401

    assert root.LOOPS._locations == []
    assert root.Registry("probe", scope="probe")._locations == []


def test_the_same_name_twice_is_an_error(run) -> None:
    run(
        """
from lsu_seg.registry import MODELS, register
@register(MODELS)
class Twice: ...
try:
    register(MODELS)(type('Twice', (), {}))
except KeyError as error:
    assert 'Twice is already registered' in str(error)
else:
    raise AssertionError
"""
    )
