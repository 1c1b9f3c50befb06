"""A plot of pairs of bars, as SVG: plain text, so that a change of the figures is a change that can be read."""

from __future__ import annotations

from html import escape

WIDTH, BAR, GAP, LEFT, RIGHT = 720, 16, 14, 220, 70
COLOURS = {"guide": "#b0b7c3", "product": "#2f6feb"}
STYLE = "font: 12px sans-serif; fill: #24292f"


def bars(title: str, pairs: dict[str, tuple[float, float]]) -> str:
    """Seconds of the guide and of the product for each piece of work, the longest bar as wide as the plot."""
    longest = max(max(pair) for pair in pairs.values())
    top = 60
    lines = [f'<text x="10" y="22" style="{STYLE}; font-size: 15px; font-weight: bold">{escape(title)}</text>']
    for position, (name, colour) in enumerate(COLOURS.items()):
        x = LEFT + 110 * position
        lines.append(f'<rect x="{x}" y="34" width="12" height="12" fill="{colour}"/>')
        lines.append(f'<text x="{x + 18}" y="44" style="{STYLE}">{name}</text>')
    for name, pair in pairs.items():
        lines.append(f'<text x="10" y="{top + BAR + 4}" style="{STYLE}">{escape(name)}</text>')
        for value, colour in zip(pair, COLOURS.values(), strict=True):
            width = max(1, (WIDTH - LEFT - RIGHT) * value / longest)
            lines.append(f'<rect x="{LEFT}" y="{top}" width="{width:.0f}" height="{BAR}" fill="{colour}"/>')
            lines.append(f'<text x="{LEFT + width + 6:.0f}" y="{top + BAR - 4}" style="{STYLE}">{value:.1f} s</text>')
            top += BAR
        top += GAP
    body = "\n".join(lines)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top}" role="img" '
        f'aria-label="{escape(title, quote=True)}">\n<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )
