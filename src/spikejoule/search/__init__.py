"""Search for a Pareto front of accuracy and energy: many trainings, on many machines.

space       read search.yaml: what is searched, and what a trial draws
entries     the fixed values, lists and ranges in it
attributes  the attributes of a trial
study       the study that all workers share; run its trials
trial       train a network and measure it on validation images
found       what a search found, as runs, a table and commands
launch      start workers here or through Slurm, and replace those that die

A search is an Optuna study. A trial draws parameters, trains as the pipeline does, and
is judged on validation images only. Workers are processes started by submitit; they
share nothing but the study's database. Optuna's heartbeat finds the trials of killed
workers, and they are run again.

Only `study` and `launch` need Optuna and submitit, which the extra `search` installs.
"""
