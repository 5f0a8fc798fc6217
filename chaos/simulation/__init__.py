"""
The core in a world of its own: real services on a simulated store, Discord, bot, callers and receivers, in virtual time.

One seed is one history. Nothing in it waits for the real clock, and nothing is drawn but from the seed, so a history runs in
milliseconds and comes out the same each time:

    python -m chaos.simulation 1000             so many seeds, from 1 on
    python -m chaos.simulation --replay 4711    one, told step by step
"""
