"""Where the marks of a chart go, in the units of its SVG; the template draws them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from index_builder.report.figures import SCORE_STEP, Cluster

WIDTH, HEIGHT = 480, 280
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 16, 50
MAP_WIDTH, MAP_HEIGHT, EDGE = 960, 620, 40
SMALLEST, LARGEST = 3.0, 22.0
# Of the labels: how many at most, and about how wide and high a letter is. ``BIG`` are those that
# a phone shows, where letters are so much larger.
LABELS, LETTER, LINE = 60, 7.4, 17.0
BIG, LARGER = 9, 2.3


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar, and what it says when a pointer is on it."""

    x: float
    y: float
    width: float
    height: float
    says: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line: the points of an SVG polyline, and its name as a class of the style sheet."""

    name: str
    points: str


@dataclass(frozen=True, slots=True)
class Bubble:
    """A cluster on the map; ``label`` is empty where there is no room for it."""

    cluster: Cluster
    x: float
    y: float
    radius: float
    label: str
    big: bool


@dataclass(frozen=True, slots=True)
class Scale:
    """From a value to a place."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The place of a value; values outside are at the end that is nearer."""
        part = (value - self.low) / (self.high - self.low)
        return round(self.start + min(max(part, 0.0), 1.0) * (self.end - self.start), 1)

    def ticks(self, step: float, form: str) -> list[Tick]:
        """Marks at multiples of ``step``."""
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        values = [number * step for number in range(first, last + 1)]
        return [Tick(self(value), form.format(value)) for value in values]


def across(low: float, high: float) -> Scale:
    """A scale from left to right."""
    return Scale(low, high if high > low else low + 1, LEFT, WIDTH - RIGHT)


def upwards(low: float, high: float) -> Scale:
    """A scale from the bottom to the top."""
    return Scale(low, high if high > low else low + 1, HEIGHT - BOTTOM, TOP)


def step_of(span: float, marks: int) -> float:
    """A round distance, so that about so many marks fit a span."""
    rough = max(span, 1e-9) / marks
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= rough * 0.999)


def bars(counts: Sequence[int], scale: Scale, names: Iterable[str]) -> list[Bar]:
    """A histogram over the whole width."""
    wide = (WIDTH - LEFT - RIGHT) / len(counts)
    found = []
    for place, (count, name) in enumerate(zip(counts, names, strict=True)):
        top = scale(count)
        found.append(
            Bar(
                round(LEFT + place * wide, 1),
                top,
                round(wide - 1.5, 1),
                round(HEIGHT - BOTTOM - top, 1),
                f"{name}: {count:,}",
            )
        )
    return found


def line(name: str, points: Iterable[tuple[float, float]], x: Scale, y: Scale) -> Line:
    """A line through points."""
    return Line(name, " ".join(f"{x(right)},{y(up)}" for right, up in points))


def shares(counts: Sequence[int]) -> list[tuple[float, float]]:
    """A histogram of scores as points: the middle of each bar, and its share of the questions."""
    total = max(sum(counts), 1)
    return [((place + 0.5) * SCORE_STEP, count / total) for place, count in enumerate(counts)]


def bubbles(clusters: Sequence[Cluster]) -> list[Bubble]:
    """Clusters, the largest first, as circles of their size, labelled where there is room."""
    most = max((cluster.documents for cluster in clusters), default=1) or 1
    taken: list[tuple[float, float, float, float]] = []
    taken_big: list[tuple[float, float, float, float]] = []
    found, labels, big = [], 0, 0
    for cluster in clusters:
        x = round(EDGE + cluster.x * (MAP_WIDTH - 2 * EDGE), 1)
        y = round(EDGE + cluster.y * (MAP_HEIGHT - 2 * EDGE), 1)
        radius = round(max(LARGEST * math.sqrt(cluster.documents / most), SMALLEST), 1)
        label = " ".join(cluster.words[:2])
        fits = bool(label) and labels < LABELS and _place(label, x, y, 1.0, taken)
        large = fits and big < BIG and _place(label, x, y, LARGER, taken_big)
        labels, big = labels + fits, big + large
        found.append(Bubble(cluster, x, y, radius, label if fits else "", large))
    return found


def _place(
    label: str, x: float, y: float, larger: float, taken: list[tuple[float, float, float, float]]
) -> bool:
    """Whether a label, centred there, is on the map and clear of the others; takes the room."""
    half, high = len(label) * LETTER * larger / 2, LINE * larger / 2
    box = (x - half, y - high, x + half, y + high)
    if box[0] < 0 or box[2] > MAP_WIDTH:
        return False
    for other in taken:
        if box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]:
            return False
    taken.append(box)
    return True
