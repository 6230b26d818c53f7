"""Does a grasp hold? Close the Panda's fingers on the object in MuJoCo, then lift, lower and swing
it.

No gravity: the fingers push with 5 N each, friction is 0.2, and an object that slips out while the
hand moves has failed. Against the FleX labels of ACRONYM, 30 grasps each of 16 objects (6 mugs, 6
bowls, 3 bottles, a hat), 0.854 of the verdicts agree: 0.867 on mugs, 0.883 on bowls, 0.767 on
bottles, of which too many are held. Blades are judged too strictly: on 4 knives and a pair of
scissors 0.607 agree. examples/benchmarks/mjb_agreement.py prints the table.
"""

import logging
import math
from dataclasses import dataclass

import numpy as np

from geodiff.domains.bodies import gripper
from geodiff.domains.bodies.records import GraspedObject, GraspSet
from geodiff.domains.bodies.surface import is_watertight, mass_properties

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Protocol:
    """Every choice that decides on success."""

    force: float = 5.0  # newtons a finger; 40 shoot light objects away
    damping: float = 50.0  # N s / m of a finger: it closes at 0.1 m/s
    friction: float = 0.2  # with 1.0 almost every grasp holds
    torsion: float = 0.01  # metres, friction against turning about the contact normal
    timestep: float = 0.002  # seconds
    penetration: float = 0.001  # metres at the start; deeper fails
    close: float = 0.6  # seconds, the object's own motion damped with `calm`
    calm: float = 0.003  # seconds
    # seconds: a finger touches if it did at any time in such a window; light objects chatter
    touch: float = 0.06
    settle: float = 0.2  # seconds
    lift: float = 0.05  # metres along the approach, and back, in `lift_time`
    lift_time: float = 1.0  # seconds
    swing: float = 0.2  # radians to both sides about the line of the fingers, in `swing_time`
    swing_time: float = 1.0  # seconds
    lost: float = 0.06  # metres in the gripper frame; farther has failed
    density: float = 150.0  # kg / m^3, for an object without a mass


def label(grasps: GraspSet, protocol: Protocol = Protocol()) -> GraspSet:
    """The grasps with `success` as MuJoCo has it.

    Args:
        grasps: poses; their object needs convex `parts`.
        protocol: every choice that decides on success.

    Raises: ValueError without an object or its parts; ModuleNotFoundError without mujoco.
    """
    if grasps.object is None or not grasps.object.parts:
        raise ValueError(
            "grasps: their object should come with convex parts; with_parts(object) makes them"
        )
    scene = Scene(grasps.object, protocol)
    success = np.array([scene.holds(pose) for pose in grasps.poses], dtype=bool)
    return GraspSet(grasps.poses, grasps.object, success, grasps.cost, grasps.width, "mujoco")


class Scene:
    """One object and one gripper in MuJoCo, used again for each grasp.

    Args:
        item: the object, with convex `parts`.
        protocol: every choice that decides on success.

    Raises: ValueError if MuJoCo cannot take the object; ModuleNotFoundError without mujoco.
    """

    def __init__(self, item: GraspedObject, protocol: Protocol = Protocol()) -> None:
        try:
            import mujoco
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "simulating grasps needs mujoco: pip install 'geodiff-manifolds[grasp]'"
            ) from error
        self.mujoco, self.protocol = mujoco, protocol
        try:
            self.model = mujoco.MjModel.from_xml_string(_xml(item, protocol))
        except ValueError as error:
            raise ValueError(
                f"{item.name}: MuJoCo cannot take it ({error}); are its convex parts flat?"
            ) from error
        self.data = mujoco.MjData(self.model)
        self._base = self.model.body("base").id
        self._item = self.model.body("item").id
        self._finger = {
            self.model.geom(name).id: number for number, name in enumerate(("left", "right"))
        }

    def holds(self, pose: np.ndarray) -> bool:
        """Whether a grasp holds to the end.

        A simulation whose numbers run away is a failure, and not a word of it: MuJoCo would write
        MUJOCO_LOG.TXT.

        Args:
            pose: the gripper in the object frame, (4, 4).
        """
        warn = self.mujoco.get_mju_user_warning()
        self.mujoco.set_mju_user_warning(logger.debug)
        try:
            return self._holds(pose)
        finally:
            self.mujoco.set_mju_user_warning(warn)

    def _holds(self, pose: np.ndarray) -> bool:
        p, data = self.protocol, self.data
        self.mujoco.mj_resetData(self.model, data)
        data.qpos[2:4] = gripper.MAX_WIDTH / 2
        rotation = np.ascontiguousarray(pose[:3, :3].T)
        data.qpos[4:7] = -rotation @ pose[:3, 3]
        self.mujoco.mju_mat2Quat(data.qpos[7:11], rotation.reshape(-1))
        self.mujoco.mj_forward(self.model, data)
        if data.ncon and data.contact.dist.min() < -p.penetration:
            return False
        data.qfrc_applied[2:4] = -p.force
        keep = math.exp(-p.timestep / p.calm)
        self._run(p.close, keep=keep)
        if not self._run(p.touch, keep=keep) or not self._run(p.settle, at_once=False):
            return False
        start = self._place()
        for seconds, joint, motion in (
            (p.lift_time, 0, lambda s: p.lift * (1 - math.cos(2 * math.pi * s)) / 2),
            (p.swing_time, 1, lambda s: p.swing * math.sin(2 * math.pi * s)),
        ):
            steps = round(seconds / p.timestep)
            for step in range(steps):
                data.qvel[joint] = (motion((step + 1) / steps) - motion(step / steps)) / p.timestep
                self._step()
                if step % 10 == 0 and not np.linalg.norm(self._place() - start) < p.lost:
                    return False
            data.qvel[joint] = 0.0
        return self._run(p.touch) and not self._diverged()

    def _diverged(self) -> bool:
        """Whether MuJoCo met numbers that are not finite, upon which it begins again at the
        start.
        """
        kinds = (
            getattr(self.mujoco.mjtWarning, f"mjWARN_BADQ{what}") for what in ("POS", "VEL", "ACC")
        )
        return any(self.data.warning[kind].number for kind in kinds)

    def _step(self) -> None:
        self.mujoco.mj_step(self.model, self.data)

    def _run(self, seconds: float, keep: float = 1.0, at_once: bool = True) -> bool:
        """Let time pass; whether both fingers touched in its last `touch` seconds, and the object
        is near.
        """
        steps, window, touched = (
            round(seconds / self.protocol.timestep),
            self.protocol.touch,
            [False, False],
        )
        last = round(window / self.protocol.timestep)
        for step in range(steps):
            self._step()
            self.data.qvel[4:] *= keep
            if step >= steps - last:
                for pair in self.data.contact.geom:
                    for geom in pair:
                        if geom in self._finger:
                            touched[self._finger[geom]] = True
        near = np.linalg.norm(self._place()) < 1.0
        return bool(near and (all(touched) or not at_once))

    def _place(self) -> np.ndarray:
        """Centre of mass of the object in the gripper frame."""
        turn = self.data.xmat[self._base].reshape(3, 3)
        return turn.T @ (self.data.xipos[self._item] - self.data.xpos[self._base])


