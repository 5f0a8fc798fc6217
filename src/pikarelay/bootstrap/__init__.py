"""
The composition root: the only place that names concrete classes.

Nothing here decides anything. What needs a setting gets the few values it needs; what needs the outside gets a port.
`composition` puts a server together, and `offices` what commands need.
"""
