"""
A power cut, replayed: from what a real server wrote and synced, the files as they may be found after the lights went out.

`strace` notes every write, sync, truncation and change of a directory of a server that runs as it always does, with the driver
that it always has. Afterwards each cut is a moment in that record. Whatever was synced before it is there. Of everything else each
write survives with probability one half, whole or torn into sectors of 512 bytes, and so does each change of a directory, in any
combination. This is more than disks do to us, and no more than they may.
"""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import NamedTuple

SECTOR = 512
#: What is traced. Mapped files are not, and need not be: SQLite maps only its index, which it makes anew.
SYSCALLS = "write,pwrite64,fsync,fdatasync,ftruncate,openat,unlink,unlinkat,rename,renameat,renameat2,linkat"
#: Calls as one line each, every string in hexadecimal, with the path of each descriptor and the time that each call took.
STRACE = ("strace", "-f", "-y", "-xx", "-ttt", "-T", "-s", "1048576", "-e", f"trace={SYSCALLS}", "-o")

#: A write that survives is torn as often as this.
_TORN = 0.3

_LINE = re.compile(r"^(\d+) +(\d+\.\d+) (.*)$")
_RESUMED = re.compile(r"^<\.\.\. \w+ resumed>(.*)$")
_CALL = re.compile(r"^(\w+)\((.*)\) += (\d+)(.*) <(\d+\.\d+)>$")
_UNFINISHED = " <unfinished ...>"
_OPEN = re.compile(r"^(-?\d+|AT_FDCWD)<([^>]*)>")


class Call(NamedTuple):
    """One system call that succeeded: when it began and ended (seconds of the wall clock), and what it was given."""

    began: float
    ended: float
    name: str
    arguments: tuple[str, ...]
    #: The descriptor or count that it returned, with the path of a descriptor.
    result: str


def read_trace(lines: Iterable[str]) -> list[Call]:
    """Return the calls of a record of `STRACE`, in the order in which they ended."""
    pending: dict[str, str] = {}
    calls = []
    for line in lines:
        if (split := _LINE.match(line)) is None:
            continue
        process, stamp, text = split[1], float(split[2]), split[3]
        if text.endswith(_UNFINISHED):
            pending[process] = text.removesuffix(_UNFINISHED)
            continue
        resumed = _RESUMED.match(text)
        if resumed is not None:
            text = pending.pop(process, "") + resumed[1]
        if (call := _CALL.match(text)) is None:
            continue
        took = float(call[5])
        # A call on one line is stamped with its begin, one on two lines with its end.
        began, ended = (stamp - took, stamp) if resumed is not None else (stamp, stamp + took)
        calls.append(Call(began, ended, call[1], tuple(call[2].split(", ")), call[3] + call[4]))
    return sorted(calls, key=lambda call: call.ended)


@dataclass(eq=False)
class Inode:
    """A file: what of it is on the disk, and what was done since it was last synced."""

    on_disk: bytearray = field(default_factory=bytearray)
    #: (offset, data), or (size, None) for a truncation; in order.
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)
    #: Where `write` goes on.
    position: int = 0

    def sync(self) -> None:
        for change in self.pending:
            _apply(self.on_disk, *change)
        self.pending.clear()

    def after_cut(self, rng: Random) -> bytes:
        content = bytearray(self.on_disk)
        for offset, data in self.pending:
            if rng.random() < 0.5:
                continue
            if data is None or rng.random() >= _TORN:
                _apply(content, offset, data)
                continue
            for start in range(0, len(data), SECTOR):
                if rng.random() < 0.5:
                    _apply(content, offset + start, data[start : start + SECTOR])
        return bytes(content)


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
        content.extend(bytes(offset - len(content)))
        return
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


