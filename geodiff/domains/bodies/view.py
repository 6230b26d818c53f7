"""Pictures of grasps: an HTML page of object and grippers that needs no network, and a shaded PNG
from two sides.
"""

from pathlib import Path

import numpy as np
import torch

from geodiff.domains.bodies import gripper
from geodiff.domains.bodies.rays import look_at
from geodiff.domains.bodies.records import GraspedObject, check_poses
from geodiff.domains.bodies.rendering import Shape, balls, render, solid, tubes
from geodiff.pictures import page as pages
from geodiff.pictures.style import GREY, RED, TEAL, YELLOW, sheet

COSTS = (TEAL, YELLOW, RED)  # lowest cost to highest
_FACES = 20_000  # of a mesh in a page or picture; larger ones are simplified
_POINTS = 2_000  # of a cloud in a page or picture
_TUBE = 0.0013  # metres, radius of the grippers' lines
# the first lines of the outline: stem, palm, fingers. Pads and hand would hide more than they show
_FORK = 4
_SIDES = (-125.0, 35.0)  # degrees, where the two cameras stand about z
_HEIGHT = 26.0  # degrees above the horizon


def page(
    thing: GraspedObject | np.ndarray,
    poses,
    cost,
    path: str | Path,
    title: str = "Grasps",
    *,
    caption: str | None = None,
    most: int = 300,
) -> Path:
    """Write one HTML page with an object and grippers on it, coloured by cost; returns its path.

    A slider says how many of the best are drawn.

    Args:
        thing: an object, or points of its surface (n, 3), metres.
        poses: (k, 4, 4), the gripper frame in the object frame.
        cost: (k,), lower is better.
        path: of the page.
        title: of the page.
        caption: a line of text below; None: how many grasps there are.
        most: how many of the best are in the page.

    Raises: ValueError for poses that are no rigid motions and for costs that are not finite.
    """
    return pages.write(
        path,
        title,
        [record(thing, poses, cost, caption=caption, most=most)],
        hint="drag to turn, scroll to zoom, arrow keys show more or fewer grasps",
    )


def record(
    thing: GraspedObject | np.ndarray,
    poses,
    cost,
    *,
    caption: str | None = None,
    name: str | None = None,
    most: int = 300,
    first: int = 20,
) -> dict:
    """What a page (`geodiff.pictures.page.write`) holds of an object and its grasps, best first.

    Args:
        thing: as in `page`.
        poses: as in `page`.
        cost: as in `page`.
        caption: as in `page`.
        name: of the object; None: its own.
        most: how many of the best are in the page.
        first: how many are drawn at first.
    """
    vertices, faces = _surface(thing)
    poses, cost = _check(poses, cost)
    total = len(poses)
    poses, cost = poses[:most], cost[:most]
    unit = float(np.abs(vertices).max() / 2**14) or 1e-5
    bodies = gripper.bodies().values()
    counts = np.cumsum([0, *(len(v) for v, _ in bodies)])
    hand_vertices = np.concatenate([v for v, _ in bodies])
    hand_faces = np.concatenate([f + shift for (_, f), shift in zip(bodies, counts)])
    if caption is None:
        caption = f"{total} grasps" + (f", cost {cost[0]:.3g} to {cost[-1]:.3g}" if total else "")
    return {
        "kind": "grasp",
        "name": (thing.name if isinstance(thing, GraspedObject) else "points")
        if name is None
        else name,
        "caption": caption,
        "unit": unit,
        "vertices": pages.whole(vertices, unit),
        "faces": faces.ravel().tolist(),
        "radius": _ball(vertices),
        "colour": GREY,
        "poses": np.round(poses[:, :3].reshape(-1, 12), 5).ravel().tolist(),
        "cost": [float(f"{c:.4g}") for c in cost],
        "high": float(cost[-1]) if len(cost) else 0.0,
        "first": min(first, most),
        "ramp": list(COSTS),
        "outline": pages.whole(gripper.outline()[:_FORK].numpy(), unit),
        "tube": _TUBE,
        "hand": {
            "vertices": pages.whole(hand_vertices, unit),
            "faces": hand_faces.ravel().tolist(),
        },
    }


def picture(
    thing: GraspedObject | np.ndarray,
    poses,
    cost,
    path: str | Path,
    *,
    title: str | None = None,
    most: int = 20,
) -> Path:
    """Write a PNG of an object and its best grasps, from two sides, coloured by cost; returns its
    path. z is up.

    Args:
        thing: as in `page`.
        poses: as in `page`.
        cost: as in `page`.
        path: of the picture.
        title: above it.
        most: how many of the best are drawn.

    Raises: ModuleNotFoundError without matplotlib.
    """
    vertices, faces = _surface(thing)
    poses, cost = _check(poses, cost)
    total = len(poses)
    poses, cost = poses[:most], cost[:most]
    side, head = 4.4, 0.6 if title else 0.1
    with sheet(path, 2 * side + 1.0, side + head + 0.1) as page:
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb

        ramp = LinearSegmentedColormap.from_list("cost", COSTS)
        low, high = (cost[0], cost[-1]) if total else (0.0, 1.0)
        colours = ScalarMappable(Normalize(low, high if high > low else low + 1), ramp)
        grey = to_rgb(GREY)
        shapes = [
            solid(vertices, faces, grey) if len(faces) else balls(vertices, _ball(vertices), grey)
        ]
        shapes += [tubes(_fork(p), _TUBE, colours.to_rgba(c)[:3]) for p, c in zip(poses, cost)]
        for index, turn in enumerate(_SIDES):
            axes = page.box(index * side, head, side, side)
            axes.imshow(_seen(shapes, turn, 800), interpolation="lanczos")
            axes.set_axis_off()
        if total:
            page.scale(colours, page.box(2 * side + 0.08, head + 0.95, 0.12, 0.58 * side), "cost")
        page.title(title)
    return Path(path)


