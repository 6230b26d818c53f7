"""Heat kernels: the law of Brownian motion on a space, in closed form.

`kernel(manifold)` gives `sample`, `log_prob`, `score` and `displacement`. A noise level kappa is
the standard deviation in each direction: the kernel solves dp/dt = laplacian(p) / 2 with t =
kappa^2.
"""

from manifolds.base import Manifold
from manifolds.centered import Centered
from manifolds.euclidean import Euclidean
from manifolds.heat.base import Kernel as Kernel
from manifolds.heat.circle import CircleKernel
from manifolds.heat.euclidean import CenteredKernel, EuclideanKernel
from manifolds.heat.hyperbolic import HyperbolicKernel
from manifolds.heat.hypersphere import LARGEST, HypersphereKernel
from manifolds.heat.poses import PosesKernel
from manifolds.heat.prior import prior_tv as prior_tv
from manifolds.heat.product import ProductKernel, SE3Kernel
from manifolds.heat.scaled import ScaledKernel
from manifolds.heat.so3 import SO3Kernel
from manifolds.heat.sphere import SphereKernel
from manifolds.heat.torus import TorusKernel
from manifolds.hyperbolic import Hyperbolic
from manifolds.poses import Poses
from manifolds.product import Product
from manifolds.scaled import Scaled
from manifolds.se3 import SE3
from manifolds.so3 import SO3
from manifolds.sphere import Sphere
from manifolds.torus import Torus


def kernel(manifold: Manifold) -> Kernel:
    """The heat kernel of a space.

    Raises ValueError for a space whose kernel has no closed form here; flow matching needs none.
    """
    if isinstance(manifold, Product):
        return ProductKernel(manifold, tuple(kernel(space) for space in manifold.spaces))
    if isinstance(manifold, Scaled):
        return ScaledKernel(manifold, kernel(manifold.space))
    kinds = {
        Euclidean: EuclideanKernel,
        Centered: CenteredKernel,
        Torus: TorusKernel,
        SO3: SO3Kernel,
        SE3: SE3Kernel,
        Poses: PosesKernel,
    }
    if type(manifold) in kinds:
        return kinds[type(manifold)](manifold)
    if type(manifold) is Sphere and manifold.n <= LARGEST:
        return {1: CircleKernel, 2: SphereKernel}.get(manifold.n, HypersphereKernel)(manifold)
    if manifold == Hyperbolic(3):
        return HyperbolicKernel(manifold)
    raise ValueError(
        f"manifold: no heat kernel for {manifold}; there is one for Euclidean, Centered, Torus, "
        f"Sphere(n) with n at most {LARGEST}, SO3, SE3, Poses, Hyperbolic(3), any of them Scaled, "
        "and their products. Flow matching (geodiff.process.corruption.Geodesic) works on every "
        "space"
    )
