"""What a trained network does: spikes and synaptic events by image, accuracies, early answers."""
