"""How the weights are optimised, and when that ends."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingSettings:
    """Optimisation; `max_steps` and `max_minutes` end the run at whichever comes first, learning
    rate at zero there.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup_steps: int = 500
    max_steps: int = 20_000
    max_minutes: float | None = None
    gradient_clip: float = 1.0  # Euclidean norm
    ema_decay: float = 0.999
    # "bf16" runs the network alone in bfloat16; geometry and weights stay float32
    precision: str = "32"
    checkpoint_every_steps: int = 500

    def __post_init__(self):
        for name in (
            "learning_rate",
            "max_steps",
            "max_minutes",
            "gradient_clip",
            "checkpoint_every_steps",
        ):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name}: expected a number above 0, got {value}")
        if self.precision not in ("32", "bf16"):
            raise ValueError(f"precision: expected '32' or 'bf16', got {self.precision!r}")
