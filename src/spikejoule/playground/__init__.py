"""The playground: a page where people draw a digit and watch a run's networks answer.

content    what the page knows: networks, counts, and test images to choose from
opponent   the conventional network next to the spiking one
prices     what each count of an inference costs: the energy ledger as a linear function
reported   why the ratio on the page is not that of the energy report
page       the page, from the template, the style and the scripts of this folder

The scripts repeat the project's arithmetic in JavaScript, to the last bit: predictions,
spikes, events and products equal the pipeline's.
"""
