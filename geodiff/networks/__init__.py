"""Networks: plain torch modules that know no process; e3nn only inside `tensor_product`, lazily."""

from .transformer import Transformer as Transformer
