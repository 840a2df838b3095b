"""Training as a scikit-learn estimator.

parameters       the estimator's arguments, checked as params.yaml is
samples          numbers as images, labels as classes
training_report  the energy of a training
estimator        `SpikingClassifier`
"""
