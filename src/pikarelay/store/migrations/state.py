"""
How a database's schema stands to the code: its own, an older one, or a newer one, which says itself whether the code may work on it.

Pure. Revisions are compared as texts: all have four digits.
"""

from typing import NamedTuple


class Step(NamedTuple):
    """A migration that the database has been through, as the database remembers it."""

    revision: str
    #: The schema of the oldest code that may work on what this step leaves.
    oldest_code: str
    #: The version of the program that took the step.
    made_by: str


class SchemaState(NamedTuple):
    """Names of migrations: the last one the database has (None when it has none), and the one we need."""

    current: str | None
    needed: str
    #: Of the root key that its newest data key hangs on. None while nothing was ever sealed.
    root_fingerprint: str | None = None
    #: As far as they are remembered: what came before 0007 is not.
    steps: tuple[Step, ...] = ()

    @property
    def is_current(self) -> bool:
        return self.current == self.needed

    @property
    def is_ahead(self) -> bool:
        """Whether a newer version made it."""
        return self.current is not None and self.current > self.needed

    @property
    def is_usable(self) -> bool:
        """Whether our code may work on it: on its own schema, and on a newer one that says so."""
        return self.is_current or (self.is_ahead and self.serves(self.needed))

    def serves(self, revision: str) -> bool:
        """Say whether code that was made for the schema `revision`, or for a later one, may work on this one."""
        return self.oldest_code is not None and self.oldest_code <= revision

    @property
    def oldest_code(self) -> str | None:
        """
        Return the schema of the oldest code that may work on this one; None when it does not say.

        Each step speaks for itself, so the strictest of all counts.
        """
        if self.last_step is None:
            return None
        return max(step.oldest_code for step in self.steps)

    @property
    def last_step(self) -> Step | None:
        """Return the step that led to the current schema; None when that one is not remembered."""
        return next((step for step in self.steps if step.revision == self.current), None)
