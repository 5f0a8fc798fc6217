"""A listening socket at its end: who is in its queue, and who comes later."""

import errno
import select
import socket
import sys

import pytest

from pikarelay.api.last_calls import refuse_new_calls

#: Far above the second after which a system calls again.
PATIENCE = 30.0

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone knows such a thing")


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_who_was_accepted_is_heard_and_who_comes_later_is_not(
    family: socket.AddressFamily, host: str
) -> None:
    """Whoever the system has accepted is kept, with all they say then; whoever calls later finds nobody, and is not cut off."""
    listening = socket.create_server((host, 0), family=family, backlog=16)
    address = listening.getsockname()[:2]
    with socket.create_connection(address, PATIENCE) as early, socket.socket(family) as late:
        is_done = refuse_new_calls(listening)
        early.sendall(b"hello")
        late.setblocking(False)
        late.connect_ex(address)
        accepted, _ = listening.accept()
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.accept()
        listening.close()
        said = accepted.recv(16)
        accepted.close()
        select.select([], [late], [], PATIENCE)
        trouble = late.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    assert is_done
    assert b"hello" == said
    assert errno.ECONNREFUSED == trouble


def test_without_such_a_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    """On other systems the socket is left as it is, and whoever asked is told so."""
    monkeypatch.setattr(sys, "platform", "darwin")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert not refuse_new_calls(listening)
        socket.create_connection(listening.getsockname(), PATIENCE).close()


def test_sandbox_that_forbids_it() -> None:
    """Where the system refuses the filter, the end goes on without."""
    with socket.socket() as gone:
        gone.detach()

        assert not refuse_new_calls(gone)
