"""Grasp candidates from geometry alone: two opposite contacts within the friction cone, and a hand
that fits.
"""

import logging
import math
from dataclasses import dataclass

import numpy as np
import torch

from geodiff.domains.bodies import gripper
from geodiff.domains.bodies.rays import cast, facing
from geodiff.domains.bodies.records import GraspedObject, GraspSet
from geodiff.domains.bodies.surface import face_normals, sample_surface

logger = logging.getLogger(__name__)

_POSES = 128  # poses at a time in the collision check: 13 MB


@dataclass(frozen=True)
class Contacts:
    """What counts as a candidate."""

    # between the line of the fingers and either surface normal, at most
    cone: float = math.radians(20)
    # metres between the contacts, at most: 1 mm of air on each side of an open gripper
    width: float = 0.078
    thinnest: float = 0.0005  # metres, at least: thinner is an edge
    approaches: int = 4  # random approach angles tried for each pair of contacts
    points: int = 4000  # of the surface, for the collision check; about 3 mm apart on a mug
    margin: float = 0.001  # metres that the gripper grows for that check
    rounds: int = 20  # of n rays each, before the search is given up


def candidates(
    item: GraspedObject,
    n: int = 300,
    generator: np.random.Generator | None = None,
    rule: Contacts = Contacts(),
) -> GraspSet:
    """`n` gripper poses that hold an object between two opposite contacts and do not touch it
    otherwise, widths included.

    A point of the surface, a line into the object within the cone of its normal, one of the places
    where the line leaves the object within the same cone; the middle of the two stands between the
    pads, somewhere along their flat part; the approach turns at random about the line. Success is
    not known: a simulator labels it.

    Args:
        item: what to hold.
        n: how many, at least 1. Fewer come back, with a log warning, if the rounds do not find
            more.
        generator: what draws; None for one with seed 0.
        rule: what counts as a candidate.

    Raises: ValueError if none is found: nothing is between 0.5 mm and 7.8 cm wide, or no approach
        is free.
    """
    if n < 1:
        raise ValueError(f"n: expected at least 1, got {n}")
    generator = np.random.default_rng(0) if generator is None else generator
    points, _ = sample_surface(item.vertices, item.faces, rule.points, generator)
    surface = torch.from_numpy(np.concatenate([points, item.vertices])).float()
    poses, widths, pairs, missing = [], [], 0, n
    for _ in range(rule.rounds):
        start, end = _contacts(item, n, generator, rule)
        pairs += len(start)
        if not len(start):
            continue
        some = _poses(start, end, generator, rule)
        free = ~_collide(some.reshape(-1, 4, 4), surface, rule).reshape(len(start), rule.approaches)
        pair = np.nonzero(free.any(1))[0]
        # The first free approach: one pose a pair, so that roomy pairs do not crowd out the others.
        poses.append(some[pair, free[pair].argmax(1)][:missing])
        widths.append(np.linalg.norm(end - start, axis=1)[pair][:missing])
        missing -= len(poses[-1])
        if missing == 0:
            break
    if missing == n:
        why = (
            f"{pairs} pairs of contacts, but no approach is free of collision"
            if pairs
            else "no two opposite contacts that fit between the fingers"
        )
        raise ValueError(
            f"{item.name}: {rule.rounds * n} rays found {why}; is it "
            f"{item.extents.round(3).tolist()} m large? Scale it, or ask for more rounds"
        )
    if missing:
        logger.warning(
            "%s: %d of %d candidates found in %d rounds", item.name, n - missing, n, rule.rounds
        )
    return GraspSet(np.concatenate(poses), item, width=np.concatenate(widths))


def _contacts(
    item: GraspedObject, rays: int, generator: np.random.Generator, rule: Contacts
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of opposite contacts, at most one a ray: two arrays (pairs, 3)."""
    start, face = sample_surface(item.vertices, item.faces, rays, generator)
    inward = -face_normals(item.vertices, item.faces)[0][face]
    directions = _within_cone(inward, rule.cone, generator)
    hits = cast(item.vertices, item.faces, start + 1e-7 * directions, directions)
    good = facing(item, hits, directions) >= math.cos(rule.cone)
    good &= (hits.distance >= rule.thinnest) & (hits.distance <= rule.width)
    ray, distance = hits.ray[good], hits.distance[good]
    # one of a ray's exits, each with equal chance
    order = np.lexsort((generator.random(len(ray)), ray))
    chosen, first = np.unique(ray[order], return_index=True)
    return start[chosen], start[chosen] + distance[order][first][:, None] * directions[chosen]


def _within_cone(axes: np.ndarray, angle: float, generator: np.random.Generator) -> np.ndarray:
    """Unit vectors spread evenly over the caps of that angle about `axes`, (R, 3)."""
    along = 1 - generator.random(len(axes)) * (1 - math.cos(angle))
    turn = 2 * np.pi * generator.random(len(axes))
    right, up = _across(axes)
    away = np.cos(turn)[:, None] * right + np.sin(turn)[:, None] * up
    return along[:, None] * axes + np.sqrt(1 - along**2)[:, None] * away


def _across(axes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors that make a right-handed frame with each of the unit vectors `axes`."""
    helper = np.eye(3)[np.abs(axes).argmin(1)]
    right = np.cross(helper, axes)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    return right, np.cross(axes, right)


def _poses(
    start: np.ndarray, end: np.ndarray, generator: np.random.Generator, rule: Contacts
) -> np.ndarray:
    """Grippers about the middle of each pair, (pairs, approaches, 4, 4), which finger is which left
    to chance.
    """
    line = (end - start) / np.linalg.norm(end - start, axis=1, keepdims=True)
    line *= np.where(generator.random(len(line)) < 0.5, -1.0, 1.0)[:, None]
    right, up = (side[:, None] for side in _across(line))
    turn = 2 * np.pi * generator.random((len(line), rule.approaches, 1))
    approach = np.cos(turn) * right + np.sin(turn) * up
    depth = generator.uniform(*gripper.PAD_RANGE, (len(line), rule.approaches, 1))
    poses = np.zeros((len(line), rule.approaches, 4, 4))
    poses[..., :3, 0] = line[:, None]
    poses[..., :3, 1] = np.cross(approach, line[:, None])
    poses[..., :3, 2] = approach
    poses[..., :3, 3] = (start + end)[:, None] / 2 - depth * approach
    poses[..., 3, 3] = 1
    return poses


def _collide(poses: np.ndarray, surface: torch.Tensor, rule: Contacts) -> np.ndarray:
    """Whether each pose collides with the surface points, (n,); a few of them rule out most poses
    cheaply.
    """
    hands = torch.from_numpy(poses).float()
    hit = gripper.collides(hands, surface[:: max(1, len(surface) // 250)], margin=rule.margin)
    left = torch.nonzero(~hit).squeeze(1)
    for chunk in left.split(_POSES):
        hit[chunk] = gripper.collides(hands[chunk], surface, margin=rule.margin)
    return hit.numpy()
