"""Training as a scikit-learn estimator.

parameters       the estimator's arguments, checked as params.yaml is
samples          numbers as levels of intensity
pipeline         what the stages do, on samples in memory
training_report  the energy of a training
estimator        `SpikingClassifier`
"""
