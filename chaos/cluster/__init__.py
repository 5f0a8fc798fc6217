"""
Several nodes on one PostgreSQL database, which are killed, stopped and cut off one after the other, and judged from outside.

`python -m chaos.cluster`. Three nodes answer callers and three work, each in a process of its own and behind a proxy of its own to the
database; there are two hundred channels. The ledgers and the judge are those of the matrix.
"""
