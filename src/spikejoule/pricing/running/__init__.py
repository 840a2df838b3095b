"""Run a model on samples."""
