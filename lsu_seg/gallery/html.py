"""Galleries in HTML: pictures inside the page, without script. Pointing at a picture takes the outline off."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from html import escape

from lsu_seg.gallery.crop import COLOUR
from lsu_seg.gallery.gallery import Crop

STYLE = f"""
.crops {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(180px, 1fr)); gap: 8px; }}
.crops figure {{ margin: 0; }}
.picture {{ position: relative; display: block; width: 100%; aspect-ratio: 3 / 2; background: #8882; }}
.picture img {{ position: absolute; width: 100%; height: 100%; object-fit: contain; }}
.picture:hover .outline {{ visibility: hidden; }}
.crops figcaption {{ font-size: 12px; overflow-wrap: anywhere; opacity: .8; }}
.outlined {{ box-shadow: 0 0 0 2px rgb{COLOUR}; margin: 0 3px; }}
"""
"""What the figures need. A page allows pictures by `img-src data:`."""


def figures(crops: Iterable[Crop], name: str) -> str:
    """The crops that show the class `name`."""
    return f'<div class="crops">{"".join(_figure(crop, name) for crop in crops)}</div>'


def _figure(crop: Crop, name: str) -> str:
    place = "/".join(crop.path.with_suffix("").parts[-2:])  # in some datasets, all images have one name
    line = f'<img class="outline" alt="" src="{data_uri(crop.outline)}">'
    return (
        f'<figure title="{escape(str(crop.path))}">{picture(crop.picture, line, crop.size, name)}'
        f"<figcaption>{escape(place)}, {percent(crop.share)}</figcaption></figure>"
    )


def picture(content: bytes, outline: str, size: tuple[int, int], name: str) -> str:
    """A picture under the element of its outline."""
    return (
        f'<span class="picture"><img loading="lazy" alt="{escape(name)}" width="{size[0]}" height="{size[1]}"'
        f' src="{data_uri(content)}">{outline}</span>'
    )


def data_uri(content: bytes) -> str:
    """The file as part of a page: PNG, JPEG or WebP.

    >>> data_uri(b"RIFF")
    'data:image/webp;base64,UklGRg=='
    """
    kind = {b"\x89P": "png", b"\xff\xd8": "jpeg"}.get(content[:2], "webp")
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def percent(share: float) -> str:
    """
    >>> percent(0.5), percent(0.012), percent(0.0001)
    ('50 %', '1.2 %', '<0.1 %')
    """
    value = 100 * share
    return "<0.1 %" if 0 < value < 0.1 else f"{value:.1f} %" if 0 < value < 9.95 else f"{value:.0f} %"
