"""Parameters: each problem is one line with its key, value, and what is allowed."""

import copy
import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from spikejoule.core.errors import ParameterError
from spikejoule.network.quantisation import Quantisation
from spikejoule.params import RENAMED, Params, load_params, parse_params
from tests.tools.committed import params_text, parsed

CONTENT = parsed(params_text())


@pytest.fixture
def content() -> dict[str, Any]:
    return copy.deepcopy(CONTENT)


def changed(key: str, value: object) -> dict[str, Any]:
    return with_all({key: value})


def with_all(values: dict[str, Any]) -> dict[str, Any]:
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


class TestParamsFile:
    LINES = params_text().splitlines()

    def test_every_line_is_valid_documented_and_in_block_style(self) -> None:
        assert set(parse_params(CONTENT).flattened()) == set(all_keys())
        for line in self.LINES:
            if line and not line.startswith("#") and not line.endswith(":"):
                value, _, comment = line.partition("  # ")
                assert comment, line
                # `dvc exp run -S` rewrites the file; in this style its diff is one
                # line.
                assert "family_" in value or not re.search(r"[][{}'\"&*]", value), line


def test_what_is_accepted() -> None:
    """A number, or a list with one per layer; null; widths of integers; events."""
    for value, sizes in ((400, (400,)), ([400], (400,)), ([800, 400], (800, 400))):
        assert parse_params(changed("model.hidden", value)).model.hidden == sizes
    lists = {"model.threshold": [1, 0.5, 2.0], "model.decay": [1.0, 0.9, 0.5]}
    nothing = {"train.surrogate_slope": None, "train.target_accuracy": None}
    params = parse_params(with_all({"model.hidden": [30, 20], **lists, **nothing}))
    constants = params.model.chosen_neuron.by_layer
    assert constants == {"threshold": (1.0, 0.5, 2.0), "decay": (1.0, 0.9, 0.5)}
    flat = params.flattened()
    assert flat["model.threshold"] == [1.0, 0.5, 2.0]
    assert yaml.safe_load(yaml.safe_dump(flat)) == flat
    integers = parse_params(with_all({"model.weight_bits": 4, "model.state_bits": 16}))
    assert integers.model.quantisation == Quantisation(weight_bits=4, state_bits=16)
    assert parse_params(changed("model.weight_bits", 32)).model.quantisation is None
    assert parse_params(with_all(VALUES["events"])).encode.encoder.takes == "events"


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
            parse_params(changed(key, value))
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
            parse_params(changed(key, value))

    @pytest.mark.parametrize("case", VALUES["together"], ids=lambda case: case["begin"])
    def test_values_together(self, case: dict[str, Any]) -> None:
        message = refusal(with_all(case["values"]))
        assert message.startswith(case["begin"])
        assert message.endswith(case["end"])
        assert "\n" not in message

    def test_any_missing_key(self, content: dict[str, Any]) -> None:
        for key in all_keys():
            without = copy.deepcopy(content)
            section, _, name = key.rpartition(".")
            del (without[section] if section else without)[name]
            assert refusal(without) == f"{key}: is missing"

    def test_one_line_for_each_problem(self, content: dict[str, Any]) -> None:
        content["train"]["lr"] = -1
        content["model"]["hidden"] = [0, 0]
        content["foo"] = 1
        del content["data"]
        keys = [line.split(":")[0] for line in refusal(content).splitlines()]
        assert sorted(keys) == ["data", "foo", "model.hidden", "train.lr"]
        line = "train: 3 is not allowed; allowed: a section with keys and values"
        assert refusal(changed("train", 3)) == line

    def test_null_is_among_what_is_allowed(self) -> None:
        for key, value in (
            ("measure_inference.n_samples", "all"),
            ("energy_report.budget_nj", "None"),  # YAML's null is null or ~
        ):
            assert refusal(changed(key, value)).endswith(", or null")


class TestFile:
    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            (None, "does not exist"),
            (b"# nothing\n", "is empty"),
            (b"seed: [", "not valid YAML"),
            (b"- 1\n- 2\n", "must hold keys and values"),
        ],
    )
    def test_clear_error(self, tmp_path: Path, text: bytes | None, reason: str) -> None:
        if text is not None:
            (tmp_path / "params.yaml").write_bytes(text)
        with pytest.raises(ParameterError, match=rf"params\.yaml.*{reason}") as error:
            load_params(tmp_path / "params.yaml")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("renaming", RENAMED.items(), ids=lambda names: names[0])
def test_a_renamed_key_is_refused_by_name(
    content: dict[str, Any], renaming: tuple[str, str]
) -> None:
    old, new = renaming
    section, old_key = old.split(".")
    new_section, new_key = new.split(".")
    content[section][old_key] = content[new_section].pop(new_key)
    message = refusal(content)
    assert old in message
    assert new in message
    assert len(message.splitlines()) == 1