class Disk:
    """The files below one folder, as the calls made them."""

    def __init__(self, folder: Path, before: Path) -> None:
        """`folder` is where the traced server worked; `before` a copy of it from the start, all of which is on the disk."""
        self._root = str(folder)
        self._names: dict[str, Inode] = {}
        for path in before.rglob("*"):
            if path.is_file():
                content = bytearray(path.read_bytes())
                self._names[str(folder / path.relative_to(before))] = Inode(content)
        #: What of the directories is on the disk, and what changed since each was synced: path, and its file or None.
        self._on_disk = dict(self._names)
        self._changes: list[tuple[str, Inode | None]] = []
        self._open: dict[str, Inode] = {}

    def replay(self, call: Call) -> None:
        """Let one more call have happened."""
        getattr(self, f"_{call.name}", _ignore)(call)

    def after_cut(self, rng: Random) -> dict[str, bytes]:
        """Return what may be found now: content by path below the folder."""
        found = dict(self._on_disk)
        for path, inode in self._changes:
            if rng.random() < 0.5:
                continue
            if inode is None:
                found.pop(path, None)
            else:
                found[path] = inode
        return {os.path.relpath(path, self._root): inode.after_cut(rng) for path, inode in found.items()}

    # The calls. Those on other files than ours find no inode.

    def _openat(self, call: Call) -> None:
        flags = call.arguments[2]
        path = _path(call.arguments[1], _descriptor(call.arguments[0])[1])
        number, opened = _descriptor(call.result)
        if not opened.startswith(self._root) or "O_DIRECTORY" in flags:
            self._open.pop(number, None)
            return
        if "O_TMPFILE" in flags:
            self._open[number] = Inode()
            return
        if path not in self._names:
            if "O_CREAT" not in flags:
                return
            self._rename_to(path, Inode())
        inode = self._open[number] = self._names[path]
        inode.position = 0
        if "O_TRUNC" in flags:
            inode.pending.append((0, None))

    def _inode(self, argument: str) -> Inode | None:
        number, path = _descriptor(argument)
        return self._names.get(path) or (self._open.get(number) if path.startswith(self._root) else None)

    def _pwrite64(self, call: Call) -> None:
        inode = self._inode(call.arguments[0])
        if inode is not None:
            data = _bytes(call.arguments[1])[: int(call.result)]
            inode.pending.append((int(call.arguments[3]), data))

    def _write(self, call: Call) -> None:
        inode = self._inode(call.arguments[0])
        if inode is not None:
            data = _bytes(call.arguments[1])[: int(call.result)]
            inode.pending.append((inode.position, data))
            inode.position += len(data)

    def _ftruncate(self, call: Call) -> None:
        inode = self._inode(call.arguments[0])
        if inode is not None:
            inode.pending.append((int(call.arguments[1]), None))

    def _fsync(self, call: Call) -> None:
        inode = self._inode(call.arguments[0])
        if inode is not None:
            inode.sync()
            return
        _, folder = _descriptor(call.arguments[0])
        kept = []
        for path, changed in self._changes:
            if os.path.dirname(path) != folder:  # noqa: PTH120  # plain texts, thousands of them
                kept.append((path, changed))
            elif changed is None:
                self._on_disk.pop(path, None)
            else:
                self._on_disk[path] = changed
        self._changes = kept

    _fdatasync = _fsync

    def _unlink(self, call: Call) -> None:
        self._remove(_path(call.arguments[0], ""))

    def _unlinkat(self, call: Call) -> None:
        self._remove(_path(call.arguments[1], _descriptor(call.arguments[0])[1]))

    def _rename(self, call: Call) -> None:
        self._move(_path(call.arguments[0], ""), _path(call.arguments[1], ""))

    def _renameat(self, call: Call) -> None:
        one, other = _descriptor(call.arguments[0])[1], _descriptor(call.arguments[2])[1]
        self._move(_path(call.arguments[1], one), _path(call.arguments[3], other))

    _renameat2 = _renameat

    def _linkat(self, call: Call) -> None:
        source = _path(call.arguments[1], _descriptor(call.arguments[0])[1])
        target = _path(call.arguments[3], _descriptor(call.arguments[2])[1])
        inode = self._names.get(source) or self._open.get(os.path.basename(source))  # noqa: PTH119
        if inode is not None and target.startswith(self._root):
            self._rename_to(target, inode)

    def _move(self, source: str, target: str) -> None:
        inode = self._names.get(source)
        if inode is not None:
            self._remove(source)
            self._rename_to(target, inode)

    def _rename_to(self, path: str, inode: Inode) -> None:
        self._names[path] = inode
        self._changes.append((path, inode))

    def _remove(self, path: str) -> None:
        if self._names.pop(path, None) is not None:
            self._changes.append((path, None))


def _ignore(_call: Call) -> None:
    pass


def _descriptor(argument: str) -> tuple[str, str]:
    r"""Return the number and the path of `6<\\x2f…>`."""
    found = _OPEN.match(argument)
    return ("", "") if found is None else (found[1], os.fsdecode(_unhex(found[2])))


def _path(argument: str, folder: str) -> str:
    return os.path.join(folder, os.fsdecode(_bytes(argument)))  # noqa: PTH118


def _bytes(argument: str) -> bytes:
    if not argument.endswith('"'):
        raise ValueError(f"the record is cut short: {argument[-40:]}")
    return _unhex(argument.strip('"'))


def _unhex(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def cuts(calls: list[Call], disk: Disk, count: int, rng: Random) -> Iterator[tuple[float, dict[str, bytes]]]:
    """
    Yield what may be found after `count` cuts at random moments of the record, in order of time.

    With each comes its moment: whatever somebody was told until then was told before the cut.
    """
    moments = sorted(rng.randrange(1, len(calls)) for _ in range(count))
    done = 0
    for moment in moments:
        while done < moment:
            disk.replay(calls[done])
            done += 1
        yield max(calls[moment - 1].ended, calls[moment].began), disk.after_cut(rng)
