"""The table of DVC's experiments: figures and differences, however narrow the
terminal.
"""

from stages.experiments import experiments_text

CSV = """\
Experiment,rev,typ,State,accuracy,data,energy_nj,events,prices,ratio,train.lr,model.hidden
,workspace,baseline,,98.65,mnist,19534.83,171505,lemaire-complete,786.2,0.003,\
"[400, 100]"
power-hips,419788a,branch_base,,87.1,mnist5k,249.281,172201.0,lemaire-complete,\
213.763,0.001,400
broken,cafe123,branch_base,Failed,!,!,!,!,!,!,0.001,400
"""


def test_figures_and_parameters_that_differ_fit_80_columns() -> None:
    said = experiments_text(CSV)
    assert max(map(len, said.splitlines())) <= 80
    header, workspace, below, hips, *_ = said.splitlines()
    assert header.split() == [
        "run",
        "test",
        "%",
        "events",
        "energy",
        "µJ",
        "ratio",
        "state",
    ]
    assert workspace.split() == ["workspace", "98.65", "171,505", "19.5", "786"]
    assert hips.split() == ["power-hips", "87.10", "172,201", "0.249", "214"]
    assert {"train.lr=0.003", "data=mnist"} <= set(below.split())
    assert "model.hidden=[400, 100]" in below
    assert [line.split() for line in said.splitlines() if "broken" in line] == [
        ["broken", "failed"]
    ]
    assert "prices of lemaire-complete" in said
