"""Figures on the pages are those of the committed files."""

from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from docs.site.training_step import traffic
from tests.tools.committed import committed_text, committed_values

REPOSITORY = Path(__file__).resolve().parents[2]
SETTINGS = REPOSITORY / "studies" / "verdict" / "seeds.csv"


def table(name: str) -> pd.DataFrame:
    """A committed table of metrics/."""
    return pd.read_csv(StringIO(committed_text(f"metrics/{name}.csv")))


def stated(committed: Path) -> dict[str, Any]:
    """The recorded run's figures, also in the units that pages use, and whole files."""
    figures: dict[str, Any] = {}
    for name in ("evaluate", "early_exit", "energy"):
        figures |= committed_values(name)
    history = table("history")
    figures["epochs_trained"] = len(history)
    figures["best_validation_accuracy_percent"] = history[
        "validation_accuracy_percent"
    ].max()
    counted = table("energy").query("profile == '45nm-fp32' and term == 'spike_routed'")
    for layer, count in counted.groupby("layer")["count"].first().items():
        figures[f"{layer}_spikes_per_inference"] = count
    figures["energy_uj"] = figures["energy_nj"] / 1000
    for end in ("low", "high"):
        for name in ("training", "training_conventional"):
            figures[f"{name}_{end}_j"] = figures[f"{name}_{end}_mj"] / 1000
        in_inferences = figures[f"training_in_inferences_{end}"]
        figures[f"training_in_millions_{end}"] = in_inferences / 1e6
    figures["sparsity_percent"] = 100 * figures["sparsity_ratio"]
    # What a training sample takes, by phase and by kind of access.
    by_kind = traffic(committed)
    uj = {
        kind: {phase: cell.energy_pj / 1e6 for phase, cell in phases.items()}
        for kind, phases in by_kind.items()
    }
    figures["training_uj"] = pd.DataFrame(uj).sum(axis=1).to_dict()
    total_uj = sum(figures["training_uj"].values())
    figures["training_percent"] = {
        kind: 100 * sum(phases.values()) / total_uj for kind, phases in uj.items()
    }
    # The first row of a setting has the means over its seeds.
    settings = pd.read_csv(SETTINGS).drop_duplicates("setting")
    settings["energy_uj"] = settings["energy_nj"] / 1000
    for name, is_early, row in zip(
        settings["name"],
        settings["early_exit"],
        settings.to_dict("records"),
        strict=True,
    ):
        figures[f"{name}_early" if is_early else name] = row
    figures["means"] = history.mean().to_dict()
    figures["speed"] = committed_values("benchmark")
    figures["latency"] = figures["speed"]["latency"]
    figures["us"] = committed_values("profile")["us_per_image"]
    return figures


STATED: dict[str, list[str]] = yaml.safe_load(
    Path(__file__).with_name("figures.yaml").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("page", STATED)
def test_headlines(page: str, committed: Path) -> None:
    figures = stated(committed)
    text = " ".join((REPOSITORY / page).read_text(encoding="utf-8").split())
    for template in STATED[page]:
        assert " ".join(template.format(**figures).split()) in text
    assert figures["profile"] == "lemaire-complete"
    assert figures["ratio_low"] > 1, "pages say that the spiking network loses"
