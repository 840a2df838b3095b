"""PyTorch models of any simulator, counted while they run, and priced.

A product is counted in `count_modules` if a layer computes it, in `count_products` if a
function does. Both count at a place (`places`), where sums per sample are kept.

Run
price_model     `price`: a model and samples in, a `Report` out
arguments       arguments, checked against the annotations of a function
samples         batches of samples, as a model takes them
running         run the model on samples, batch by batch
states          the state of a model, restored for every batch
scores          the class scores that it gives
cautions        warnings about how it ran

Watch
watching        `Watch`: decides what counts each module and function
functions       hooks on modules, and a mode that sees each function
function_calls  a call of a function: its name, its tensors, its place in the code
origins         what a tensor was made from: samples, or weights alone
traces          which place wrote a tensor
axes            which axes of a tensor hold steps, samples and units
tensors         the tensors among arguments and results

Know
parts           what each module of a model is, and what happens when it has run
layers          known PyTorch layers, and the fan-outs of their input units
neurons         how neurons are counted; one file of `simulators` per simulator
cells           the equations of neurons, for `accelerate`
function_kinds  what each function is: free, a product, like a module, or unknown
products        functions that multiply by weights, in one form
like_modules    functions that do what a module does
unknown_neurons modules that look like neurons, but are not known
omissions       what was not counted

Count
count_modules   calls of modules: what enters layers, and what units emit
repeated        calls that are alike, counted together
count_products  products in functions, counted like layers
places          a module called with one input shape, and everything counted there
contents        the contents of a tensor, summed up per sample
amounts         sums per sample
nodes           places as nodes of a network
activity        the counts as a network and its activity

Report
report          `Report`: printed, saved, checked against a budget
printed         rows of a label and a value, as reports print them
conventional    `Baseline`: a conventional network to compare with, counted on the same
                samples
verify_graph    `verify`: compare a model with its NIR graph, spike by spike
parameters      weights, thresholds and other constants that differ between the two
graph           `price_graph`: a NIR graph and its spikes in, an analysis out
other_counters  `count_as`: what NeuroBench, SpikingJelly and PyTorch count

torch_private   what PyTorch has no public way for
"""
