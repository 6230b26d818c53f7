"""The operations of `geometry` in other libraries, and two formulas of other projects written by
us.

Every library is given its fastest public way from matrices to matrices, per-sample times included.
A contender is a triple: `prepare` brings the inputs into the library's own order or type (not
timed), `call` is what is timed, and `finish` brings its result into ours for comparison (not
timed).
"""

import importlib
import importlib.util
import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from manifolds import SE3, SO3, rotations

INSTALL = {
    "geomstats": 'pip install geomstats "numpy<2.4"',
    "roma": "pip install roma",
    "kornia": "pip install --no-deps kornia kornia_rs",
    "pypose": "pip install --no-deps pypose",
    "flow_matching": "pip install --no-deps flow_matching",
    "mpmath": "pip install mpmath",
}


def missing(name: str) -> bool:
    return importlib.util.find_spec(name) is None


def same(*given):
    return given[0] if len(given) == 1 else given


class Contender(NamedTuple):
    """One way to do an operation; `prepare` takes and returns tuples of tensors."""

    call: Callable
    prepare: Callable[..., tuple] = lambda *given: given
    finish: Callable[[Tensor], Tensor] = same


def swap(twist: Tensor) -> Tensor:
    """Twists with their halves exchanged: others put the translation first."""
    return torch.cat([twist[..., 3:], twist[..., :3]], -1)


def ours() -> dict[str, Callable]:
    so3, se3 = SO3(), SE3()

    def screw(x: Tensor, y: Tensor, t: Tensor) -> Tensor:
        return se3.compose(
            x, se3.group_exp(t[:, None] * se3.group_log(se3.compose(se3.inverse(x), y)))
        )

    return {
        "SO(3) exp": rotations.rotation_vector_to_matrix,
        "SO(3) log": rotations.matrix_to_rotation_vector,
        "SO(3) exp at a point": so3.exp,
        "SO(3) log at a point": so3.log,
        "SO(3) compose": so3.compose,
        "SO(3) interpolate": so3.geodesic,
        "SE(3) exp": se3.group_exp,
        "SE(3) log": se3.group_log,
        "SE(3) compose": se3.compose,
        "SE(3) interpolate, screw": screw,
        "SE(3) interpolate, product": se3.geodesic,
    }


