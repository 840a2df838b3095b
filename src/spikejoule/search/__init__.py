"""Searching for a front of accuracy and energy: many trainings, on one machine or on many.

A search is a study of Optuna's: a trial draws parameters from the space that `search.yaml` states,
trains as the pipeline does, and is judged on validation images alone. Workers are processes that
submitit starts, here or through Slurm; all that they share is the study's database. Whatever is
killed, every trial is finished once, and there are as many as were asked for.

`space` and `settings` read `search.yaml` and need neither package.
"""
