"""
The public API's dialect: camelCase names, time formats, masked tokens, limits, error bodies.

Floor 1: pure; knows `errors` and `jobs`.
"""
