"""Objects made from numbers: mugs, bowls, bottles, boxes and cylinders, closed, in metres, upright
along z.

All are centred at their centre of mass and filled with 150 kg/m^3, as ACRONYM's objects are.
"""

import numpy as np

from geodiff.domains.bodies.records import GraspedObject
from geodiff.domains.bodies.surface import mass_properties

KINDS = ("mug", "bowl", "bottle", "box", "cylinder")
DENSITY = 150.0  # kg / m^3
_HANDLE_STEPS = 16
_Made = tuple[np.ndarray, np.ndarray, list[np.ndarray]]  # vertices, faces, convex parts


def make_object(kind: str, seed: int = 0) -> GraspedObject:
    """The object of a kind that a seed stands for; the same for the same two, whatever was made
    before.

    Its mesh is watertight, without faces inside; `parts` are convex pieces that fill it.

    Args:
        kind: one of `KINDS`.
        seed: which object of that kind.

    Raises: ValueError for an unknown kind.
    """
    makers = {"mug": _mug, "bowl": _bowl, "bottle": _bottle, "box": _box, "cylinder": _cylinder}
    if kind not in makers:
        raise ValueError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")
    vertices, faces, parts = makers[kind](np.random.default_rng([seed, KINDS.index(kind)]))
    volume, com, inertia = mass_properties(vertices, faces)
    if volume < 0:
        volume, inertia, faces = -volume, -inertia, faces[:, ::-1]
    return GraspedObject(
        f"{kind}_{seed:04d}",
        vertices - com,
        faces,
        DENSITY * volume,
        np.zeros(3),
        DENSITY * inertia,
        tuple(part - com for part in parts),
    )


def make_objects(n: int, seed: int = 0) -> list[GraspedObject]:
    """`n` objects, the kinds in turn; object i depends on `seed` and i alone.

    Args:
        n: how many.
        seed: which series.
    """
    return [make_object(KINDS[i % len(KINDS)], seed * 100_000 + i) for i in range(n)]


# ---- kinds: each gives vertices, faces and convex parts ----


