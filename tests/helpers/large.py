"""A large ontology as one meets them: 66 dataset classes, 63 source classes, every kind of relation, long names."""

from __future__ import annotations

import colorsys

DATASET, SOURCE = 66, 63

_GROUPS = {
    "construction.barrier": "curb fence guard_rail wall road_divider",
    "construction.flat": "road sidewalk bike_lane crosswalk_plain curb_cut parking pedestrian_area rail_track"
    " service_lane",
    "construction.structure": "bridge building tunnel",
    "human.person": "individual person_group",
    "human.rider": "bicyclist motorcyclist other_rider",
    "marking": "crosswalk_zebra general dashed_line stop_line arrow_left",
    "nature": "mountain sand sky snow terrain vegetation",
    "object": "banner bench bike_rack billboard catch_basin fire_hydrant mailbox manhole pothole street_light"
    " trash_can",
    "object.support": "pole traffic_sign_frame utility_pole",
    "object.traffic": "traffic_light traffic_sign_back traffic_sign_front",
    "vehicle": "bicycle boat bus car caravan motorcycle on_rails other_vehicle trailer truck wheeled_slow",
    "void_like": "ego_vehicle car_mount",
}
SHORT = [(group, name) for group, names in _GROUPS.items() for name in names.split()]


def _colour(i: int) -> str:
    r, g, b = colorsys.hsv_to_rgb(i * 0.618 % 1, (0.3, 0.6, 0.95)[i % 3], (1.0, 0.75, 0.35)[i % 3])
    return f"#{int(r * 255):02x}{int(g * 255):02x}{int(b * 255):02x}"


def source_name(k: int) -> str:
    group, name = SHORT[k]
    return f"{group.replace('.', '_')}_{name}"


def large_tax() -> str:
    """The `.tax` text: no errors, and every operator, decision, group target, note and the classes never drawn."""
    lines = ["tax 1", "source wide v1", "", "title: Sixty-three classes", ""]
    group = None
    for k in range(SOURCE):
        if SHORT[k][0] != group:
            group = SHORT[k][0]
            lines.append(f"[{group}]")
        official = f"{group.replace('.', '--')}--{SHORT[k][1].replace('_', '-')}"
        lines.append(f'{k}  {source_name(k)}  "{official}"  {_colour(k)}  # wide {SHORT[k][1]}')
    lines += ["", "dataset many v3 -> wide v1", "", "title: Sixty-six classes", "void: 255", ""]
    relations = list(_relations())
    group = None
    for d, relation in enumerate(relations):
        new = ("traffic", "traffic.movers", "surroundings", "surroundings.ground", "things.small", "rest")[d // 11]
        if new != group:
            group = new
            lines.append(f"[{group}]")
        ids = "-" if d == 65 else f"{2 * d},{2 * d + 1}" if d % 9 == 0 else str(2 * d)
        lines.append(
            f"{ids}  label_{d:02}_{'of_a_rather_long_name' if d % 7 == 3 else 'x'}  {_colour(d + 31)}  {relation}"
        )
    return "\n".join(lines) + "\n"


def _relations() -> list[str]:
    """One for each of the 66 classes. The sides are in different orders, as they are in life; what one class holds
    whole, no other touches."""

    def s(i: int) -> str:
        return source_name((i + 35) % SOURCE)

    out = [f"= {s(k)}" for k in range(20)]
    out += [f"> {s(20 + 2 * i)} {s(21 + 2 * i)}  # both, and nothing else" for i in range(5)]
    out += [f"< {s(30 + i % 10)}  # a part of it" for i in range(14)]
    out += [f"~ {s(40 + i)} {s(41 + i)} {s(42 + i)}" for i in range(9)]
    out += [f"~ {s(45 + i)} void  # partly nothing that `wide` knows" for i in range(8)]
    out += [f"~ @nature void ! {source_name(29)}", "~ @construction.flat @human.rider  # where they ride"]
    out += ["! any  # known to be none of them", "! any", "-> void  # too rare to trust", "-> void"]
    return [*out, "-> any  # the teacher decides", f"-> any ! @vehicle {s(0)}", "-> any ! void", "-> void"]
