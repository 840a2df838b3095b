"""The values and rows that the report's templates place.

page         all values of the page
key_figures  accuracy, energies and events
shares       parts of an inference's energy, and the bars of the verdict
operations   the operations of an inference
training     the energy of training
terminal     the tables of the report for a terminal
"""
