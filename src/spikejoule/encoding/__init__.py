"""Lists of spikes: how samples become them, their files, and counting them.

events         event lists: the spikes of a layer, or constant currents; their files
encoder        the interface of an encoder, and the operations of encoding
encoders       the encoders, one file each
kernels        compiled loops that emit spikes
binning        time-stamped events of a sensor, brought to steps
counting       spikes by sample, step and neuron; the predicted class
params         the section `encode` of params.yaml
encode_images  the function `spikejoule.encode`
encoded_files  files of encoded samples, with the encoder that made them
"""
