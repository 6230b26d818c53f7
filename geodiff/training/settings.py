"""How the weights of a field are optimised."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingSettings:
    """Optimisation by AdamW; where a run ends is the trainer's to say.

    Args:
        learning_rate: highest of the run.
        weight_decay: of matrices; vectors and numbers have none.
        warmup_steps: in which the rate rises from 0; a short run warms up for a tenth of it.
        max_minutes: of training, kept over a resume, after which the run ends; None for no limit.
        gradient_clip: Euclidean norm that gradients are cut to.
        ema_decay: of the moving average of the weights.
        precision: "32", or "bf16" for the network alone; geometry and weights stay float32.
        schedule: "cosine" lets the rate fall to 0 at the end of the run, "constant" keeps it.
        cooldown: share of the run, at its end, in which a constant rate falls to 0 on a line.
        checkpoint_every_steps: how often a run is written to disk.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup_steps: int = 500
    max_minutes: float | None = None
    gradient_clip: float = 1.0
    ema_decay: float = 0.999
    precision: str = "32"
    schedule: str = "cosine"
    cooldown: float = 0.0
    checkpoint_every_steps: int = 500

    def __post_init__(self) -> None:
        for name in ("learning_rate", "max_minutes", "gradient_clip", "checkpoint_every_steps"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name}: expected a number above 0, got {value}")
        if self.precision not in ("32", "bf16"):
            raise ValueError(f"precision: expected '32' or 'bf16', got {self.precision!r}")
        if self.schedule not in ("cosine", "constant"):
            raise ValueError(f"schedule: expected 'cosine' or 'constant', got {self.schedule!r}")
        if not 0 <= self.cooldown <= 1 or (self.cooldown and self.schedule == "cosine"):
            raise ValueError(
                "cooldown: expected a share of the run from 0 to 1, above 0 with schedule "
                f"'constant' alone, got {self.cooldown} with {self.schedule!r}"
            )
