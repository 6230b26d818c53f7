"""Rendered pictures obey geometry: sizes, sides, and what hides what."""

import numpy as np
import pytest

from geodiff.domains.bodies.objects import make_object
from geodiff.domains.bodies.rays import look_at
from geodiff.domains.bodies.rendering import Shape, balls, render, solid, tubes
from geodiff.domains.bodies.surface import face_normals

RED, BLUE = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)
CAMERA = look_at(np.array([10.0, 0, 0]), np.zeros(3))  # right is +y, up is +z


def square(x: float, half: float, colour, y: float = 0.0, z: float = 0.0) -> Shape:
    corners = np.array([[0, -half, -half], [0, half, -half], [0, half, half], [0, -half, half]]) + [
        x,
        y,
        z,
    ]
    return solid(corners, np.array([[0, 1, 2], [0, 2, 3]]), colour)


def test_the_area_of_a_square_is_that_of_its_image():
    picture = render([square(0.0, 1.0, RED)], CAMERA, 200.0, (100, 80))
    assert picture.shape == (80, 100, 4)
    assert picture[..., 3].sum() == pytest.approx(40.0**2, rel=1e-3)  # 2 long, 10 away: slope 0.2


def test_right_is_right_and_up_is_up():
    cover = render([square(0.0, 0.2, RED, y=1.0, z=1.5)], CAMERA, 200.0, (100, 100))[..., 3]
    rows, columns = np.nonzero(cover)
    assert columns.mean() == pytest.approx(49.5 + 20, abs=0.6) and rows.mean() == pytest.approx(
        49.5 - 30, abs=0.6
    )


@pytest.mark.parametrize("turned", [False, True])
def test_the_nearer_hides_the_farther_in_any_order(turned):
    shapes = [square(1.0, 0.5, RED), square(-1.0, 1.5, BLUE)]
    picture = render(shapes[::-1] if turned else shapes, CAMERA, 200.0, (100, 100))
    assert picture[50, 50, 0] > 0.3 > 0.05 > picture[50, 50, 2]
    assert picture[50, 28, 2] > 0.3 > 0.05 > picture[50, 28, 0]
    assert picture[5, 5, 3] == 0


def test_crossing_squares_meet_where_they_cross():
    one = solid(
        np.array([[1.0, -1, -1], [-1, 1, -1], [-1, 1, 1], [1, -1, 1]]),
        np.array([[0, 1, 2], [0, 2, 3]]),
        RED,
    )
    two = solid(
        np.array([[-1.0, -1, -1], [1, 1, -1], [1, 1, 1], [-1, -1, 1]]),
        np.array([[0, 1, 2], [0, 2, 3]]),
        BLUE,
    )
    row = render([one, two], CAMERA, 200.0, (100, 100), samples=1)[50]
    covered = row[:, 3] > 0
    left = (np.arange(100) < 50) & covered
    assert (row[left, 0] > row[left, 2]).all() and (
        row[covered & ~left, 2] > row[covered & ~left, 0]
    ).all()


def test_meshes_have_no_cracks():
    item = make_object("cylinder", 0)
    reach = np.linalg.norm(item.vertices, axis=1).max()
    camera = look_at(np.array([3.0, 2.0, 1.5]) * reach, np.zeros(3))
    cover = render([solid(item.vertices, item.faces, RED)], camera, 300.0, (200, 200), samples=1)[
        ..., 3
    ]
    for line in (*cover, *cover.T):  # a convex body: one run in each row and column
        assert np.abs(np.diff(line)).sum() <= 2


def test_a_ball_covers_the_area_of_its_disc():
    cover = render([balls(np.zeros((1, 3)), 1.0, RED)], CAMERA, 400.0, (100, 100))[..., 3].sum()
    assert 0.80 < cover / (np.pi * 40**2) < 1.0  # 32 faces within the ball


def test_normals_are_smooth_on_round_sides_and_flat_at_edges():
    item = make_object("cylinder", 0)
    shape = solid(item.vertices, item.faces, RED)
    np.testing.assert_allclose(np.linalg.norm(shape.normals, axis=-1), 1, atol=1e-12)
    flat, _ = face_normals(item.vertices, item.faces)
    caps = np.abs(flat[:, 2]) > 0.99
    np.testing.assert_allclose(shape.normals[caps], flat[caps][:, None].repeat(3, 1), atol=1e-12)
    corners = shape.corners[~caps][..., :2]
    radial = corners / np.linalg.norm(corners, axis=-1, keepdims=True)
    assert (shape.normals[~caps][..., :2] * radial).sum(-1).min() > np.cos(np.radians(4))


def test_tubes_are_as_long_and_thick_as_asked_and_face_outwards():
    ends = np.array([[[0.0, 0, 0], [0, 0, 2]], [[1, 1, 1], [4, 1, 1]]])
    shape = tubes(ends, 0.1, RED, sides=12)
    first = shape.corners[np.abs(shape.corners[..., 0]).max(1) < 0.2].reshape(-1, 3)
    np.testing.assert_allclose(np.ptp(first, axis=0), [0.2, 0.2, 2.16], atol=0.01)
    normals = np.cross(
        shape.corners[:, 1] - shape.corners[:, 0], shape.corners[:, 2] - shape.corners[:, 0]
    )
    areas = np.linalg.norm(normals, axis=1)
    assert areas.min() > 0
    walls = np.abs((shape.normals * shape.normals[:, :1]).sum(-1)).min(1) < 0.999
    middle = shape.corners.mean(1)
    away = np.where(np.abs(middle[:, :1]) < 0.2, middle * [1, 1, 0], (middle - 1) * [0, 1, 1])
    assert ((shape.normals.mean(1) * away).sum(1)[walls] > 0).all()


def test_what_is_behind_the_camera_is_refused():
    with pytest.raises(ValueError, match="behind"):
        render([square(11.0, 1.0, RED)], CAMERA, 200.0, (10, 10))
