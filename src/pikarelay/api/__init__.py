"""
The only HTTP server: routes, bearer tokens, form reading, error rendering.

Floor 3: knows floor 0, `contract` and `services`.
"""
