"""Public names of geodiff.images, as editors and type checkers find them."""

from geodiff.images.commands import train as train
from geodiff.images.datasets import Images as Images
from geodiff.images.datasets import data as data
from geodiff.images.datasets import read as read
from geodiff.images.objective import module as module
from geodiff.images.sampling import sample as sample
from geodiff.pictures.grid import write_grid as write_grid
from geodiff.training.weights import load as load

from . import datasets as datasets
from . import model as model
from . import objective as objective
from . import sampling as sampling

__all__: list[str]
