"""What is counted for whoever watches over the server."""

from collections import defaultdict
from datetime import datetime

from pikarelay.services.ports import Figures
from pikarelay.store import rows
from pikarelay.store.transactions.form import Transaction


def figures(now: datetime) -> Transaction[Figures]:
    found: dict[str, dict[str, int]] = defaultdict(dict)
    oldest: int | None = None
    for kind, name, number in (yield "figures", {"now": rows.to_ms(now)}):
        if kind == "oldest_due":
            oldest = number
        else:
            found[kind][name] = int(number)
    return Figures(
        jobs=found["jobs"],
        presses_waiting=sum(found["presses"].values()),
        callbacks=found["callbacks"],
        targets=found["targets"],
        oldest_due=None if oldest is None else rows.from_ms(int(oldest)),
    )
