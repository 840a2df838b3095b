"""From counts to joules: operations, where numbers live, and prices. Numbers only.

terms, terms.csv        every kind of operation, one row each
operations, count       operations, and how they follow from an activity
dataflow                where numbers live while a network runs or is trained
training                operations of a training
price_forms             the forms of a price: a number, a range, by width, by size
prices, hardware.yaml   price lists
chips, chips.yaml       published energies of chips per MNIST digit
timing                  latency, static energy and energy-delay product
estimates               energies and their intervals
ledger                  counts times prices, row by row
"""