def inputs(operation: str, n: int, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Random arguments of an operation: uniform rotations, standard normal translations, times in
    [0, 1].
    """
    generator = torch.Generator().manual_seed(0)
    space = SO3() if operation.startswith("SO") else SE3()
    x, y = (space.random_point(n, generator=generator, dtype=dtype) for _ in range(2))
    vector = (
        rotations.matrix_to_rotation_vector(y) if isinstance(space, SO3) else space.group_log(y)
    )
    t = torch.rand(n, generator=generator, dtype=dtype)
    verb = operation.split(maxsplit=1)[1]
    return {
        "exp": (vector,),
        "log": (y,),
        "exp at a point": (x, vector),
        "log at a point": (x, y),
        "compose": (x, y),
    }.get(verb, (x, y, t))


def geomstats() -> dict[str, Contender]:
    from manifolds.geomstats import load

    load()
    from geomstats.geometry.special_euclidean import SpecialEuclidean, homogeneous_representation
    from geomstats.geometry.special_orthogonal import SpecialOrthogonal

    group, turns = (
        SpecialOrthogonal(3, equip=False),
        SpecialOrthogonal(3, point_type="vector", equip=False),
    )
    poses, motions = (
        SpecialEuclidean(3, equip=False),
        SpecialEuclidean(3, point_type="vector", equip=False),
    )
    exp, log = turns.matrix_from_rotation_vector, turns.rotation_vector_from_matrix

    def point_exp(x, w):
        return group.compose(x, exp(w))

    def point_log(x, y):
        return log(group.compose(group.inverse(x), y))

    def pose_exp(twist):
        return motions.matrix_from_vector(motions.exp_from_identity(twist))

    def pose_log(x):
        return motions.log_from_identity(torch.cat([log(x[..., :3, :3]), x[..., :3, 3]], -1))

    def screw(x, y, t):
        return poses.compose(x, pose_exp(t[:, None] * pose_log(poses.compose(poses.inverse(x), y))))

    def apart(x, y, t):
        turn = t[:, None] * point_log(x[..., :3, :3], y[..., :3, :3])
        shift = x[..., :3, 3] + t[:, None] * (y[..., :3, 3] - x[..., :3, 3])
        return homogeneous_representation(point_exp(x[..., :3, :3], turn), shift)

    return {
        "SO(3) exp": Contender(exp),
        "SO(3) log": Contender(log),
        "SO(3) exp at a point": Contender(point_exp),
        "SO(3) log at a point": Contender(point_log),
        "SO(3) compose": Contender(group.compose),
        "SO(3) interpolate": Contender(lambda x, y, t: point_exp(x, t[:, None] * point_log(x, y))),
        "SE(3) exp": Contender(pose_exp),
        "SE(3) log": Contender(pose_log),
        "SE(3) compose": Contender(poses.compose),
        "SE(3) interpolate, screw": Contender(screw),
        "SE(3) interpolate, product": Contender(apart),
    }


def roma() -> dict[str, Contender]:
    import roma

    exp, log, compose = roma.rotvec_to_rotmat, roma.rotmat_to_rotvec, roma.rotmat_composition

    def turn(x, y, t):
        # roma.rotmat_slerp takes one list of times for all pairs, so it is spelled out here.
        return compose([x, exp(t[:, None] * log(compose([roma.rotmat_inverse(x), y])))])

    def apart(x, y, t):
        x, y = roma.Rigid.from_homogeneous(x), roma.Rigid.from_homogeneous(y)
        shift = x.translation + t[:, None] * (y.translation - x.translation)
        return roma.Rigid(turn(x.linear, y.linear, t), shift).to_homogeneous()

    def product(x, y):
        return (roma.Rigid.from_homogeneous(x) @ roma.Rigid.from_homogeneous(y)).to_homogeneous()

    return {
        "SO(3) exp": Contender(exp),
        "SO(3) log": Contender(log),
        "SO(3) exp at a point": Contender(lambda x, w: compose([x, exp(w)])),
        "SO(3) log at a point": Contender(lambda x, y: log(compose([roma.rotmat_inverse(x), y]))),
        "SO(3) compose": Contender(lambda x, y: compose([x, y])),
        "SO(3) interpolate": Contender(turn),
        "SE(3) compose": Contender(product),
        "SE(3) interpolate, product": Contender(apart),
    }


def kornia() -> dict[str, Contender]:
    from kornia.geometry.liegroup import Se3, So3

    def turn(x, y, t):
        x, y = So3.from_matrix(x), So3.from_matrix(y)
        return (x * So3.exp(t[:, None] * (x.inverse() * y).log())).matrix()

    def screw(x, y, t):
        x, y = Se3.from_matrix(x), Se3.from_matrix(y)
        return (x * Se3.exp(t[:, None] * (x.inverse() * y).log())).matrix()

    def apart(x, y, t):
        shift = x[..., :3, 3] + t[:, None] * (y[..., :3, 3] - x[..., :3, 3])
        x, y = So3.from_matrix(x[..., :3, :3]), So3.from_matrix(y[..., :3, :3])
        return Se3(x * So3.exp(t[:, None] * (x.inverse() * y).log()), shift).matrix()

    return {
        "SO(3) exp": Contender(lambda w: So3.exp(w).matrix()),
        "SO(3) log": Contender(lambda x: So3.from_matrix(x).log()),
        "SO(3) exp at a point": Contender(lambda x, w: x @ So3.exp(w).matrix()),
        "SO(3) log at a point": Contender(lambda x, y: So3.from_matrix(x.mT @ y).log()),
        "SO(3) compose": Contender(lambda x, y: (So3.from_matrix(x) * So3.from_matrix(y)).matrix()),
        "SO(3) interpolate": Contender(turn),
        "SE(3) exp": Contender(lambda twist: Se3.exp(twist).matrix(), lambda twist: (swap(twist),)),
        "SE(3) log": Contender(lambda x: Se3.from_matrix(x).log(), finish=swap),
        "SE(3) compose": Contender(lambda x, y: (Se3.from_matrix(x) * Se3.from_matrix(y)).matrix()),
        "SE(3) interpolate, screw": Contender(screw),
        "SE(3) interpolate, product": Contender(apart),
    }


def _pypose():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("pypose")


def pypose() -> dict[str, Contender]:
    """With conversion from and to matrices."""
    pp = _pypose()

    def rotation(x):
        return pp.mat2SO3(x, check=False)

    def pose(x):
        return pp.mat2SE3(x, check=False)

    def between(read, algebra):
        def call(x, y, t):
            x, y = read(x), read(y)
            step = pp.LieTensor(t[:, None] * (x.Inv() @ y).Log().tensor(), ltype=algebra)
            return (x @ step.Exp()).matrix()

        return call

    def point_exp(x, w):
        return (rotation(x) @ pp.so3(w).Exp()).matrix()

    return {
        "SO(3) exp": Contender(lambda w: pp.so3(w).Exp().matrix()),
        "SO(3) log": Contender(lambda x: rotation(x).Log().tensor()),
        "SO(3) exp at a point": Contender(point_exp),
        "SO(3) log at a point": Contender(
            lambda x, y: (rotation(x).Inv() @ rotation(y)).Log().tensor()
        ),
        "SO(3) compose": Contender(lambda x, y: (rotation(x) @ rotation(y)).matrix()),
        "SO(3) interpolate": Contender(between(rotation, pp.so3_type)),
        "SE(3) exp": Contender(
            lambda twist: pp.se3(twist).Exp().matrix(), lambda twist: (swap(twist),)
        ),
        "SE(3) log": Contender(lambda x: pose(x).Log().tensor(), finish=swap),
        "SE(3) compose": Contender(lambda x, y: (pose(x) @ pose(y)).matrix()),
        "SE(3) interpolate, screw": Contender(between(pose, pp.se3_type)),
    }


def pypose_quaternions() -> dict[str, Contender]:
    """Without conversion: what goes in and comes out are its own quaternions and translations."""
    pp = _pypose()

    def raw(read):
        # Leaves of the graph are plain tensors; wrapping them costs next to nothing.
        return lambda *given: tuple(read(x).tensor().detach() if x.dim() == 3 else x for x in given)

    rotations_in, poses_in = (
        raw(lambda x: pp.mat2SO3(x, check=False)),
        raw(lambda x: pp.mat2SE3(x, check=False)),
    )

    def matrix(kind):
        return lambda x: kind(x).matrix()

    def between(kind, algebra):
        def call(x, y, t):
            x, y = kind(x), kind(y)
            return (
                x @ pp.LieTensor(t[:, None] * (x.Inv() @ y).Log().tensor(), ltype=algebra).Exp()
            ).tensor()

        return call

    turn, pose = matrix(pp.SO3), matrix(pp.SE3)
    return {
        "SO(3) exp": Contender(lambda w: pp.so3(w).Exp().tensor(), finish=turn),
        "SO(3) log": Contender(lambda x: pp.SO3(x).Log().tensor(), rotations_in),
        "SO(3) exp at a point": Contender(
            lambda x, w: (pp.SO3(x) @ pp.so3(w).Exp()).tensor(), rotations_in, turn
        ),
        "SO(3) log at a point": Contender(
            lambda x, y: (pp.SO3(x).Inv() @ pp.SO3(y)).Log().tensor(), rotations_in
        ),
        "SO(3) compose": Contender(
            lambda x, y: (pp.SO3(x) @ pp.SO3(y)).tensor(), rotations_in, turn
        ),
        "SO(3) interpolate": Contender(between(pp.SO3, pp.so3_type), rotations_in, turn),
        "SE(3) exp": Contender(lambda v: pp.se3(v).Exp().tensor(), lambda v: (swap(v),), pose),
        "SE(3) log": Contender(lambda x: pp.SE3(x).Log().tensor(), poses_in, swap),
        "SE(3) compose": Contender(lambda x, y: (pp.SE3(x) @ pp.SE3(y)).tensor(), poses_in, pose),
        "SE(3) interpolate, screw": Contender(between(pp.SE3, pp.se3_type), poses_in, pose),
    }


# Column of the tables: the package it needs, and its operations.
LIBRARIES = {
    "geomstats": ("geomstats", geomstats),
    "roma": ("roma", roma),
    "kornia": ("kornia", kornia),
    "pypose": ("pypose", pypose),
    "pypose, quaternions": ("pypose", pypose_quaternions),
}


def series_score(w: Tensor, kappa: Tensor, terms: int = 1000) -> Tensor:
    """Score of IGSO(3) as FrameDiff computes it by default, without its table of values.

    w: rotation vectors, (*batch, 3). kappa: broadcastable to (*batch,). With a the angle plus 1e-6,
    f the series of `terms` characters and f' its derivative term by term, the score is f' / (f +
    1e-4) along the axis.
    Source: Yim et al. 2023, proposition 3.1, and the constants of their published program.
    """
    angle = w.norm(dim=-1) + 1e-6
    l = torch.arange(terms, dtype=w.dtype, device=w.device)
    weight = (2 * l + 1) * torch.exp(-l * (l + 1) * kappa[..., None] ** 2 / 2)
    phase = angle[..., None] * (l + 0.5)
    low, low_slope = torch.sin(angle / 2)[..., None], 0.5 * torch.cos(angle / 2)[..., None]
    density = (weight * torch.sin(phase) / low).sum(-1)
    # They evaluate the two series one after the other, and so take the sines twice.
    high, high_slope = torch.sin(phase), (l + 0.5) * torch.cos(phase)
    slope = (weight * (low * high_slope - high * low_slope) / low**2).sum(-1)
    return (slope / (density + 1e-4))[..., None] * w / angle[..., None]


def path_by_differentiation(noise: Tensor, clean: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    """Point and velocity d noisy / ds of the geodesic path on the sphere, the velocity by forward
    differentiation.

    What flow_matching does where there is no closed form: one sample at a time, vectorised by vmap,
    with jvp inside.
    """

    def norm(v):
        return v.norm(dim=-1, keepdim=True)

    def point(clean, noise, s):
        across = noise - clean - (clean * (noise - clean)).sum(-1, keepdim=True) * clean
        angle = torch.acos((clean * noise).sum(-1, keepdim=True))
        v = s * torch.where(angle > 1e-4, across * angle / norm(across).clamp_min(1e-4), across)
        size = norm(v)
        near = clean + v
        return torch.where(
            size > 1e-4, clean * size.cos() + v * size.sin() / size, near / norm(near)
        )

    def one(clean, noise, s):
        return torch.func.jvp(lambda s: point(clean, noise, s), (s,), (torch.ones_like(s),))

    return torch.func.vmap(one)(clean, noise, s[:, None])