def _box(rng: np.random.Generator) -> _Made:
    sides = np.array([rng.uniform(0.015, 0.07), *rng.uniform(0.03, 0.16, 2)])
    corners = np.array(
        [[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    ) * rng.permutation(sides)
    faces = np.array(
        [
            [0, 1, 3],
            [0, 3, 2],
            [4, 6, 7],
            [4, 7, 5],
            [0, 4, 5],
            [0, 5, 1],
            [2, 3, 7],
            [2, 7, 6],
            [0, 2, 6],
            [0, 6, 4],
            [1, 5, 7],
            [1, 7, 3],
        ]
    )
    return corners, faces, [corners]


def _cylinder(rng: np.random.Generator) -> _Made:
    flat = rng.random() < 0.25  # discs are held by their height
    radius, height = (
        (rng.uniform(0.03, 0.06), rng.uniform(0.015, 0.05))
        if flat
        else (rng.uniform(0.01, 0.036), rng.uniform(0.04, 0.2))
    )
    profile = np.array([[0, 0], [radius, 0], [radius, height], [0, height]])
    angles = _circle(48)
    return *_closed(*_revolve(profile, angles)), [_rings(profile, angles)]


def _bottle(rng: np.random.Generator) -> _Made:
    body, neck = rng.uniform(0.02, 0.037), rng.uniform(0.008, 0.014)
    heights = np.cumsum(
        [rng.uniform(0.05, 0.12), rng.uniform(0.015, 0.04), rng.uniform(0.01, 0.04)]
    )
    bend = np.linspace(0, 1, 7)[1:]
    shoulder = np.stack(
        [
            neck + (body - neck) * (1 + np.cos(np.pi * bend)) / 2,
            heights[0] + (heights[1] - heights[0]) * bend,
        ],
        1,
    )
    lip = neck + rng.uniform(0.001, 0.004)
    top = heights[2] + rng.uniform(0.008, 0.02)
    profile = np.array(
        [
            [0, 0],
            [0.92 * body, 0],
            [body, 0.004],
            [body, heights[0]],
            *shoulder,
            [neck, heights[2]],
            [lip, heights[2]],
            [lip, top],
            [0, top],
        ]
    )
    angles = _circle(40)
    bands = [profile[1:4]] + [profile[k : k + 2] for k in range(3, 10)] + [profile[-3:-1]]
    return *_closed(*_revolve(profile, angles)), [_rings(band, angles) for band in bands]


def _bowl(rng: np.random.Generator) -> _Made:
    radius, height = rng.uniform(0.05, 0.09), rng.uniform(0.035, 0.075)
    foot, wall, power = (
        radius * rng.uniform(0.3, 0.5),
        rng.uniform(0.003, 0.006),
        rng.uniform(0.35, 0.6),
    )
    base = wall * rng.uniform(1.0, 1.6)
    up = np.linspace(0, 1, 7) ** 1.7
    outer = np.stack([foot + (radius - foot) * up**power, height * up], 1)
    low = 0.9 * foot
    inner = np.stack([low + (radius - wall - low) * up**power, base + (height - base) * up], 1)
    return _shell(outer, inner, _circle(32))


def _mug(rng: np.random.Generator) -> _Made:
    foot, height = rng.uniform(0.03, 0.043), rng.uniform(0.07, 0.11)
    slope = rng.uniform(-0.03, 0.1)
    wall, base = rng.uniform(0.003, 0.005), rng.uniform(0.004, 0.008)
    # of the handle: along y, and across
    half, thick = rng.uniform(0.004, 0.007), rng.uniform(0.0035, 0.0055)
    reach = rng.uniform(0.022, 0.036)
    middle, span = rng.uniform(0.47, 0.55) * height, rng.uniform(0.22, 0.32) * height
    spread = np.linspace(-thick, thick, 5)
    z = np.concatenate([[0], middle - span + spread, [middle], middle + span + spread, [height]])
    outer = np.stack([foot + slope * z, z], 1)
    inner = np.array([[foot + slope * level - wall, level] for level in (base, height)])
    profile = np.concatenate([[[0, 0]], outer, inner[::-1], [[0, base]]])
    edge = np.arcsin(half / foot)
    angles = np.concatenate(
        [np.linspace(-edge, edge, 5), np.linspace(edge, 2 * np.pi - edge, 38)[1:-1]]
    )
    vertices, faces = _revolve(profile, angles)
    # Row k of the profile stands in ring k - 1; the handle joins rings 1 to 5 and 7 to 11, columns
    # 0 to 4.
    lower, upper = (_border(len(angles), first) for first in (1, 7))
    inside = {face for first in (1, 7) for face in _patch(len(angles), first)}
    corners = np.array(
        [[a, -1] for a in (-1, -0.5, 0, 0.5)]
        + [[1, b] for b in (-1, -0.5, 0, 0.5)]
        + [[a, 1] for a in (1, 0.5, 0, -0.5)]
        + [[-1, b] for b in (1, 0.5, 0, -0.5)]
    )
    round_ = corners * np.sqrt(1 - corners[:, ::-1] ** 2 / 2)
    turn = np.linspace(0, np.pi, _HANDLE_STEPS + 1)[1:-1]
    rings = []
    for angle in turn:
        blend = min(1.0, 2.5 * np.sin(angle))
        section = (blend * round_ + (1 - blend) * corners) * [half, thick]
        forward = np.array(
            [reach * np.cos(angle) - slope * -span * np.sin(angle), span * np.sin(angle)]
        )
        forward /= np.linalg.norm(forward)
        level = middle - span * np.cos(angle)
        x = (foot + slope * level) * np.cos(edge) + reach * np.sin(angle)
        # away from the inside of the handle, in the plane of x and z
        out = np.array([forward[1], -forward[0]])
        rings.append(
            np.stack([x + section[:, 1] * out[0], section[:, 0], level + section[:, 1] * out[1]], 1)
        )
    # Border vertices in the order of the section: below, `out` points down; above, up.
    loops = [lower, *(len(vertices) + 16 * k + np.arange(16) for k in range(len(rings))), upper]
    tube = [triangle for one, two in zip(loops, loops[1:]) for triangle in _band(one, two)]
    kept = [face for face in map(tuple, faces) if face not in inside]
    everything = np.concatenate([vertices, *rings])
    # Behind the handle one cell will do for four: its chord is 0.4 mm off at most.
    _, _, parts = _shell(outer[[0, -1]], inner, angles[[0, *range(4, len(angles))]])
    parts += [everything[np.concatenate([one, two])] for one, two in zip(loops, loops[1:])]
    return *_closed(everything, np.array(kept + tube)), parts


# ---- building ----


def _circle(n: int) -> np.ndarray:
    return 2 * np.pi * np.arange(n) / n


def _rings(profile: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Points of (k, 2) rows (radius, z) at every angle, (k * angles, 3), row after row."""
    radius, z = np.repeat(profile, len(angles), axis=0).T
    turned = np.tile(angles, len(profile))
    return np.stack([radius * np.cos(turned), radius * np.sin(turned), z], 1)


def _revolve(profile: np.ndarray, angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Surface of a profile (radius, z) that begins and ends on the axis, turned about z.

    Vertices: rings of profile rows 1 to P-2, then the two poles. Faces look outwards if the profile
    goes out at the bottom and returns at the top.
    """
    count, rings = len(angles), len(profile) - 2
    vertices = np.concatenate(
        [_rings(profile[1:-1], angles), [[0, 0, profile[0, 1]], [0, 0, profile[-1, 1]]]]
    )
    columns = np.arange(count)
    following = (columns + 1) % count
    faces = [np.stack([np.full(count, rings * count), following, columns], 1)]
    for ring in range(rings - 1):
        a, b = ring * count + columns, ring * count + following
        faces += [np.stack([a, b, b + count], 1), np.stack([a, b + count, a + count], 1)]
    last = (rings - 1) * count
    faces.append(np.stack([np.full(count, rings * count + 1), last + columns, last + following], 1))
    return vertices, np.concatenate(faces)


def _shell(outer: np.ndarray, inner: np.ndarray, angles: np.ndarray) -> _Made:
    """A cup between two profiles (k, 2) from the bottom up: vertices, faces, and one convex part a
    cell.
    """
    profile = np.concatenate([[[0, outer[0, 1]]], outer, inner[::-1], [[0, inner[0, 1]]]])
    parts = [_rings(np.stack([outer[0], inner[0]]), angles)]
    for row in range(len(outer) - 1):
        cell = np.concatenate([outer[row : row + 2], inner[row : row + 2]])
        parts += [_rings(cell, np.array(pair)) for pair in zip(angles, np.roll(angles, -1))]
    return *_closed(*_revolve(profile, angles)), parts


def _patch(columns: int, first: int) -> list[tuple[int, int, int]]:
    """The 32 faces of `_revolve` between rings first to first + 4 and columns 0 to 4."""
    cells = [
        (ring * columns + column, ring * columns + column + 1)
        for ring in range(first, first + 4)
        for column in range(4)
    ]
    return [face for a, b in cells for face in ((a, b, b + columns), (a, b + columns, a + columns))]


def _border(columns: int, first: int) -> np.ndarray:
    """The 16 vertices around that patch: from column 0 to 4 and back, beginning at the side of the
    handle's inside.
    """
    inside, outside = (first + 4, first) if first == 1 else (first, first + 4)
    step = (outside - inside) // 4
    there = [inside * columns + c for c in range(4)] + [
        (inside + step * k) * columns + 4 for k in range(4)
    ]
    back = [outside * columns + 4 - c for c in range(4)] + [
        (outside - step * k) * columns for k in range(4)
    ]
    return np.array(there + back)


def _band(one: np.ndarray, two: np.ndarray) -> list[tuple[int, int, int]]:
    """Faces between two loops of equal length."""
    faces = []
    for k in range(len(one)):
        m = (k + 1) % len(one)
        faces += [(int(one[k]), int(two[m]), int(one[m])), (int(one[k]), int(two[k]), int(two[m]))]
    return faces


def _closed(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mesh without vertices that no face uses."""
    used, index = np.unique(faces, return_inverse=True)
    return vertices[used], index.reshape(faces.shape)
