"""The mutations themselves: `make mutations` tries them, but each must still have its place."""

from dataclasses import replace

from tests.tools.mutations import MUTATIONS, PACKAGE, REPOSITORY, problem_of


def test_every_mutation_can_be_tried() -> None:
    assert [problem for each in MUTATIONS if (problem := problem_of(each))] == []
    for each in MUTATIONS:
        path = REPOSITORY / PACKAGE / each.file
        content = path.read_text(encoding="utf-8")
        compile(content.replace(each.before, each.after), path, "exec")


def test_a_place_that_is_gone_is_named() -> None:
    gone = replace(MUTATIONS[0], before="no such code")
    assert problem_of(gone) == (
        "mutation 'a neuron at its threshold stays silent': 'no such code' of vector.py: "
        "stands 0 times, not once."
    )
    missing = replace(MUTATIONS[0], tests=("tests/test_gone.py",))
    assert problem_of(missing).endswith("there is no tests/test_gone.py.")
