"""Tensors of a running model: where they are, what they hold, who wrote them."""
