"""What a network remembers during one run of a sampler: self-conditioning."""

from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from geodiff.process.field import NetworkField


@runtime_checkable
class Remembers(Protocol):
    """A condition that carries a network's last output back to it."""

    def given(self, previous: Tensor | None) -> Any:
        """The same condition beside the last output.

        Args:
            previous: what the network said last, None at first.
        """


class Memory:
    """The network of a run that hears what it said in the step before.

    Within one step every evaluation hears the same, what was remembered when the step began: an
    output of another level than the one before the step would be news that training never brought.
    Of a step with several evaluations the last one is remembered, which is nearest to the next
    step. Training hears of it by an objective that gives outputs half of the time.

    Args:
        field: the field whose network hears itself; it stays as it is.
        condition: what the run is told; it must have a method `given(previous)`.

    Raises: TypeError for a field or a condition that cannot remember.
    Source: Chen et al. 2023 (Analog bits), section 2.2.
    """

    def __init__(self, field: Any, condition: Any):
        if not isinstance(field, NetworkField):
            raise TypeError(
                f"remember: only a network's own outputs are remembered, so a NetworkField is "
                f"needed, got {type(field).__name__}"
            )
        if not isinstance(condition, Remembers):
            raise TypeError(
                "remember: the condition must take the last output by a method given(previous), "
                f"which {type(condition).__name__} lacks"
            )
        self._field = field
        self._held: Tensor | None = None
        self._latest: Tensor | None = None

    def field(self) -> NetworkField:
        """The field as the run asks it."""
        return NetworkField(self, self._field.corruption, self._field.reading)

    def __call__(self, seen: Tensor, s: Tensor, condition: Any, mask: Tensor | None) -> Tensor:
        """What the network says, beside what it said in the last step.

        Args:
            seen: the states as the network sees them.
            s: (*batch,).
            condition: of the network; its `given` takes what was said.
            mask: (*batch, nodes) bool, or None.
        """
        output = self._field.ask(seen, s, condition.given(self._held), mask)
        self._latest = output.detach()
        return output

    def step_ends(self) -> None:
        """Let the next step hear what was said last in this one."""
        self._held = self._latest
