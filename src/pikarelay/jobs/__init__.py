"""
The business: what a job is, how it may change, which account runs it, which message is about it.

Floor 0: plain functions and frozen values. No clock, randomness, environment, logging, network or `async`;
times and ids come in as arguments.
"""
