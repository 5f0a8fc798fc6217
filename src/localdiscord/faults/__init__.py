"""The switches that make Discord misbehave on demand: one list of armed faults, whatever the place they strike."""
