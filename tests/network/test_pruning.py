"""Pruning: which synapses are removed, when, and that they never return."""

import numpy as np
import pytest

from spikejoule.network.pruning import PruningSettings, pruning_masks

HALF = PruningSettings(pruned_fraction=0.5, prune_start=0.2, prune_end=0.6)


class TestFraction:
    def test_by_hand_over_ten_epochs(self) -> None:
        # Pruning epochs are 3 to 6: x = 1/4, 2/4, 3/4, 1.
        expected = [0, 0]
        expected += [0.5 * (1 - (1 - x) ** 3) for x in (0.25, 0.5, 0.75, 1.0)]
        expected += [0.5] * 4
        assert [
            HALF.pruned_fraction_at(epoch, 10) for epoch in range(1, 11)
        ] == pytest.approx(expected)
        assert [HALF.is_pruned_by(epoch, 10) for epoch in range(1, 11)] == [
            False
        ] * 5 + [True] * 5
        assert PruningSettings().pruned_fraction_at(1, 10) == 0
        assert PruningSettings().is_pruned_by(1, 10)

    @pytest.mark.parametrize("max_epochs", [1, 3, 7])
    @pytest.mark.parametrize(("start", "end"), [(0.0, 0.1), (0.2, 0.6), (0.99, 1.0)])
    def test_always_done_by_the_last_epoch(
        self, max_epochs: int, start: float, end: float
    ) -> None:
        settings = PruningSettings(
            pruned_fraction=0.8, prune_start=start, prune_end=end
        )
        fractions = [
            settings.pruned_fraction_at(epoch, max_epochs)
            for epoch in range(1, max_epochs + 1)
        ]
        assert fractions == sorted(fractions)
        assert settings.is_pruned_by(max_epochs, max_epochs)


def test_the_smallest_over_all_matrices_and_the_earlier_of_equals_go() -> None:
    state = {
        "layer1.synapses.weight": np.array([[0.1, -5.0], [2.0, -0.3]]),
        "layer1.synapses.bias": np.array([0.0, 0.0]),
        "layer2.synapses.weight": np.array([[0.2, -0.3]]),
    }
    masks = {name: mask.tolist() for name, mask in pruning_masks(state, 0.5).items()}
    assert masks == {
        "layer1.synapses.weight": [[False, True], [True, False]],
        "layer2.synapses.weight": [[False, True]],
    }
