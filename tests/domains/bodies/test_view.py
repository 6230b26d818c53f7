"""Pictures of grasps show every gripper where its pose says, best first, on the object as it is."""

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

from geodiff.domains.bodies import gripper, view
from geodiff.domains.bodies.objects import make_object
from geodiff.domains.bodies.records import GraspedObject
from geodiff.grasps import candidates


@pytest.fixture(scope="module")
def mug():
    item = make_object("mug", 1)
    grasps = candidates(item, 12, np.random.default_rng(0))
    return item, grasps.poses, np.random.default_rng(1).random(12)


def held(path) -> dict:
    """The one record in a page."""
    (record,) = json.loads(re.search(r"^const records = (.*);$", path.read_text(), re.MULTILINE)[1])
    return record


def test_the_page_holds_object_and_grippers_best_first(tmp_path, mug):
    item, poses, cost = mug
    record = held(view.page(item, poses, cost, tmp_path / "a.html"))
    vertices = np.array(record["vertices"]).reshape(-1, 3) * record["unit"]
    np.testing.assert_allclose(vertices, item.vertices, atol=0.51 * record["unit"])
    assert np.array_equal(np.array(record["faces"]).reshape(-1, 3), item.faces)
    order = cost.argsort()
    np.testing.assert_allclose(record["cost"], cost[order], rtol=1e-3)
    np.testing.assert_allclose(np.reshape(record["poses"], (-1, 3, 4)), poses[order, :3], atol=1e-5)
    outline = np.array(record["outline"]).reshape(-1, 2, 3) * record["unit"]
    np.testing.assert_allclose(
        outline, gripper.outline()[: len(outline)], atol=0.51 * record["unit"]
    )
    assert record["caption"].startswith("12 grasps") and record["name"] == "mug_0001"


def test_pages_take_what_a_sampler_gives(tmp_path, mug):
    item, poses, cost = mug
    one = view.record(item, poses, cost)
    assert one == view.record(item, torch.tensor(poses), torch.tensor(cost, requires_grad=True))
    assert len(view.record(item, poses, cost, most=5)["cost"]) == 5
    assert view.record(item, poses[:0], cost[:0])["cost"] == []


def test_a_cloud_is_shown_as_points(tmp_path, mug):
    item, poses, cost = mug
    cloud = np.repeat(item.vertices, 3, axis=0)
    record = held(view.page(cloud, poses, cost, tmp_path / "a.html"))
    assert (
        record["faces"] == []
        and len(record["vertices"]) == 3 * view._POINTS
        and record["radius"] > 0
    )
    assert view.picture(cloud[::40], poses, cost, tmp_path / "a.png", most=2).exists()


def test_large_meshes_are_simplified_in_place():
    n = 120
    u, v = np.meshgrid(np.arange(n) / n, np.arange(n) / n, indexing="ij")
    vertices = np.stack(
        [
            np.cos(2 * np.pi * u) * (2 + np.cos(2 * np.pi * v)),
            np.sin(2 * np.pi * u) * (2 + np.cos(2 * np.pi * v)),
            np.sin(2 * np.pi * v),
        ],
        -1,
    ).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(n), np.arange(n), indexing="ij")
    a, b, c, d = (
        ((i + p) % n * n + (j + q) % n).ravel() for p, q in ((0, 0), (1, 0), (1, 1), (0, 1))
    )
    torus = GraspedObject(
        "torus", vertices, np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    )
    fewer, faces = view._surface(torus)
    assert 5_000 < len(faces) <= view._FACES < len(torus.faces)
    ring = np.hypot(np.hypot(fewer[:, 0], fewer[:, 1]) - 2, fewer[:, 2])
    assert abs(ring - 1).max() < 0.03


@pytest.mark.parametrize("most", [1, 12])
def test_the_picture_has_the_colours_of_cheap_and_dear_grasps(tmp_path, mug, most):
    item, poses, cost = mug
    path = view.picture(item, poses, cost, tmp_path / "a.png", title="$x$", most=most)
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    drawn = pixels[:, : int(0.85 * pixels.shape[1])].reshape(-1, 3)
    red, green, blue = drawn.T
    assert ((green > red + 60) & (green > 100)).sum() > 500  # the best
    assert ((red > green + 60).sum() > 500) == (most > 1)  # the worst
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_no_grasp_is_a_picture_too(tmp_path, mug):
    assert view.picture(mug[0], np.zeros((0, 4, 4)), np.zeros(0), tmp_path / "a.png").exists()


@pytest.mark.parametrize("write", [view.page, view.picture])
def test_what_cannot_be_drawn_is_named(write, tmp_path, mug):
    item, poses, cost = mug
    for thing, some, dear, words in (
        (item, poses[:, :3], cost, "poses"),
        (item, 2 * poses, cost, "rotations"),
        (item, poses, cost[:3], "cost"),
        (item, poses, np.full(12, np.nan), "not finite"),
        (np.zeros((3, 2)), poses, cost, "points"),
        (np.full((4, 3), np.inf), poses, cost, "not finite"),
    ):
        with pytest.raises(ValueError, match=words):
            write(thing, some, dear, tmp_path / "a")
    assert not list(tmp_path.iterdir())
