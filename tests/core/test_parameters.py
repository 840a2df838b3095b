"""Kinds: how they are discovered, chosen, and refused. The keys that a stage reads."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field

from spikejoule.core.errors import ParameterError
from spikejoule.core.parameters import (
    Kind,
    Kinds,
    Only,
    ParameterFile,
    ParameterSection,
    chooses,
    parsed,
)

BASE = """
from abc import abstractmethod
from typing import ClassVar
from pydantic import Field
from spikejoule.core.parameters import Kind

class Drink(Kind):
    @abstractmethod
    def poured(self): ...
"""
TEA = """
from typing import ClassVar
from pydantic import Field
from drinks_base import Drink

class Tea(Drink):
    reference: ClassVar = "none"
    degrees: int = Field(default=80, ge=0, le=100)

    def poured(self):
        return self.degrees
"""
MILK = TEA.replace("Tea", "Milk").replace("degrees", "fat")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "drinks").mkdir()
    (tmp_path / "drinks" / "__init__.py").write_text("", encoding="utf-8")
    (tmp_path / "drinks_base.py").write_text(BASE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "drinks"
    for name in [name for name in sys.modules if name.startswith("drinks")]:
        del sys.modules[name]


def drinks(folder: Path, **files: str) -> Kinds[Kind]:
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    from drinks_base import Drink

    return Kinds("drink", Drink, "drinks")


def test_kinds_are_found_and_chosen(folder: Path) -> None:
    kinds = drinks(folder, tea=TEA, milk=MILK, _shared="raise RuntimeError")
    assert list(kinds) == ["milk", "tea"]

    @chooses(kinds)
    class Order(ParameterSection):
        drink: str
        cups: int = 1

    order = Order(drink="tea", degrees=95, fat=3)
    assert kinds.chosen_in(order).degrees == 95
    assert kinds.idle_in(order) == {"fat"}
    assert Order.choices() == [kinds]
    with pytest.raises(ValueError, match="drink"):
        Order(drink="coffee")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "drinks.tea must define one Drink"),
        (TEA + MILK, "drinks.tea must define one Drink"),
        (
            TEA.replace("degrees", "fat").replace("100", "50"),
            "another kind declare the parameter fat differently",
        ),
    ],
)
def test_a_faulty_kind_is_named(folder: Path, text: str, problem: str) -> None:
    with pytest.raises(TypeError, match=problem):
        drinks(folder, tea=text, milk=MILK)


def test_a_parameter_may_not_have_the_name_of_a_key(folder: Path) -> None:
    class Order(ParameterSection):
        drink: str
        fat: int = Field(ge=1)

    with pytest.raises(
        TypeError, match="Order has a key fat, so no drink can have a parameter"
    ):
        chooses(drinks(folder, tea=TEA, milk=MILK))(Order)


class Cup(ParameterSection):
    """A section of two keys."""

    size: int = Field(ge=1)
    colour: str = "white"


class Params(ParameterFile, extra="ignore"):
    """What a stage reads of a params.yaml."""

    cup: Annotated[Cup, Only(("size",))]


def test_a_stage_reads_only_the_keys_that_it_names() -> None:
    content = {"cup": {"size": 2, "colour": 5, "lid": True}, "saucer": 3}
    params = parsed(content, Params)
    assert params.flattened() == {"cup.size": 2}
    with pytest.raises(AttributeError, match="colour"):
        _ = params.cup.colour
    with pytest.raises(ParameterError, match=r"^cup\.size: 0 is not allowed"):
        parsed({"cup": {**content["cup"], "size": 0}}, Params)
