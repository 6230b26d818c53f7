"""Public names of geodiff.grasps, as editors and type checkers find them."""

from geodiff.domains.bodies import antipodal as antipodal
from geodiff.domains.bodies import convex as convex
from geodiff.domains.bodies import gripper as gripper
from geodiff.domains.bodies import hdf5 as hdf5
from geodiff.domains.bodies import io as io
from geodiff.domains.bodies import objects as objects
from geodiff.domains.bodies import rays as rays
from geodiff.domains.bodies import records as records
from geodiff.domains.bodies import rendering as rendering
from geodiff.domains.bodies import simulate as simulate
from geodiff.domains.bodies import surface as surface
from geodiff.domains.bodies import view as view
from geodiff.domains.bodies.antipodal import candidates as candidates
from geodiff.domains.bodies.convex import with_parts as with_parts
from geodiff.domains.bodies.io import read_grasps as read_grasps
from geodiff.domains.bodies.io import read_object as read_object
from geodiff.domains.bodies.io import read_points as read_points
from geodiff.domains.bodies.io import write_grasps as write_grasps
from geodiff.domains.bodies.objects import make_object as make_object
from geodiff.domains.bodies.objects import make_objects as make_objects
from geodiff.domains.bodies.rays import partial_cloud as partial_cloud
from geodiff.domains.bodies.records import GraspedObject as GraspedObject
from geodiff.domains.bodies.records import GraspSet as GraspSet
from geodiff.domains.bodies.simulate import label as label
from geodiff.domains.bodies.view import page as page
from geodiff.domains.bodies.view import picture as picture
from geodiff.grasps.commands import train as train
from geodiff.grasps.datasets import LabelledObject as LabelledObject
from geodiff.grasps.datasets import data as data
from geodiff.grasps.datasets import read_training_data as read_training_data
from geodiff.grasps.energy import CostField as CostField
from geodiff.grasps.evaluation import evaluate as evaluate
from geodiff.grasps.objective import module as module
from geodiff.grasps.preparation import prepare as prepare
from geodiff.grasps.sampling import sample as sample
from geodiff.grasps.sampling import sample_file as sample_file
from geodiff.training.weights import load as load

from . import cloud as cloud
from . import datasets as datasets
from . import energy as energy
from . import evaluation as evaluation
from . import model as model
from . import network as network
from . import objective as objective
from . import preparation as preparation
from . import sampling as sampling

__all__: list[str]
