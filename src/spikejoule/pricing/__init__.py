"""PyTorch models of any simulator, counted while they run, and priced.

price_model     `price`: a model and samples in, a `Report` out
arguments       arguments, checked against the annotations of a function
samples         batches of samples, as a model takes them
running         run the model on samples, batch by batch
scores          the class scores that it gives
cautions        warnings about how it ran
states          the state of a model, restored for every batch
watching        hooks on the model's modules, and on functions
count_modules   calls of modules: what enters layers, and what units emit
repeated        calls that are alike, counted together
count_products  products in functions, counted like layers
parts           what each module of a model is, and what happens when it has run
places          a module called with one input shape, and everything counted there
amounts         sums per sample
traces          which module wrote a tensor
functions       functions outside counted modules: counted, or else named
function_kinds  what functions do, by name
function_calls  calls of functions: their names and tensors
products        functions that multiply by weights, in one form
like_modules    functions that do what a module does
origins         what tensors were made from
unknown_neurons modules that look like neurons, but are not known
omissions       what was not counted, in words
tensors         the tensors among arguments and results
axes            which axes of a tensor hold steps, samples and units
contents        the contents of a tensor, summed up per sample
neurons         how neurons are counted; one file of `simulators` per simulator
cells           the equations of neurons, for `accelerate`
layers          known PyTorch layers, and the fan-outs of their input units
nodes           places as nodes of a network
activity        the counts as a network and its activity
printed         rows of a label and a value, as reports print them
report          `Report`: printed, saved, checked against a budget
conventional    `Baseline`: a conventional network to compare with, counted on the same
                samples
verify_graph    `verify`: compare a model with its NIR graph, spike by spike
graph           `price_graph`: a NIR graph and its spikes in, an analysis out
parameters      weights, thresholds and other constants that differ between the two
other_counters  `count_as`: what NeuroBench, SpikingJelly and PyTorch count

torch_private   what PyTorch has no public way for
"""
