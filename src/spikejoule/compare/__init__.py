"""Both sides: a spiking network beside conventional ones, at equal accuracy.

front             the Pareto front of conventional networks
comparison        two sides, the ratio of their energies, and who needs less
published         published conventional networks, conventional.csv
training          trainings of both sides, over dataflows
break_even        where a network stops winning
exchange          what a multiply-accumulate must cost for it to win
inputs            what an analysis starts from
analysis          everything together
outputs           the table and the headline as files
from_checkpoint   the analysis of a trained network
from_counts       the analysis of a network that is counted while it runs
from_graph        the analysis of a NIR graph
notes             what a reader must know of a counted network
params            the section `energy_report` of params.yaml
"""
