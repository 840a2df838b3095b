"""The playground: a page where people draw a digit and watch a run's networks answer.

inputs      what a run knows
content     what the page shows of it, without prices
networks    both networks, as the scripts read them
operations  the operations of both, as functions of an image's counts
gallery     test images to choose from
packing     arrays as the scripts unpack them
opponent    the conventional network next to the spiking one
prices      what each count costs: the energy ledger as a linear function
reported    why the ratio on the page is not that of the energy report
page        the page, from the template, the style and the scripts of this folder

The scripts repeat the project's arithmetic in JavaScript, to the last bit: predictions,
spikes, events and products equal the pipeline's.
"""
