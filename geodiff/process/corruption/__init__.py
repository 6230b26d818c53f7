"""Ways from clean points to noise: one file each."""

from geodiff.process.corruption.base import Corrupted as Corrupted
from geodiff.process.corruption.base import Corruption as Corruption
from geodiff.process.corruption.base import PointCorruption as PointCorruption
from geodiff.process.corruption.gaussian import Gaussian as Gaussian
from geodiff.process.corruption.geodesic import Geodesic as Geodesic
from geodiff.process.corruption.heat_kernel import HeatKernel as HeatKernel
from geodiff.process.corruption.joint import Joint as Joint
from geodiff.process.corruption.letters import Letters as Letters
from geodiff.process.corruption.letters import Masked as Masked
from geodiff.process.corruption.letters import NoisyLetters as NoisyLetters
from geodiff.process.corruption.letters import Uniform as Uniform
