"""The reliability diagram: per bin of confidence, the share of pixels that are right."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

_SIDE, _LEFT, _TOP, _BAR = 240, 46, 34, 40
"""Of the plot, the margins beside and above it, and the height of the pixels' histogram below it."""
_STYLE = """
.reliability{color:#222;background:none}
@media(prefers-color-scheme:dark){.reliability{color:#ddd}}
.reliability text{font:12px system-ui,sans-serif;fill:currentColor}
.reliability .title{font-weight:600}
.reliability .small{font-size:10px}
.reliability .frame,.reliability .diagonal{fill:none;stroke:currentColor;stroke-opacity:.45}
.reliability .diagonal{stroke-dasharray:4 3}
.reliability .right{fill:#2a78b5}
.reliability .gap{fill:#d5562b;fill-opacity:.35}
.reliability .count{fill:currentColor;fill-opacity:.35}
"""
"""Every rule begins with the diagram's own class, because it may lie in a page."""


def reliability_svg(reliability: Mapping[str, Any], title: str) -> str:
    """The diagram of an evaluation's `reliability`: before, and beside it after, where there is a temperature.

    Bars are the share of a bin's pixels that are right, and the tinted rest is how far the mean confidence is from it.
    On the diagonal, confidence is what it says. Below are the shares of all pixels.
    """
    panels = [(key, reliability[key]) for key in ("before", "after") if key in reliability]
    width, height = len(panels) * (_SIDE + _LEFT + 24), _TOP + _SIDE + _BAR + 54
    body = [
        _panel(i * (_SIDE + _LEFT + 24) + _LEFT, _heading(key, part, reliability), part)
        for i, (key, part) in enumerate(panels)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        f' class="reliability" role="img" aria-label="{escape(title)}: reliability diagram">'
        f'<style>{_STYLE}</style><text class="title" x="{_LEFT}" y="14">{escape(title)}</text>{"".join(body)}</svg>\n'
    )


def _heading(key: str, part: Mapping[str, Any], reliability: Mapping[str, Any]) -> str:
    temperature = 1 if key == "before" else reliability["temperature"]
    ece = part["ece"]
    error = "no pixel with ground truth" if not part["pixels"] or ece is None else f"error {100 * ece:.1f} %"
    return f"temperature {temperature:.3g}: {error}"


def _panel(x: float, heading: str, part: Mapping[str, Any]) -> str:
    bins = part["bins"]
    pixels = [int(n) for n in bins["pixels"]]
    step, bottom = _SIDE / len(pixels), _TOP + _SIDE
    out = [f'<text x="{x}" y="{_TOP - 6}">{escape(heading)}</text>']
    for i, (n, accuracy, confidence) in enumerate(zip(pixels, bins["accuracy"], bins["confidence"], strict=True)):
        if not n:
            continue
        left, share = x + i * step, n / sum(pixels)
        low, high = sorted((accuracy, confidence))
        tip = f"confidence {100 * confidence:.1f} %, right {100 * accuracy:.1f} %, {100 * share:.2g} % of the pixels"
        out.append(
            f"<g><title>{tip}</title>"
            f"{_bar('right', left, bottom, step, accuracy * _SIDE)}"
            f"{_bar('gap', left, bottom - low * _SIDE, step, (high - low) * _SIDE)}"
            f"{_bar('count', left, bottom + 6 + _BAR, step, share * _BAR)}</g>"
        )
    out.append(f'<rect class="frame" x="{x}" y="{_TOP}" width="{_SIDE}" height="{_SIDE}"/>')
    out.append(f'<path class="diagonal" d="M{x} {bottom}L{x + _SIDE} {_TOP}"/>')
    for value in (0, 0.5, 1):
        up, right, under = bottom - value * _SIDE, x + value * _SIDE, bottom + _BAR + 18
        out.append(f'<text class="small" text-anchor="end" x="{x - 5}" y="{up + 3:g}">{value:g}</text>')
        out.append(f'<text class="small" text-anchor="middle" x="{right:g}" y="{under}">{value:g}</text>')
    middle = _TOP + _SIDE / 2
    out.append(f'<text text-anchor="middle" x="{x + _SIDE / 2:g}" y="{bottom + _BAR + 34}">confidence</text>')
    out.append(
        f'<text text-anchor="middle" transform="translate({x - 28:g} {middle:g}) rotate(-90)">'
        "share that is right</text>"
    )
    return "".join(out)


def _bar(kind: str, left: float, bottom: float, width: float, height: float) -> str:
    top, wide = bottom - height, max(0.5, width - 1)
    return f'<rect class="{kind}" x="{left + 0.5:.2f}" y="{top:.2f}" width="{wide:.2f}" height="{height:.2f}"/>'
