"""
Plays the same scripts to pikarelay and to two libraries that do its work for Midjourney, side by side on one local Discord.

What counts is seen from outside: the local Discord's ledger knows which press each result came of, and each caller's program
says what it was given. The libraries run in processes of their own and are no part of this repository.
"""
