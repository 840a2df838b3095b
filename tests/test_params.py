"""Parameters: each problem is one line with its key, value, and what is allowed."""

import copy
import difflib
import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from spikejoule.core.errors import ParameterError
from spikejoule.network.quantisation import Quantisation
from spikejoule.params import Params, load_params, parse_params
from tests.tools.committed import committed_text, params_text, parsed
from tests.tools.dvc_private import apply_overrides

CONTENT = parsed(params_text())


def changed(values: dict[str, Any]) -> dict[str, Any]:
    """The content of params.yaml with some values, by their full keys, replaced."""
    content: dict[str, Any] = copy.deepcopy(CONTENT)
    for key, value in values.items():
        section, _, name = key.rpartition(".")
        (content[section] if section else content)[name] = value
    return content


def refusal(content: dict[str, Any]) -> str:
    with pytest.raises(ParameterError) as error:
        parse_params(content)
    return str(error.value)


def all_keys() -> list[str]:
    keys = []
    for name, field in Params.model_fields.items():
        inner = getattr(field.annotation, "model_fields", None)
        keys += [f"{name}.{key}" for key in inner] if inner else [name]
    return keys


def test_every_line_is_valid_and_documented() -> None:
    assert set(parse_params(CONTENT).flattened()) == set(all_keys())
    for line in params_text().splitlines():
        is_item = line.startswith("  - ")
        if line and not line.startswith("#") and not line.endswith(":") and not is_item:
            assert line.partition("  # ")[2], line


@pytest.mark.parametrize(
    ("override", "removed", "added"),
    [
        ("train.lr=0.001", 1, 1),
        ("train.lr=1e-5", 1, 1),
        ("train.max_epochs=3", 1, 1),
        ("model.bias=false", 1, 1),
        ("data.source=mnist5k", 1, 1),
        ("train.target_accuracy=97.5", 1, 1),
        ("train.target_accuracy=null", 0, 0),
        ("model.hidden=[100,50]", 1, 3),
        ("model.layers=[400r,200]", 0, 2),
        ("baseline.family_hidden=[100,200]", 1, 1),
    ],
)
def test_an_experiment_changes_only_the_lines_of_its_value(
    override: str, removed: int, added: int, tmp_path: Path
) -> None:
    """With the function of DVC 3.67 that `dvc exp run -S` calls."""
    path = tmp_path / "params.yaml"
    path.write_text(params_text(), encoding="utf-8")
    if params_text() != committed_text("params.yaml"):
        pytest.skip("params.yaml has keys of the user's own, in any form")
    before = params_text().splitlines()
    apply_overrides(str(path), [override])
    after = path.read_text(encoding="utf-8").splitlines()
    signs = [line[0] for line in difflib.ndiff(before, after)]
    assert (signs.count("-"), signs.count("+")) == (removed, added)


def test_what_is_accepted() -> None:
    """A number, or a list with one per layer; null; widths of integers; events."""
    for value, sizes in ((400, (400,)), ([400], (400,)), ([800, 400], (800, 400))):
        assert parse_params(changed({"model.hidden": value})).model.hidden == sizes
    lists = {"model.threshold": [1, 0.5, 2.0], "model.decay": [1.0, 0.9, 0.5]}
    nothing = {"train.surrogate_slope": None, "train.target_accuracy": None}
    params = parse_params(changed({"model.hidden": [30, 20], **lists, **nothing}))
    constants = params.model.chosen_neuron.by_layer
    assert constants == {"threshold": (1.0, 0.5, 2.0), "decay": (1.0, 0.9, 0.5)}
    flat = params.flattened()
    assert flat["model.threshold"] == [1.0, 0.5, 2.0]
    assert yaml.safe_load(yaml.safe_dump(flat)) == flat
    integers = parse_params(changed({"model.weight_bits": 4, "model.state_bits": 16}))
    assert integers.model.quantisation == Quantisation(weight_bits=4, state_bits=16)
    assert parse_params(changed({"model.weight_bits": 32})).model.quantisation is None
    assert parse_params(changed(VALUES["events"])).encode.encoder.takes == "events"


# Values that no parameter, or only some, can have
ODD = (None, True, "a\nb", "", "x" * 501, "1e999", -1, 1e300, 10**400, math.nan)
ODD += ([], [0.25], ["0.9"], [0.9, 0.8, 0.7, 0.6], [10] * 17, {"a": 1})
VALUES: dict[str, Any] = yaml.safe_load(
    Path(__file__).with_name("parameter_values.yaml").read_text(encoding="utf-8")
)


class TestRefused:
    @staticmethod
    def is_refused(key: str, value: Any) -> bool:
        """Whether a value is refused, in one line with the key and what is allowed."""
        try:
            parse_params(changed({key: value}))
        except ParameterError as error:
            message = str(error)
        else:
            return False
        assert message.startswith(f"{key}: ")
        assert "; allowed: " in message
        assert "\n" not in message
        return True

    def test_odd_values(self) -> None:
        for key in all_keys():
            assert sum(self.is_refused(key, value) for value in ODD) > len(ODD) / 3

    @pytest.mark.parametrize("key", VALUES["refused"])
    def test_values_out_of_range(self, key: str) -> None:
        assert all(self.is_refused(key, value) for value in VALUES["refused"][key])

    @pytest.mark.parametrize("key", VALUES["allowed"])
    def test_the_ends_of_a_range(self, key: str) -> None:
        for value in VALUES["allowed"][key]:
            parse_params(changed({key: value}))

    @pytest.mark.parametrize("case", VALUES["together"], ids=lambda case: case["begin"])
    def test_values_together(self, case: dict[str, Any]) -> None:
        message = refusal(changed(case["values"]))
        assert message.startswith(case["begin"])
        assert message.endswith(case["end"])
        assert "\n" not in message

    def test_any_missing_key(self) -> None:
        for key in all_keys():
            without = changed({})
            section, _, name = key.rpartition(".")
            del (without[section] if section else without)[name]
            assert refusal(without) == f"{key}: is missing"


def test_a_file_that_is_missing_or_empty_is_named(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    with pytest.raises(ParameterError, match=r"params\.yaml does not exist"):
        load_params(path)
    path.write_text("# nothing\n", encoding="utf-8")
    with pytest.raises(ParameterError, match=r"params\.yaml.*is empty"):
        load_params(path)