def _fork(pose: np.ndarray) -> np.ndarray:
    """The lines of a gripper at `pose`, (lines, 2, 3), metres."""
    outline = gripper.outline()[:_FORK].double()
    placed = gripper.transform(torch.from_numpy(pose), outline.reshape(-1, 3))
    return placed.reshape(-1, 2, 3).numpy()


def _seen(shapes: list[Shape], turn: float, pixels: int) -> np.ndarray:
    """The shapes from a camera `turn` degrees about z, so far off that all of them fill the
    square.
    """
    points = np.concatenate([shape.corners.reshape(-1, 3) for shape in shapes])
    middle = (points.min(0) + points.max(0)) / 2
    around, above = np.radians(turn), np.radians(_HEIGHT)
    side = np.array([np.cos(around) * np.cos(above), np.sin(around) * np.cos(above), np.sin(above)])
    reach = np.linalg.norm(points - middle, axis=1).max()
    camera = look_at(middle + 5 * reach * side, middle)
    local = (points - camera[:3, 3]) @ camera[:3, :3]
    slopes = local[:, :2] / local[:, 2:]
    low, high = slopes.min(0), slopes.max(0)
    centre = (low + high) / 2  # the camera turns to the middle of what it sees
    camera = look_at(camera[:3, 3], camera[:3, 3] + camera[:3, :3] @ [*centre, 1.0])
    local = (points - camera[:3, 3]) @ camera[:3, :3]
    return render(
        shapes, camera, 0.47 * pixels / np.abs(local[:, :2] / local[:, 2:]).max(), (pixels, pixels)
    )


def _surface(thing: GraspedObject | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces to draw; a cloud has no faces."""
    if isinstance(thing, GraspedObject):
        return _simplified(thing.vertices, thing.faces)
    points = np.asarray(thing, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3 or not len(points):
        raise ValueError(
            f"thing: expected a GraspedObject or points (n, 3) in metres, got {points.shape}"
        )
    if not np.isfinite(points).all():
        raise ValueError("thing: some points are not finite; leave them out")
    return points[np.linspace(0, len(points) - 1, min(len(points), _POINTS)).astype(int)], np.zeros(
        (0, 3), int
    )


def _simplified(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mesh, or where it has more than _FACES faces one whose vertices are merged within cells
    of a grid.
    """
    cells = 256.0
    low, longest = vertices.min(0), max(float(np.ptp(vertices, axis=0).max()), 1e-12)
    merged, kept = vertices, faces
    while len(kept) > _FACES:
        place = np.floor((vertices - low) / longest * cells).astype(np.int64)
        _, new, counts = np.unique(place, axis=0, return_inverse=True, return_counts=True)
        new = new.reshape(-1)
        merged = (
            np.stack([np.bincount(new, vertices[:, axis]) for axis in range(3)], 1)
            / counts[:, None]
        )
        kept = new[faces]
        kept = kept[
            (kept[:, 0] != kept[:, 1]) & (kept[:, 1] != kept[:, 2]) & (kept[:, 2] != kept[:, 0])
        ]
        cells *= 0.8
    return merged, kept


def _ball(points: np.ndarray) -> float:
    """Radius of a point of a cloud, so that neighbours nearly touch."""
    from scipy.spatial import cKDTree

    if len(points) < 2:
        return 0.002
    nearest = cKDTree(points).query(points, 2)[0][:, 1]
    return float(np.clip(0.8 * np.median(nearest), 0.0005, 0.004))


def _check(poses, cost) -> tuple[np.ndarray, np.ndarray]:
    """Poses and costs as float64, best first."""
    poses, cost = (
        np.asarray(torch.as_tensor(value).detach().cpu(), dtype=np.float64)
        for value in (poses, cost)
    )
    if poses.ndim != 3 or poses.shape[1:] != (4, 4):
        raise ValueError(f"poses: expected (k, 4, 4), got {poses.shape}")
    wrong = check_poses(poses)
    if wrong is not None:
        raise ValueError(f"poses: {wrong}")
    if cost.shape != (len(poses),) or not np.isfinite(cost).all():
        raise ValueError(
            f"cost: expected a finite number for each of {len(poses)} poses, got {cost.shape} "
            f"with {int((~np.isfinite(cost)).sum())} not finite"
        )
    order = cost.argsort(kind="stable")
    return poses[order], cost[order]
