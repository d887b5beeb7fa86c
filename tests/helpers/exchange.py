"""Inputs of the importers, and what a test does with them."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from lsu_onto.cli import main
from lsu_onto.exchange import export
from lsu_onto.library.library import Library

RICH = """\
tax 1
dataset field v2 -> demo v1
title: Field, a "set" | of all
void: 255
[g.a]
0,7..9 path #010203,#010204 aka way "foot way" = sidewalk # commas, | pipes; and #hash
1 mixed "mixed: 'it'" ~ road void
2 beast "the beast" ! any # known
[g.b]
3 rock -> void
4 stuff -> any ! @vehicle
5 vehicle > truck
          ~ car void   # pick-ups
- tram < road
"""

LIST = """\
id,name,color,train_id,void,instances,supercategory,note
0,unlabeled,#000000,255,1,0,void,
1,road way,#804080,0,0,0,flat,"the drivable part, all of it"
2,Void,#111111,255,0,0,,
-1,licence-plate,#00008e,255,0,1,vehicle,
7,car,#00008e,1,0,1,vehicle,
"""

LABELS = """\
0,name,id,trainId,category,categoryId,hasInstances,ignoreInEval,color
0,void,0,0,,,,,
1,road ,1,1,,,,,#804080
2,tree-merged,2,2,,,,,
3,grass,3,3,,,,,
4,car,4,4,,,,,
5,car,5,5,,,,,
6,"a ""big"" thing, odd",6,6,,,,,
7,puddle,-1,7,,,,,
8,anything,8,8,,,,,
9,kerb,8,9,,,,,blue
"""

MASTER = """\
id,name,,,,
0,street,road,anything,,
1,traffic light,tree-mergedvoid,anything,
2,green,tree-merged,grass,anything,grass
3,car,car,anything,gras,
255,void,void,grass,anything,  ,
"""

MSEG = (
    "Parent Category\ttown-4\tother-2\tuniversal\twordnet\n"
    "flat\t{road, lane}\t\troad\tx\n"
    "flat\tpavement\tpath\tsidewalk-pavement\tx\n"
    "animal\t\tpath\tbird\tx\n"
    "\t\t\tsign\tx\n"
    "void\tego vehicle\t\tunlabeled\tx\n"
)

MODULE = """\
import torch_that_is_not_there
class TownDataset(Base):
    METAINFO = dict(classes=('road', 'big car'), palette=[[128, 64, 128], [0, 0, 142]])
    def __init__(self, suffix='.png', reduce_zero_label=True, **kwargs): ...
class Other:
    METAINFO = {'classes': names(), 'palette': []}
"""


def exported(file: Path, format_: str) -> str:
    return export(Library().ontology(file), format_)


def run(*args: str | Path) -> Result:
    result = CliRunner().invoke(main, list(map(str, args)))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def errors(text: str, beside: Path | None = None) -> list[str]:
    found = Library([beside] if beside else []).check("imported.tax", text).diagnostics
    return [f"{d.code} {d.message}" for d in found if d.severity != "info"]
