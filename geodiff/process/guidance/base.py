"""What a guide is."""

from geodiff.process.field import Field


class Guide(Field):
    """A field around a field: arithmetic on tangents at one x, projected as every field is.

    Guides nest, the outermost last: `Clipped(ClassifierFree(field, 2.0), 3.0)` guides, then clips.
    A guide of your own has `displacement`, which asks `self.field.displacement` where it is linear
    in what it hears, and `self.field` itself where it looks at tangents; and, where it can leave a
    level with alpha = 0, `clean_estimate`. What needs a gradient opens it by `torch.enable_grad`,
    since samplers run under `torch.no_grad`. What a guide does to the law belongs in its docstring,
    with a number.

    Args:
        field: what is guided; a guide too.
    """

    def __init__(self, field: Field):
        super().__init__(field.corruption)
        self.field = field
