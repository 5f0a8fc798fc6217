"""
The background loops, one module per role, each with `start` and `stop`.

Floor 3: knows floor 0 and `services`.
"""
