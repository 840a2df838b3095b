"""The energy report: page, card, text and charts. All words are here.

page        page, card and text, filled from templates
views       the values and rows that the templates place
statements  sentences about a network, filled from the templates in `sentences`
contents    which terms a total includes
words       single values in words
names       names of networks and terms
notes       notes on a counted network
graph_notes notes on how a NIR graph ran
kinds       the energy of a training by phase and by what is accessed
units       energies and numbers in words
values      an analysis as JSON values, for `spikejoule energy --json`
charts      charts, one function each, as PNG and as the page's SVG
"""
