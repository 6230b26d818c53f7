"""The model: a perceptron and a flow on the circle."""

from geodiff.networks.mlp import MLP
from geodiff.process.corruption import Geodesic
from geodiff.process.field import Field, NetworkField
from manifolds import Sphere

DEFAULT_MODEL = "circle"


def new_config(width: int = 32) -> dict:
    """What the JSON beside the weights says of a model."""
    return {"width": width}


def build(config: dict) -> Field:
    """The field of `config`, freshly initialised."""
    network = MLP(2, width=config["width"], layers=1)
    return NetworkField(network, Geodesic(Sphere(1)), reading="velocity")
