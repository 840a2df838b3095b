"""Shared by all stages: how they start, log, fail and resume.

__main__   the process of a stage
common     run a stage: paths, parameters, logging, errors
project    the project's root, the pipeline's process, the live run in MLflow
resuming   states of trainings, kept until dvc.lock records the result
run        the shell script that dvc.yaml calls
"""
