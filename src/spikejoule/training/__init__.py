"""Learning: epochs of freshly drawn spikes, schedules, deformations of the images."""
