"""Fixtures of the tests of searches."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from spikejoule.energy.prices import load_profiles
from spikejoule.params import Params
from spikejoule.search.space import Search, SearchSettings, search_space
from tests.tools.committed import committed_params


@pytest.fixture
def params() -> Params:
    """The parameters of the project."""
    return committed_params()


SearchOf = Callable[..., Search]


@pytest.fixture
def search_of(params: Params, tmp_path: Path) -> SearchOf:
    """Makes a search of a space, in its own folder."""

    def made(space: Mapping[str, Any], **changes: Any) -> Search:
        content = {
            "study": "a",
            "trials": 4,
            "energy": "45nm-fp32",
            "fixed": {},
            **changes,
        }
        settings = SearchSettings.model_validate({**content, "space": dict(space)})
        found = search_space(settings, params, load_profiles()[settings.energy])
        storage = f"sqlite:///{tmp_path}/{settings.side}.db"
        return Search(storage, settings, found, {}, {}, tmp_path)

    return made


@contextmanager
def study_of(search: Search) -> Iterator[Any]:
    """The study of a search, in its database."""
    from spikejoule.search.study import open_study, opened_storage

    with opened_storage(search) as storage:
        yield open_study(search, storage)


def trials_of(search: Search) -> list[Any]:
    """Optuna's trials of a search."""
    with study_of(search) as study:
        return list(study.trials)
