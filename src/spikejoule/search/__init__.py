"""Searching for a Pareto front of accuracy and energy: many trainings, on one machine
or on many.

A search is an Optuna study: a trial draws parameters from the space that `search.yaml`
states, trains as the pipeline does, and is judged on validation images alone. Workers
are processes that submitit starts, here or through Slurm; all that they share is the
study's database. Optuna's heartbeat finds the trials of workers that were killed, and
has them run again.

`space` reads `search.yaml` and needs neither package.
"""
