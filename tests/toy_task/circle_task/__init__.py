"""Points on a circle: a task of another distribution, as small as one can be."""
