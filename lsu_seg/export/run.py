"""One export: labelling runs in, a folder for other programs out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from lsu_onto import write_atomic
from lsu_seg.errors import UserError
from lsu_seg.export import card, to_coco, to_folder, to_hf, to_webdataset
from lsu_seg.export.labelled import ExportError, labelled_items, read_runs
from lsu_seg.export.shards import SHARD_BYTES
from lsu_seg.export.target import target
from lsu_seg.runtime.progress import progress

_HOW = {
    "hf": """\
```python
from datasets import load_dataset

dataset = load_dataset({folder}, split="{split}")  # columns: image, label, confidence if there is any, dataset, name
```

`label` holds the numbers below; `id2label.json` and `classes.json` have their names and colours. `image` is the
dataset's own file, `name` its label's path there without the suffix. `confidence` is 255 where the teacher was certain.
""",
    "webdataset": """\
```python
from io import BytesIO
from pathlib import Path

import webdataset
from PIL import Image

shards = sorted(map(str, Path({folder}, "data").glob("{split}-*.tar")))
# "pil" makes RGB of all images, of labels their colours: these have a decoder of their own.
labels = webdataset.handle_extension("label.png", lambda data: Image.open(BytesIO(data)))
samples = webdataset.WebDataset(shards, shardshuffle=False).decode(labels, "pil")
samples = samples.to_tuple("jpg;jpeg;png", "label.png", "json")
```

`label.png` holds the numbers below; `classes.json` has their names and colours. `json` has the dataset, and as `name`
the label's path there without the suffix. `confidence.png`, where there is one, is 255 where the teacher was certain.
""",
    "folder": """\
`images/SPLIT/DATASET/KEY.*` belongs to `labels/SPLIT/DATASET/KEY.png`, which holds the numbers below; `classes.json`
has their names and colours. `confidence/` is 255 where the teacher was certain. Pixels are meant as they are stored,
without regard to an EXIF orientation.
""",
    "coco-panoptic": """\
`annotations/panoptic_SPLIT.json` is in the panoptic format of COCO. Each class is one segment of an image: category
and segment have the number of the class plus 1, and 0 is void. Pixels are meant as they are stored, without regard to
an EXIF orientation.
""",
}


def export_dataset(
    roots: Sequence[Path],
    output: Path,
    format_: str,
    data_roots: Mapping[str, Path],
    paths: Sequence[str] = (),
    copy: bool = False,
    unfinished: bool = False,
    shard_bytes: int = SHARD_BYTES,
) -> int:
    """Write the labelled images of some runs as one dataset. A stopped export resumes.

    Args:
        roots: the folders of labels.
        format_: one of `FORMATS`.
        data_roots, paths: as for `read_runs`.
        copy: files instead of links to files; `hf` and `webdataset` always have copies.
        unfinished: as for `labelled_items`.
        shard_bytes: about how large a file of `hf` or `webdataset` becomes.

    Returns:
        the number of images.

    Raises:
        UserError: see `read_runs`, `labelled_items`, `target`; or the disk refuses to write.
    """
    if format_ == "hf":
        to_hf.check_installed()
    runs = read_runs(roots, data_roots, paths)
    items = labelled_items(runs, unfinished)
    name = output.resolve().name
    sharded = {"hf": to_hf, "webdataset": to_webdataset}.get(format_)
    settings = {"to": format_, "copy": copy and not sharded, "shard_bytes": shard_bytes if sharded else 0}
    try:
        with target(output, items, settings), progress(f"exporting to {name}", len(items)) as advance:
            if sharded:
                sharded.write(output, items, advance, shard_bytes)
            else:
                (to_folder if format_ == "folder" else to_coco).write(output, items, advance, copy)
            text = card.card(
                runs, _HOW[format_].format(folder=json.dumps(name, ensure_ascii=False), split=items[0].split)
            )
            files = {"classes.json": card.classes(runs[0]), "README.md": text}
            if format_ == "hf":
                files |= {"id2label.json": card.id2label(runs[0]), "README.md": card.front_matter(items) + text}
            for file, content in files.items():
                write_atomic(output / file, content.encode("utf-8", "backslashreplace"))
    except UserError:
        raise
    except OSError as error:
        where = error.filename or output
        raise ExportError(
            f"{where}: cannot write there ({error.strerror or error}); what is written so far is whole, and the same"
            " command resumes from there"
        ) from error
    return len(items)
