"""State that the callbacks of a run share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class RunState:
    """Written and read by callbacks; the algorithm itself only counts the updates that it skips.

    `scores` are the latest of G_ema, computed at turn `scored_at`, and `improved_at` is the last turn at which the
    monitored score was the best so far: -1 if there was none in this process.
    `interrupt_signal` is the number of the signal that stops the run, 0 without one.
    `saved_at` is the turn of the latest checkpoint to resume from, -1 without one.
    `num_skipped` counts the updates left out because they were not finite.
    """

    scores: dict[str, float] = field(default_factory=dict)
    scored_at: int = -1
    improved_at: int = -1
    interrupt_signal: int = 0
    saved_at: int = -1
    num_skipped: int = 0

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"scores": self.scores, "scored_at": self.scored_at, "skipped": self.num_skipped}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what a checkpoint kept."""
        self.scores, self.scored_at = state["scores"], state["scored_at"]
        self.num_skipped = state.get("skipped", 0)  # absent in runs begun before updates could be skipped
