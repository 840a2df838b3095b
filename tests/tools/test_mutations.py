"""The mutations themselves: `make mutations` tries them, but each must still have its place."""

import tomllib

from tests.tools.mutations import MUTATIONS, REPOSITORY, times_found


def test_every_mutation_can_be_tried() -> None:
    for each in MUTATIONS:
        assert times_found(each) == 1, each.name
        assert (REPOSITORY / each.tests.partition("::")[0]).is_file(), each.name
        content = (REPOSITORY / each.file).read_text(encoding="utf-8")
        compile(content.replace(each.before, each.after), each.file, "exec")


def test_mutmut_has_files_to_mutate_and_tests_to_run() -> None:
    with open(REPOSITORY / "pyproject.toml", "rb") as stream:
        settings = tomllib.load(stream)["tool"]["mutmut"]
    for name in (*settings["only_mutate"], *settings["pytest_add_cli_args_test_selection"]):
        assert (REPOSITORY / name).exists(), name
