"""Rays against shapes with known crossings, and clouds that a camera can see."""

import numpy as np
import pytest

from geodiff import grasps
from geodiff.domains.bodies.rays import cast, facing, look_at, random_camera

CUBE = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=float)
CUBE_FACES = np.array(
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


def test_distances_are_those_of_the_planes():
    hits = cast(
        CUBE,
        CUBE_FACES,
        np.array([[-3.0, 0.1, 0.2], [0.3, 0.2, 0.1], [5.0, 5.0, 5.0]]),
        np.array([[2.0, 0, 0], [0, 0, 1.0], [1.0, 0, 0]]),
    )
    assert hits.ray.tolist() == [0, 0, 1]
    np.testing.assert_allclose(hits.distance, [1.0, 2.0, 0.9])


def test_a_ray_through_an_edge_or_a_corner_crosses_once():
    """Each ray below meets diagonals of faces, edges or corners of the cube exactly."""
    directions = np.array(
        [[1.0, 0, 0], [0, 1, 0], [0, 0, -1], [1, 1, 0], [1, 1, 1], [-1, 1, 1], [1, 0.5, 0.5]]
    )
    hits = cast(CUBE, CUBE_FACES, np.zeros((7, 3)), directions)
    assert hits.ray.tolist() == list(range(7))
    np.testing.assert_allclose(hits.distance, 1.0)
    through = cast(CUBE, CUBE_FACES, -3 * directions, directions)
    assert np.bincount(through.ray).tolist() == [2] * 7


def test_a_moved_object_is_crossed_at_the_same_places():
    item = grasps.make_object("mug", 0)
    generator = np.random.default_rng(0)
    origins = generator.normal(size=(200, 3)) * 0.3
    directions = generator.uniform(-0.03, 0.03, (200, 3)) - origins
    turn = np.linalg.qr(generator.normal(size=(3, 3)))[0]
    turn *= np.linalg.det(turn)
    here = cast(item.vertices, item.faces, origins, directions)
    there = cast(
        item.vertices @ turn.T + [1, 2, 3],
        item.faces,
        origins @ turn.T + [1, 2, 3],
        directions @ turn.T,
    )
    np.testing.assert_array_equal(here.face, there.face)
    np.testing.assert_allclose(here.distance, there.distance, rtol=1e-9)
    # first: entries
    assert facing(item, here, directions)[here.ray.searchsorted(np.unique(here.ray))].max() < 0


def test_no_rays_and_rays_that_start_on_a_face_are_fine():
    assert len(cast(CUBE, CUBE_FACES, np.zeros((0, 3)), np.zeros((0, 3))).ray) == 0
    assert cast(
        CUBE, CUBE_FACES, np.array([[1.0, 0.2, 0.1]]), np.array([[-1.0, 0, 0]])
    ).distance.tolist() == [2.0]


@pytest.mark.parametrize("eye", [[0.3, 0.2, 0.5], [0, 0, 1.0], [0, 0, -1.0], [1.0, 0, 0]])
def test_a_camera_looks_ahead_with_its_up_upwards(eye):
    pose = look_at(eye, [0.1, 0, 0])
    np.testing.assert_allclose(pose[:3, :3].T @ pose[:3, :3], np.eye(3), atol=1e-12)
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)
    ahead = pose[:3, :3].T @ ([0.1, 0, 0] - pose[:3, 3])
    np.testing.assert_allclose(ahead / np.linalg.norm(ahead), [0, 0, 1], atol=1e-12)
    assert pose[2, 1] <= 1e-12  # y points down
    with pytest.raises(ValueError, match="away from the target"):
        look_at([0.1, 0, 0], [0.1, 0, 0])


@pytest.mark.parametrize("kind", ["mug", "bowl", "box"])
def test_a_partial_cloud_is_on_the_surface_and_in_sight(kind):
    item = grasps.make_object(kind, 1)
    camera = random_camera(item, np.random.default_rng(2))
    points = grasps.partial_cloud(item, camera, 300, np.random.default_rng(0))
    assert points.shape == (300, 3) and len(np.unique(points, axis=0)) == 300
    eye = camera[:3, 3]
    hits = cast(item.vertices, item.faces, np.broadcast_to(eye, points.shape), points - eye)
    first = hits.distance[np.searchsorted(hits.ray, np.arange(300))]
    np.testing.assert_allclose(first, 1, atol=1e-6)  # the point itself is the first thing met
    back = grasps.partial_cloud(item, look_at(-eye), 300, np.random.default_rng(0))
    assert (points @ eye).mean() > 0.005 > (back @ eye).mean()  # each sees its own side


def test_a_cloud_belongs_to_its_seed_and_noise_moves_it_along_the_view():
    item = grasps.make_object("bottle", 0)
    camera = look_at([0.5, 0.1, 0.2])
    clean, again = (grasps.partial_cloud(item, camera, 100) for _ in range(2))
    np.testing.assert_array_equal(clean, again)
    noisy = grasps.partial_cloud(item, camera, 4000, np.random.default_rng(0), noise=0.002)
    ideal = cast(
        item.vertices,
        item.faces,
        np.broadcast_to(camera[:3, 3], noisy.shape),
        noisy - camera[:3, 3],
    )
    first = np.unique(ideal.ray, return_index=True)[1]
    off = (ideal.distance[first] - 1) * np.linalg.norm(noisy - camera[:3, 3], axis=1)[
        ideal.ray[first]
    ]
    assert np.std(off) == pytest.approx(0.002, rel=0.1)


def test_a_camera_inside_or_behind_is_refused():
    item = grasps.make_object("box", 0)
    for camera in (np.eye(4), look_at([0, 0, 0.5], [0, 0, 1.0])):
        with pytest.raises(ValueError, match="camera.*in front"):
            grasps.partial_cloud(item, camera)
