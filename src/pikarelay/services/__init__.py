"""
What the server does, one module per verb: each orders the steps and owns the transactions.

Floor 2: knows `errors`, `jobs` and `contract`; reaches the outside through `ports` only.
"""
