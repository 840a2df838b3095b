"""Compiled functions of what is counted after inference."""
