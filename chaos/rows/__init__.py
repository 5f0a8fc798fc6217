"""The rows of the matrix, one module each. Each has `run(scene) -> Outcome`."""
