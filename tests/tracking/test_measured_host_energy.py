"""What a run's metrics hold of the machine's own energy."""

from tests.examples import HOST_ENERGY, NO_HOST_ENERGY

from spikejoule.tracking.run_record import _final_metrics


def test_only_what_was_measured_is_a_metric() -> None:
    timings = {
        "train": {"host_energy": HOST_ENERGY},
        "baseline": {"host_energy": {**HOST_ENERGY, "kind": "estimated"}},
        "inference": {"host_energy": NO_HOST_ENERGY},
    }
    assert _final_metrics([], timings) == {"host_energy_j/train": 350.5}
