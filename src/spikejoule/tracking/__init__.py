"""Runs in an MLflow store: the only package that imports mlflow.

A run is written from a `publishing.RunRecord`, once for each distinct result:
publishing the same result again finds the run and adds nothing. While a network is
trained, `live.LiveRun` shows its run as it grows, which costs the training nothing:
whatever goes wrong is one warning. What goes wrong while a run is published is one
error, in bounded time, and is made up for by publishing again.
"""
