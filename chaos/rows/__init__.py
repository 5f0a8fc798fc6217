"""The rows of the matrix, one module each. Each has `run(scene, outcome)`, and adds to the outcome what it comes to."""
