"""IDD-Lite merges IDD's classes: what its pixels may be is what its members may be."""

from __future__ import annotations

import numpy as np
import pytest

import lsu_onto

MEMBERS = {
    "drivable": "road parking drivable_fallback",
    "non_drivable": "sidewalk rail_track non_drivable_fallback",
    "living_things": "person animal rider",
    "vehicles": "motorcycle bicycle autorickshaw car truck bus caravan trailer train vehicle_fallback",
    "road_side_objects": "curb wall fence guard_rail billboard traffic_sign traffic_light pole obs_str_bar_fallback",
    "far_objects": "building bridge tunnel vegetation",
    "sky": "sky fallback_background",
}
"""By the official level1Id. IDD's groups of poles with their gaps, which may be anything, are left out."""


@pytest.mark.parametrize("source", ["cityscapes", "vistas"])
@pytest.mark.parametrize("name", MEMBERS)
def test_what_a_pixel_may_be(name: str, source: str) -> None:
    lite, idd = lsu_onto.load("idd_lite", source), lsu_onto.load("idd", source)
    rows = [idd.classes.index(member) for member in MEMBERS[name].split()]
    assert np.array_equal(lite.allowed[lite.classes.index(name)], idd.allowed[rows].any(0))
