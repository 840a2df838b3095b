"""Watch a running model: what counts each module and function, and what is left."""
