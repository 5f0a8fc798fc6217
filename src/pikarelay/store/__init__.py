"""
Everything that must outlive the process, and the only place with SQL.

Floor 3: knows floor 0 and `services.ports`.
"""
