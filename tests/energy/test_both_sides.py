"""Operations of spiking and conventional networks come from the same functions."""

import ast
from pathlib import Path
from typing import Any

import pytest

from spikejoule.compare import training
from spikejoule.encoding.encoders.poisson import Poisson
from spikejoule.energy import ledger
from spikejoule.energy.estimates import BootstrapSettings
from spikejoule.energy.prices import load_profiles
from spikejoule.evaluation.runs import counted_runs
from spikejoule.network.conventional import ConventionalNetwork
from spikejoule.network.network import Network
from tests.energy.by_hand import TRAINING, baseline, inputs, measured
from tests.energy.test_training import trained_baseline

BOTH = {Network, ConventionalNetwork}


def recorded(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> dict[int, Any]:
    """Record the results of a function of a module, and what it was given."""
    function = getattr(module, name)
    calls: dict[int, Any] = {}

    def recording(counted: Any, *arguments: Any, **named: Any) -> Any:
        operations = function(counted, *arguments, **named)
        calls[id(operations.counts)] = counted
        return operations

    monkeypatch.setattr(module, name, recording)
    return calls


def test_inference(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = recorded(monkeypatch, ledger, "count_operations")
    runs = counted_runs(measured(2), Poisson(time_window=3, max_rate=80.0), None)
    variants = (
        *map(ledger.spiking_variant, runs),
        *ledger.baseline_variants([baseline(10, [3, 4])], 2),
    )
    given = [calls[id(variant.operations.counts)] for variant in variants]
    assert {type(activity.network) for activity in given} == BOTH


def test_training(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = recorded(monkeypatch, training, "count_training")
    found = training.training_ledger(
        inputs().variant,
        TRAINING,
        [trained_baseline()],
        [load_profiles()["45nm-fp32"]],
        BootstrapSettings(9),
    )
    assert {type(record.network) for record in calls.values()} == BOTH
    # Every network is counted in the same dataflows, once each.
    assert len(calls) == len(found.variants) == 2 * len({*training.TRAINING_RANGE}) + 2


def test_nobody_else_makes_operations(repository: Path) -> None:
    """`block` and `OperationCounts` are called where networks are counted."""
    source = repository / "src" / "spikejoule"
    makers = {
        file.relative_to(source).as_posix()
        for file in source.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("block", "OperationCounts")
    }
    training_parts = {"backward", "counting", "optimizer", "step"}
    assert makers == {
        "energy/count.py",
        "energy/operations.py",
        *(f"energy/training/{part}.py" for part in training_parts),
    }
