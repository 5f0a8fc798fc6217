"""Kills, cuts and confuses a running pikarelay, and judges it from the outside: `python -m chaos`. See docs/reliability.md."""
