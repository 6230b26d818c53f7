"""Public names of geodiff.images, as editors and type checkers find them."""

from geodiff.images.datasets import Images as Images
from geodiff.images.datasets import read as read
from geodiff.images.sampling import sample as sample
from geodiff.images.training import train as train
from geodiff.pictures.grid import write_grid as write_grid
from geodiff.training.weights import load as load

from . import datasets as datasets
from . import model as model
from . import sampling as sampling
from . import training as training

__all__: list[str]
