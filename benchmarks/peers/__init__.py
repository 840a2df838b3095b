"""One module an implementation; `benchmarks.rows` names them."""
