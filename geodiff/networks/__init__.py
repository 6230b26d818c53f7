"""Networks: plain torch modules that know no process; e3nn only inside `tensor_product`, lazily."""

from .frames import FrameTransformer as FrameTransformer
from .graph import farthest_points as farthest_points
from .graph import knn_graph as knn_graph
from .graph import radius_graph as radius_graph
from .mlp import MLP as MLP
from .tensor_product import TensorProductNetwork as TensorProductNetwork
from .transformer import Transformer as Transformer
from .unet import UNet as UNet
