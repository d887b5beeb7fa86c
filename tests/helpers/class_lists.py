"""Class lists as annotation tools and datasets write them, small."""

from __future__ import annotations

MAPILLARY = {
    "labels": [
        {"color": [165, 42, 42], "instances": True, "readable": "Bird", "name": "animal--bird", "evaluate": True},
        {"color": [1, 2, 3], "instances": False, "readable": "A", "name": "object--front", "evaluate": True},
        {"color": [4, 5, 6], "instances": False, "readable": "B", "name": "sign--front", "evaluate": True},
        {"color": [0, 0, 0], "instances": False, "readable": "U", "name": "void--unlabeled", "evaluate": False},
    ],
    "version": 1.1,
    "mapping": "public",
    "folder_structure": "{split}/{content}/{key:.{22}}.{ext}",
}

SUPERVISELY = {
    "classes": [
        {"title": "lemon", "shape": "bitmap", "color": "#51C6AA", "geometry_config": {}, "id": 71, "hotkey": ""},
        {"title": "big kiwi", "shape": "polygon", "color": "#FF0000", "geometry_config": {}, "id": 72, "hotkey": ""},
    ],
    "tags": [{"name": "fresh", "value_type": "none", "color": "#000000", "id": 7, "classes": []}],
    "projectType": "images",
}

CVAT = [
    {"name": "road", "id": 4012, "color": "#804080", "type": "any", "attributes": []},
    {"name": "traffic light", "id": 4013, "color": "#faaa1e", "type": "polygon", "attributes": [{"name": "state"}]},
]

COCO = {
    "images": [],
    "annotations": [],
    "categories": [
        {"supercategory": "person", "isthing": 1, "color": [220, 20, 60], "id": 1, "name": "person"},
        {"supercategory": "outdoor", "isthing": 1, "color": [250, 170, 30], "id": 10, "name": "traffic light"},
    ],
}

LABEL_STUDIO = """\
<View>
  <Image name="image" value="$image"/>
  <BrushLabels name="tag" toName="image">
    <Label value="Road" background="#804080"/>
    <Label value="traffic light" background="rgba(255, 0, 0, 0.7)" alias="tl"/>
  </BrushLabels>
  <PolygonLabels name="poly" toName="image"><Label value="Road"/><Label value="Sky"></Label></PolygonLabels>
</View>
"""

CVAT_XML = """\
<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task>
      <name>a task</name>
      <labels>
        <label><name>road</name><color>#804080</color><type>any</type>
          <attributes><attribute><name>wet</name><values>yes</values></attribute></attributes></label>
        <label><name>big car</name><color>#00008e</color><attributes></attributes></label>
      </labels>
    </task>
  </meta>
  <image id="0" name="a.png"><polygon label="road" points="0,0;1,1"/></image>
</annotations>
"""

LABELMAP = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nroad:128,64,128::\nbig car: 0, 0, 142:wheel:drives\n"
