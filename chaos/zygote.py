r"""
Starts servers quickly: a process that has imported pikarelay already, and forks a child for each start.

A child is a process like any other; it runs the command line's own `serve`, and dies of SIGKILL as any other. What is saved
is a second of imports for each of thousands of starts. Commands come as lines of JSON on stdin, news goes to stdout:

    {"id": 3, "argv": ["serve", …], "env": {…}, "log": "/path", "plan": {…}, "namespace": "/run/netns/…" or null}
    {"id": 3, "pid": 4711} · {"id": 3, "line": "{\"ready\": true, …}"} · {"id": 3, "ended": -9}

When stdin ends the children's stdin ends too, and they stop by `--until-stdin-closes`.
"""

import ctypes
import json
import os
import selectors
import signal
import sys
from typing import Any, NoReturn

import pikarelay.bootstrap.composition
import pikarelay.cli.keys
import pikarelay.cli.serve  # noqa: F401  # imported here so that no child has to
from chaos import child

_CLONE_NEWNET = 0x40000000


class Zygote:
    """Forks on command, and tells what becomes of the children."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
        #: By the reading end of its stdout: number, process, the writing end of its stdin, and what it said so far.
        self._children: dict[int, tuple[int, int, int, bytes]] = {}
        self._unread = b""

    def run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fd != sys.stdin.fileno():
                    self._hear(key.fd)
                elif not self._obey():
                    return

    def _obey(self) -> bool:
        data = os.read(sys.stdin.fileno(), 1 << 16)
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            self._start(json.loads(line))
        return bool(data)

    def _start(self, order: dict[str, Any]) -> None:
        (stdin_end, stdin), (stdout, stdout_end) = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            self._become(order, stdin_end, stdout_end)
        os.close(stdin_end)
        os.close(stdout_end)
        self._children[stdout] = (order["id"], pid, stdin, b"")
        self._selector.register(stdout, selectors.EVENT_READ)
        _say(id=order["id"], pid=pid)

    def _become(self, order: dict[str, Any], stdin: int, stdout: int) -> NoReturn:
        status = 70
        try:
            log = os.open(order["log"], os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
            for ours, standard in ((stdin, 0), (stdout, 1), (log, 2)):
                os.dup2(ours, standard)
            os.closerange(3, 1024)
            if order["namespace"] is not None:
                _move_to(order["namespace"])
            os.environ.clear()
            os.environ.update(order["env"])
            status = child.run(order["argv"], order["plan"])
        finally:
            os._exit(status)

    def _hear(self, stdout: int) -> None:
        number, pid, stdin, unread = self._children[stdout]
        data = os.read(stdout, 1 << 16)
        if data:
            *lines, unread = (unread + data).split(b"\n")
            self._children[stdout] = (number, pid, stdin, unread)
            for line in lines:
                _say(id=number, line=line.decode())
            return
        self._selector.unregister(stdout)
        del self._children[stdout]
        os.close(stdout)
        os.close(stdin)
        _, status = os.waitpid(pid, 0)
        _say(id=number, ended=os.waitstatus_to_exitcode(status))


def _move_to(namespace: str) -> None:
    """Leave the network for another one. Raises `OSError`."""
    descriptor = os.open(namespace, os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns", namespace)
    os.close(descriptor)


def _say(**news: Any) -> None:
    sys.stdout.write(json.dumps(news) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The harness decides when to end.
    Zygote().run()
