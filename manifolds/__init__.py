"""Riemannian manifolds on torch tensors: batched, differentiable everywhere, float32 and
float64.
"""

from manifolds.base import Manifold as Manifold
from manifolds.centered import Centered as Centered
from manifolds.euclidean import Euclidean as Euclidean
from manifolds.hyperbolic import Hyperbolic as Hyperbolic
from manifolds.poses import Poses as Poses
from manifolds.power import Power as Power
from manifolds.product import Product as Product
from manifolds.scaled import Scaled as Scaled
from manifolds.se3 import SE3 as SE3
from manifolds.so3 import SO3 as SO3
from manifolds.sphere import Sphere as Sphere
from manifolds.torus import Torus as Torus
