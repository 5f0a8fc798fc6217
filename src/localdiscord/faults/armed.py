"""The list of armed faults, and the question every place asks: does one strike here?"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import UnionType
from typing import Any, TypeVar

import msgspec

from localdiscord.faults.model import PLACES, Do, Fault, Match, Refuse

D = TypeVar("D", bound=Do)


@dataclass(slots=True)
class Armed:
    """A fault with what has become of it so far."""

    id: str
    fault: Fault
    armed_at: float
    matched: int = 0
    struck: int = 0

    @property
    def is_spent(self) -> bool:
        return self.fault.times is not None and self.struck >= self.fault.times


class MisplacedFault(ValueError):
    """The fault's `do` has no meaning at its `where`."""


class ArmedFaults:
    """All armed faults, in the order they were armed."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._armed: dict[str, Armed] = {}
        self._last_id = 0

    def arm(self, fault: Fault) -> str:
        """Arm the fault and return its id."""
        if not isinstance(fault.do, PLACES[fault.where]):
            raise MisplacedFault(f"{type(fault.do).__name__} cannot strike at {fault.where}")
        self._last_id += 1
        armed = Armed(str(self._last_id), fault, self._monotonic())
        self._armed[armed.id] = armed
        return armed.id

    def disarm(self, fault_id: str) -> bool:
        """Forget the fault; False when there is none of that id."""
        return self._armed.pop(fault_id, None) is not None

    def disarm_all(self) -> None:
        self._armed.clear()

    def strike(self, where: str, kinds: type[D] | UnionType, facts: Mapping[str, str | None]) -> Any:
        """
        Return what the first matching fault of `kinds` does, and count it; None when all is well.

        `facts` holds what is known here under the names of `Match`.
        """
        if not self._armed:
            return None
        for armed in self._armed.values():
            fault = armed.fault
            if fault.where != where or armed.is_spent or not isinstance(fault.do, kinds):
                continue
            if not matches(fault.match, facts):
                continue
            armed.matched += 1
            if armed.matched <= fault.skip:
                continue
            armed.struck += 1
            return fault.do
        return None

    def refuses_connections(self) -> bool:
        """Tell whether the Gateway is down by a fault now."""
        now = self._monotonic()
        return any(
            isinstance(armed.fault.do, Refuse) and now < armed.armed_at + armed.fault.do.seconds
            for armed in self._armed.values()
        )

    def report(self) -> list[dict[str, Any]]:
        """Return what /admin/faults lists: spent ones stay until they are disarmed."""
        return [
            {
                "id": armed.id,
                **msgspec.to_builtins(armed.fault),
                "matched": armed.matched,
                "struck": armed.struck,
                "spent": armed.is_spent,
            }
            for armed in self._armed.values()
        ]


def matches(match: Match, facts: Mapping[str, str | None]) -> bool:
    """Tell whether every given pattern fits; a fact that is not known fits no pattern."""
    for name in match.__struct_fields__:
        pattern = getattr(match, name)
        if pattern is not None and not fnmatchcase(facts.get(name) or "", pattern):
            return False
    return True
