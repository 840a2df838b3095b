"""Runs and models in MLflow; the only package that imports mlflow.

store          where the project's store is, how it is opened, who ends its runs
failures       errors of a store in one sentence that shows no password
curves         what is logged of each epoch, and its modelled energy
live           the run of a training, logged while it is trained
publishing     one finished run for each distinct result of the pipeline
run_record     the contents of such a run
groups         the parent run of a sweep, of presets or of a search
runs           how a single run begins, grows and ends
own_loops      a training in the user's own loop, logged to the user's own run
datasets       the data splits of a run, each with its digest
registry       checkpoints as versions of a registered model; the champion
served_folder  the folder of a version
served_model   the code with which MLflow loads a version
server         the HTTP server of a version
limits         limits on the metrics of a project
recorded       recorded runs as a DataFrame, and which of them are comparable
settings       means over seeds, and their Pareto front
tables         rows of a DataFrame as text for a terminal

mlflow_private  what MLflow has no public way for

A problem while a training is logged is one warning: the training continues. A problem
while a result is published is one error, in bounded time, and publishing again adds
what is missing. Publishing the same result twice adds nothing.
"""