def _xml(item: GraspedObject, p: Protocol) -> str:
    """The scene in MJCF; the gripper is driven along z and about x with an armature that nothing
    slows down.

    An open mesh has no volume; MuJoCo then takes mass and inertia of the object's convex parts.
    """
    mass, com, inertia = item.mass, item.com, item.inertia
    inertial = ""
    known = mass is not None and com is not None and inertia is not None
    if not known and is_watertight(item.faces):
        volume, com, unit = mass_properties(item.vertices, item.faces)
        mass, inertia, known = abs(p.density * volume), p.density * unit * np.sign(volume), True
    if known:
        order = inertia[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
        inertial = f'<inertial pos="{_row(com)}" mass="{mass:.9g}" fullinertia="{_row(order)}"/>'
    bodies = gripper.bodies(0.0)
    meshes = {
        **{name: vertices for name, (vertices, _) in bodies.items()},
        **{f"part{k}": part for k, part in enumerate(item.parts)},
    }
    assets = "".join(
        f'<mesh name="{name}" inertia="convex" vertex="{_row(vertices)}"/>'
        for name, vertices in meshes.items()
    )
    parts = "".join(f'<geom class="item" mesh="part{k}"/>' for k in range(len(item.parts)))
    fingers = "".join(
        f'<body><inertial pos="0 0 0.085" mass="0.1" diaginertia="1e-4 1e-4 1e-4"/>'
        f'<joint name="{name}" type="slide" axis="{side} 0 0" range="0 0.04" limited="true" '
        f'damping="{p.damping}"/><geom name="{name}" class="hand" mesh="{name}"/></body>'
        for name, side in (("left", 1), ("right", -1))
    )
    return f"""<mujoco><compiler angle="radian"/>
<option timestep="{p.timestep}" integrator="implicitfast" cone="elliptic" impratio="50"
 gravity="0 0 0">
<flag multiccd="enable"/></option>
<default><geom type="mesh" condim="4" friction="{p.friction} {p.torsion} 0.0001" solref="0.004 1"
 solimp="0.95 0.99 0.001"/>
<default class="hand"><geom contype="1" conaffinity="0"/></default>
<default class="item"><geom contype="0" conaffinity="1"
 density="{p.density:.9g}"/></default></default>
<asset>{assets}</asset>
<worldbody><body name="base"><inertial pos="0 0 0" mass="1" diaginertia="1 1 1"/>
<joint type="slide" axis="0 0 1" armature="1e5"/><joint type="hinge" axis="1 0 0" armature="1e5"/>
<geom class="hand" mesh="hand"/>{fingers}</body>
<body name="item"><freejoint/>{inertial}{parts}</body>
</worldbody><equality><joint joint1="left" joint2="right" solref="0.004 1"/></equality></mujoco>"""


def _row(values: np.ndarray) -> str:
    return " ".join(f"{value:.9g}" for value in np.asarray(values).reshape(-1))
