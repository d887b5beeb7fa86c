"""Train and judge across datasets whose classes disagree: the MMSegmentation side of the toolkit.

Where MMSegmentation is installed, `import lsu_seg` makes our parts known to mmengine's registries and takes care of the
stack's rough edges (`openmmlab`). It imports neither torch nor our own modules; those come with the first name that is
looked up. Without MMSegmentation the rooms that need no torch work: `label_files`, `layout` and `scan`.
"""

from importlib.util import find_spec

if all(find_spec(name) for name in ("torch", "mmengine", "mmseg")):
    from lsu_seg.openmmlab import compat

    compat.install()  # before anything imports mmseg.models or loads a checkpoint

    from lsu_seg.openmmlab import registry  # noqa: F401
