"""Lines over a common axis as a small SVG file, for the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

COLOURS = ("#0f6cb0", "#cc5200", "#666b73")


def draw_curves(path: Path, curves: Mapping[str, Sequence[float]], *, title: str, x: str) -> None:
    """Curves with values in [0, 1], each named where it ends."""
    width, height, left, top = 720.0, 260.0, 40.0, 36.0
    longest = max(map(len, curves.values()))

    def at(place: int, value: float) -> str:
        return f"{left + place * width / max(1, longest - 1):.1f},{top + height * (1 - value):.1f}"

    lines = []
    for colour, (name, values) in zip(COLOURS, curves.items(), strict=False):
        points = " ".join(at(place, value) for place, value in enumerate(values))
        end_x, end_y = at(len(values) - 1, values[-1]).split(",")
        lines.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
        lines.append(f'<text x="{float(end_x) + 6:.1f}" y="{end_y}" fill="{colour}">{name}</text>')
    ticks = [
        f'<text x="4" y="{top + height * (1 - value) + 4:.1f}" fill="#666b73">{value:.1f}</text>'
        f'<path d="M{left} {top + height * (1 - value):.1f}h{width}" stroke="#e6e3dc"/>'
        for value in (0.0, 0.5, 1.0)
    ]
    body = "\n".join([*ticks, *lines])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width + 130:.0f} {height + 80:.0f}" '
        f'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="#fcfbf8"/>\n'
        f'<text x="{left}" y="20" fill="#1c1e21">{title}</text>\n{body}\n'
        f'<text x="{left}" y="{height + top + 26:.0f}" fill="#666b73">{x}</text>\n</svg>\n',
        encoding="utf-8",
    )
