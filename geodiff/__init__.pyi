"""Public names of geodiff, as editors and type checkers find them."""

import geodiff.process.clocks
import geodiff.process.objectives.matching
from geodiff.process import corruption as corruption
from geodiff.process import couplings as couplings
from geodiff.process import divergence as divergence
from geodiff.process import field as field
from geodiff.process import likelihood as likelihood
from geodiff.process import randomness as randomness
from geodiff.process import samplers as samplers
from geodiff.process import sampling as sampling
from geodiff.process.best_of import best_of as best_of
from geodiff.process.clocks import Cosine as Cosine
from geodiff.process.clocks import DDPMLinear as DDPMLinear
from geodiff.process.clocks import Exponential as Exponential
from geodiff.process.clocks import Karras as Karras
from geodiff.process.clocks import Linear as Linear
from geodiff.process.clocks import LogLinear as LogLinear
from geodiff.process.clocks import PerFactor as PerFactor
from geodiff.process.condition import Condition as Condition
from geodiff.process.condition import Labels as Labels
from geodiff.process.corruption import Gaussian as Gaussian
from geodiff.process.corruption import Geodesic as Geodesic
from geodiff.process.corruption import HeatKernel as HeatKernel
from geodiff.process.corruption import Joint as Joint
from geodiff.process.corruption import Masked as Masked
from geodiff.process.corruption import Uniform as Uniform
from geodiff.process.couplings import MinibatchOT as MinibatchOT
from geodiff.process.field import Field as Field
from geodiff.process.field import NetworkField as NetworkField
from geodiff.process.flowmap import FlowMap as FlowMap
from geodiff.process.flowmap import NetworkFlowMap as NetworkFlowMap
from geodiff.process.guidance import Autoguidance as Autoguidance
from geodiff.process.guidance import ClassifierFree as ClassifierFree
from geodiff.process.guidance import Clipped as Clipped
from geodiff.process.guidance import Energy as Energy
from geodiff.process.guidance import Guide as Guide
from geodiff.process.guidance import Interval as Interval
from geodiff.process.guidance import Known as Known
from geodiff.process.guidance import Reconstruction as Reconstruction
from geodiff.process.guidance import Rescaled as Rescaled
from geodiff.process.guidance import ScaledNull as ScaledNull
from geodiff.process.joint_field import JointField as JointField
from geodiff.process.letter_field import LetterField as LetterField
from geodiff.process.levels import levels as levels
from geodiff.process.likelihood import log_prob as log_prob
from geodiff.process.likelihood import prior_tv as prior_tv
from geodiff.process.objectives import score_matching as score_matching
from geodiff.process.objectives.matching import matching_loss as matching_loss
from geodiff.process.objectives.score_matching import implicit_loss as implicit_loss
from geodiff.process.objectives.score_matching import score_of as score_of
from geodiff.process.objectives.score_matching import sliced_loss as sliced_loss
from geodiff.process.particles import Particles as Particles
from geodiff.process.particles import steer as steer
from geodiff.process.randomness import Noise as Noise
from geodiff.process.reflow import reflow as reflow
from geodiff.process.samplers import AdaptiveRungeKutta as AdaptiveRungeKutta
from geodiff.process.samplers import Ancestral as Ancestral
from geodiff.process.samplers import Churn as Churn
from geodiff.process.samplers import ExponentialEuler as ExponentialEuler
from geodiff.process.samplers import Heun as Heun
from geodiff.process.samplers import Langevin as Langevin
from geodiff.process.samplers import LetterAncestral as LetterAncestral
from geodiff.process.samplers import Multistep as Multistep
from geodiff.process.samplers import RePaint as RePaint
from geodiff.process.samplers import RungeKutta4 as RungeKutta4
from geodiff.process.samplers import Singlestep as Singlestep
from geodiff.process.samplers import UniPC as UniPC
from geodiff.process.samplers import integrate as integrate
from geodiff.process.sampling import sample as sample
from geodiff.training import weights as weights
from geodiff.training.weights import load as load

from . import conformers as conformers
from . import domains as domains
from . import grasps as grasps
from . import images as images
from . import jobs as jobs
from . import networks as networks
from . import paths as paths
from . import pictures as pictures
from . import process as process
from . import proteins as proteins
from . import task as task
from . import testing as testing
from . import training as training

objectives = geodiff.process.objectives.matching
schedules = geodiff.process.clocks

__version__: str
__all__: list[str]
