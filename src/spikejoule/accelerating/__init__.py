"""Run and train a user's model on the event engine: `spikejoule.accelerate`.

accelerate_model  the function
accelerated       the module that it returns
known_cells       the equations of neurons, by module
parts             the modules of a model, in the order in which spikes pass them
tracing           that order, found by running the model
layout            the axes of a model's samples
outputs           what a model makes of the spikes and potentials of its last layer
stages            modules as the layers of the engine, and their values
passes            passes through the engine
"""
