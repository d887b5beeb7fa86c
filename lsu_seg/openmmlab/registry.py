"""Our registries: scope `lsu_seg`, one child for every registry of mmseg.

A config finds our parts by a bare name in either scope, and by the full name:

    custom_imports = dict(imports=['lsu_seg'])
    dataset = dict(type='TaxDataset')            # default_scope 'mmseg' or 'lsu_seg'
    dataset = dict(type='lsu_seg.TaxDataset')

Nothing of ours is imported for that until a name is looked up. mmengine imports a registry's `locations` at
its first lookup; ours and mmseg's both have `lsu_seg.openmmlab.components` among them, which imports all that
registers.

With `default_scope='lsu_seg'` mmengine looks *every* kind of thing up under our scope first, also kinds that we
add nothing to (a visualizer, say); that is why each of mmseg's registries has a child here. Two rules of
mmengine's lookup shape them:

- a child that lacks a name asks its parent's table, but does not make the parent import its locations; so a
  child imports mmseg's modules as well;
- an mmseg registry without locations imports all of mmseg by another way, which ends when it has some.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from mmengine.registry import Registry
from mmseg import registry as mmseg_registry

_Class = TypeVar("_Class", bound=type)

COMPONENTS = "lsu_seg.openmmlab.components"
_MMSEG = ("mmseg.datasets", "mmseg.engine", "mmseg.evaluation", "mmseg.models", "mmseg.visualization")


def _child(parent: Registry) -> Registry:
    """A registry of our scope below `parent`, and `parent` taught to import our components."""
    locations = [*(parent._locations or _MMSEG), COMPONENTS]
    # A new list, never an append: registries without locations share one list, the default argument.
    parent._locations = locations
    # Looked up before we came? Then once more: what it has imported already costs nothing.
    parent._imported = False
    return Registry(parent.name, parent=parent, scope="lsu_seg", locations=locations)


DATASETS = _child(mmseg_registry.DATASETS)
DATA_SAMPLERS = _child(mmseg_registry.DATA_SAMPLERS)
EVALUATOR = _child(mmseg_registry.EVALUATOR)
HOOKS = _child(mmseg_registry.HOOKS)
INFERENCERS = _child(mmseg_registry.INFERENCERS)
LOG_PROCESSORS = _child(mmseg_registry.LOG_PROCESSORS)
LOOPS = _child(mmseg_registry.LOOPS)
METRICS = _child(mmseg_registry.METRICS)
MODELS = _child(mmseg_registry.MODELS)
MODEL_WRAPPERS = _child(mmseg_registry.MODEL_WRAPPERS)
OPTIMIZERS = _child(mmseg_registry.OPTIMIZERS)
OPTIM_WRAPPERS = _child(mmseg_registry.OPTIM_WRAPPERS)
OPTIM_WRAPPER_CONSTRUCTORS = _child(mmseg_registry.OPTIM_WRAPPER_CONSTRUCTORS)
PARAM_SCHEDULERS = _child(mmseg_registry.PARAM_SCHEDULERS)
RUNNERS = _child(mmseg_registry.RUNNERS)
RUNNER_CONSTRUCTORS = _child(mmseg_registry.RUNNER_CONSTRUCTORS)
TASK_UTILS = _child(mmseg_registry.TASK_UTILS)
TRANSFORMS = _child(mmseg_registry.TRANSFORMS)
VISBACKENDS = _child(mmseg_registry.VISBACKENDS)
VISUALIZERS = _child(mmseg_registry.VISUALIZERS)
WEIGHT_INITIALIZERS = _child(mmseg_registry.WEIGHT_INITIALIZERS)


def register(registry: Registry) -> Callable[[_Class], _Class]:
    """Register a class in one of our registries and in mmseg's registry of that kind.

    The second makes the bare name work in a plain mmseg config, whose scope is `mmseg`: a parent does not look
    into its children.

    >>> @register(DATASETS)  # doctest: +SKIP
    ... class TaxDataset: ...
    """

    def decorate(cls: _Class) -> _Class:
        for table in (registry, registry.parent):
            table.register_module(module=cls)
        return cls

    return decorate


def registries() -> list[Registry]:
    """All of mmengine's, mmseg's and ours."""
    import mmengine.registry

    roots = [r for r in vars(mmengine.registry).values() if isinstance(r, Registry)]
    out = []
    while roots:
        registry = roots.pop()
        out.append(registry)
        roots += registry.children.values()
    return out
