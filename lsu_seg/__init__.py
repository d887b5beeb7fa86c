"""Train and judge across datasets whose classes disagree: the MMSegmentation side of the toolkit.

Where MMSegmentation is installed, `import lsu_seg` sees to it that our parts are known to mmengine's registries, and
takes care of the stack's rough edges (`openmmlab`). All of that waits until somebody imports OpenMMLab: here neither
OpenMMLab nor torch nor our own modules are imported.

Without MMSegmentation, `set_nll`, `targets` and `decode` work with torch alone, and `label_files`, `layout` and `scan`
without torch.
"""

import sys
from importlib.util import find_spec

# With an older Python, of a clone, nothing of ours can be imported, and the program says so.
if sys.version_info >= (3, 11) and all(find_spec(name) for name in ("torch", "mmengine", "mmseg")):
    from lsu_seg.openmmlab import compat

    compat.install()  # before anything imports mmseg.models or loads a checkpoint
