"""From counts to joules: operation counts, sourced prices, comparisons, break-even.

terms, terms.csv        every kind of operation, one row each
operations, count       operation counts, and how they follow from an activity
dataflow                where numbers live while a network runs or is trained
training                counts of a training
prices, hardware.yaml   price lists
estimates               energies, their intervals, and energies in words
ledger                  counts times prices, row by row
front, comparison       the Pareto front of conventional networks, and ratios to it
published               published conventional networks
break_even, contents    where a network stops winning; what a total includes
exchange                what a multiply-accumulate must cost for it to win
from_checkpoint         the analysis of a trained network
from_counts             the analysis of a network that is counted while it runs
from_graph              the analysis of a NIR graph
analysis                everything together
params                  the section `energy_report` of params.yaml
outputs, notes, words   tables and JSON, notes, and sentences (folder `sentences`)
"""
