"""Pictures of triangles with numpy alone: a depth buffer, two lights, and shade in hollows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from geodiff.domains.bodies.surface import face_normals

_FRAGMENTS = 2_000_000  # candidate pixels at a time: about 200 MB
# where they are from the object, camera axes
_LIGHTS = (((-0.5, -0.65, -0.6), 0.60), ((0.8, -0.1, -0.6), 0.22))
_AMBIENT = 0.30
_GLOSS, _SHARPNESS = 0.14, 24
# how dark hollows get; how far to look for their rims, of the picture's width
_HOLLOW, _REACH = 0.55, 0.012


@dataclass(frozen=True, eq=False)
class Shape:
    """Triangles to draw."""

    corners: np.ndarray  # (F, 3, 3)
    normals: np.ndarray  # (F, 3, 3), a unit vector at each corner
    colours: np.ndarray  # (F, 3), of each face: red, green, blue in [0, 1]


def solid(
    vertices: np.ndarray, faces: np.ndarray, colour: Sequence[float], crease: float = 40.0
) -> Shape:
    """A mesh that looks smooth but for its edges: a corner's normal is the mean of faces that meet
    there, by their areas.

    Args:
        vertices: (V, 3).
        faces: (F, 3).
        colour: red, green, blue in [0, 1].
        crease: those faces count whose normals are within so many degrees of the corner's own face.
    """
    flat, areas = face_normals(vertices, faces)
    corner = faces.ravel().argsort(kind="stable")  # corners, vertex by vertex
    vertex = faces.ravel()[corner]
    shared = np.bincount(vertex)[vertex]  # corners at the vertex of each
    # Every corner with every corner of its vertex, itself included.
    one = corner.repeat(shared)
    other = corner[vertex.searchsorted(vertex).repeat(shared) + _counted(shared)]
    near = (flat[one // 3] * flat[other // 3]).sum(1) >= np.cos(np.radians(crease))
    weighted = (flat * areas[:, None])[other[near] // 3]
    normals = np.stack(
        [np.bincount(one[near], weighted[:, axis], faces.size) for axis in range(3)], 1
    )
    return Shape(
        vertices[faces],
        _unit(normals).reshape(-1, 3, 3),
        np.tile(np.asarray(colour, float), (len(faces), 1)),
    )


def tubes(segments: np.ndarray, radius: float, colour: Sequence[float], sides: int = 10) -> Shape:
    """Straight tubes with flat ends.

    Args:
        segments: (S, 2, 3).
        radius: in the unit of the segments.
        colour: red, green, blue in [0, 1].
        sides: of each tube.
    """
    axis = _unit(segments[:, 1] - segments[:, 0])
    right = _unit(np.cross(axis, np.eye(3)[np.abs(axis).argmin(1)]))
    turn = 2 * np.pi * np.arange(sides + 1) / sides
    away = (
        np.cos(turn)[:, None] * right[:, None]
        + np.sin(turn)[:, None] * np.cross(axis, right)[:, None]
    )
    # so that segments that meet at a corner fill it
    ends = segments + np.stack([-axis, axis], 1) * 0.8 * radius
    ring = ends[:, :, None] + radius * away[:, None]  # (S, 2, sides + 1, 3)
    low, high, out = ring[:, 0], ring[:, 1], away
    walls = np.stack(
        [
            np.stack([low[:, :-1], low[:, 1:], high[:, 1:]], 2),
            np.stack([low[:, :-1], high[:, 1:], high[:, :-1]], 2),
        ],
        1,
    ).reshape(-1, 3, 3)
    round_ = np.stack(
        [
            np.stack([out[:, :-1], out[:, 1:], out[:, 1:]], 2),
            np.stack([out[:, :-1], out[:, 1:], out[:, :-1]], 2),
        ],
        1,
    ).reshape(-1, 3, 3)
    centre = np.broadcast_to(ends[:, :, None], ring[:, :, 1:].shape)
    caps = np.stack([centre, ring[:, :, :-1], ring[:, :, 1:]], 3).reshape(-1, 3, 3)
    straight = np.broadcast_to(
        np.stack([-axis, axis], 1)[:, :, None, None], (len(axis), 2, sides, 3, 3)
    )
    corners, normals = (
        np.concatenate([walls, caps]),
        np.concatenate([round_, straight.reshape(-1, 3, 3)]),
    )
    return Shape(corners, normals, np.tile(np.asarray(colour, float), (len(corners), 1)))


def balls(centres: np.ndarray, radius: float, colour: Sequence[float]) -> Shape:
    """Balls of 32 faces.

    Args:
        centres: (n, 3).
        radius: in the unit of the centres.
        colour: red, green, blue in [0, 1].
    """
    a, b, c = np.array(
        [[[x, 0, 0], [0, y, 0], [0, 0, z]] for x in (1, -1) for y in (1, -1) for z in (1, -1)],
        float,
    ).transpose(1, 0, 2)
    ab, bc, ca = _unit(a + b), _unit(b + c), _unit(c + a)
    sides = np.concatenate(
        [np.stack(part, 1) for part in ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))]
    )
    corners = (centres[:, None, None] + radius * sides).reshape(-1, 3, 3)
    return Shape(
        corners,
        np.tile(sides, (len(centres), 1, 1)),
        np.tile(np.asarray(colour, float), (len(corners), 1)),
    )


def render(
    shapes: Sequence[Shape],
    camera: np.ndarray,
    focal: float,
    size: tuple[int, int],
    samples: int = 2,
) -> np.ndarray:
    """What a pinhole camera sees. Shapes are drawn from both sides.

    Args:
        shapes: what to draw; all of it must be in front of the camera.
        camera: its pose, (4, 4): x right, y down, z ahead (`geodiff.domains.bodies.rays.look_at`).
        focal: pixels per unit of slope.
        size: width and height, pixels.
        samples: per pixel and direction, for smooth edges.

    Returns: red, green, blue and cover, (height, width, 4) in [0, 1]; no cover where nothing is.
    Raises: ValueError if something is beside or behind the camera.
    Source: hollows by Luft, Colditz and Deussen 2006, the depth buffer against its blurred self.
    """
    wide, high = size[0] * samples, size[1] * samples
    corners, normals, colours = (
        np.concatenate([getattr(shape, name) for shape in shapes])
        for name in ("corners", "normals", "colours")
    )
    local = (corners - camera[:3, 3]) @ camera[:3, :3]
    if local[..., 2].min() <= 0:
        raise ValueError("camera: something is beside or behind it; move it away with look_at")
    flat = local[..., :2] / local[..., 2:] * focal * samples + [wide / 2, high / 2]
    pixel, face, weights, nearness = _visible(flat, 1 / local[..., 2], wide, high)
    # Weights of the corners on the screen, corrected for perspective.
    weights = weights / local[face, :, 2]
    weights /= weights.sum(1, keepdims=True)
    normal = _unit(np.einsum("pk,pki->pi", weights, normals[face] @ camera[:3, :3]))
    view = -_unit(np.einsum("pk,pki->pi", weights, local[face]))
    normal = np.where((normal * view).sum(1, keepdims=True) < 0, -normal, normal)
    colour = colours[face] * _AMBIENT
    for direction, strength in _LIGHTS:
        light = np.array(direction) / np.linalg.norm(direction)
        colour = colour + colours[face] * strength * np.clip(normal @ light, 0, None)[:, None]
        half = _unit(view + light)
        colour = (
            colour
            + _GLOSS * strength * np.clip((normal * half).sum(1), 0, 1)[:, None] ** _SHARPNESS
        )
    picture = np.zeros((high * wide, 4))
    picture[pixel, :3] = np.clip(colour * 1.25, 0, 1) ** 0.85
    picture[pixel, 3] = 1.0
    picture[:, :3] *= _hollows(pixel, 1 / nearness, wide, high)[:, None]
    picture[:, :3] *= picture[:, 3:]  # so that an edge pixel averages what is there
    picture = picture.reshape(size[1], samples, size[0], samples, 4).mean((1, 3))
    cover = picture[..., 3:]
    picture[..., :3] /= np.where(cover > 0, cover, 1.0)
    return picture


def _visible(
    flat: np.ndarray, nearness: np.ndarray, wide: int, high: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The nearest face of each covered pixel: pixel, face, weights of its corners on the screen,
    nearness (1 / depth).

    flat: corners on the screen, (F, 3, 2), pixels. nearness: of the corners, (F, 3); linear on the
    screen.
    """
    (ax, ay), (bx, by), (cx, cy) = flat.transpose(1, 2, 0)
    doubled = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
    # Rows whose middle a face crosses, then the columns between its two edges there: no pixel is
    # tried in vain.
    top, bottom = (
        np.clip(np.ceil(y - 0.5), 0, high).astype(int)
        for y in (flat[..., 1].min(1), flat[..., 1].max(1))
    )
    rows = np.where(np.abs(doubled) > 1e-9, bottom - top, 0)
    face = np.arange(len(flat)).repeat(rows)
    row = top[face] + _counted(rows)
    left, right = np.full((2, len(face)), np.nan)
    for one, other in ((0, 1), (1, 2), (2, 0)):
        # From the lower end to the upper, so that the two faces at an edge agree on where it
        # crosses a row.
        down = (flat[:, one, 1] <= flat[:, other, 1])[face, None]
        (x0, y0), (x1, y1) = (
            np.where(down, flat[face, a], flat[face, b]).T for a, b in ((one, other), (other, one))
        )
        crossed = (y0 <= row + 0.5) != (y1 <= row + 0.5)
        x = x0 + (row + 0.5 - y0) * (x1 - x0) / np.where(crossed, y1 - y0, 1.0)
        x = np.where(crossed, x, np.nan)
        left, right = np.fmin(left, x), np.fmax(right, x)
    first, last = (np.clip(np.ceil(x - 0.5), 0, wide).astype(int) for x in (left, right))
    columns = np.maximum(last - first, 0)
    best = np.zeros(wide * high)
    kept = []
    ends = columns.cumsum()
    for part in np.split(
        np.arange(len(face)), ends.searchsorted(np.arange(_FRAGMENTS, ends[-1:].sum(), _FRAGMENTS))
    ):
        span = part.repeat(columns[part])
        x, f = first[span] + _counted(columns[part]), face[span]
        pixel = row[span] * wide + x
        px, py = x + 0.5 - ax[f], row[span] + 0.5 - ay[f]
        second = (px * (cy - ay)[f] - py * (cx - ax)[f]) / doubled[f]
        third = (py * (bx - ax)[f] - px * (by - ay)[f]) / doubled[f]
        weights = np.stack([1 - second - third, second, third], 1)
        depth = (weights * nearness[f]).sum(1)
        np.maximum.at(best, pixel, depth)
        front = depth >= best[pixel]
        kept.append((pixel[front], f[front], weights[front], depth[front]))
    pixel, face, weights, depth = (np.concatenate(part) for part in zip(*kept))
    front = depth >= best[pixel]
    return pixel[front], face[front], weights[front], depth[front]


def _hollows(pixel: np.ndarray, depth: np.ndarray, wide: int, high: int) -> np.ndarray:
    """How much light is left at each pixel, (high * wide,): less where its surroundings are
    nearer.
    """
    if not len(pixel):
        return np.ones(wide * high)
    field = np.full(wide * high, depth.max())
    field[pixel] = depth
    around = ndimage.gaussian_filter(field.reshape(high, wide), _REACH * wide).ravel()
    behind = np.clip((field - around) / (0.08 * (depth.max() - depth.min()) + 1e-12), 0, 1)
    return 1 - _HOLLOW * behind


def _counted(lengths: np.ndarray) -> np.ndarray:
    """0 to n - 1 for each n of lengths, one after the other."""
    return np.arange(lengths.sum()) - (lengths.cumsum() - lengths).repeat(lengths)


def _unit(v: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(v, axis=-1, keepdims=True)
    return v / np.where(length > 0, length, 1.0)
