"""Pictures of any size, requests with one in it whose bytes can be sent in parts, and what they cost the server."""

import re
import socket
import struct
import zlib
from pathlib import Path
from urllib.parse import urlsplit

from tests.acceptance.servers import PATIENCE, Relay

MIB = 1024 * 1024
#: The largest that is taken. Discord's own limit is lower, but an account may have bought a higher one.
LARGEST = 25 * MIB
BOUNDARY = "b0undary"


def picture(size: int) -> bytes:
    """Return a PNG of so many bytes; most of them are in a chunk that no reader looks at."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(64 * (1 + 64 * 3))))
    begun = b"\x89PNG\r\n\x1a\n" + header + pixels
    end = chunk(b"IEND", b"")
    return begun + chunk(b"fiLl", bytes(size - len(begun) - len(end) - 12)) + end


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


class Upload:
    """An animate request whose bytes can be sent in parts."""

    def __init__(self, server: Relay, seat: tuple[str, str], image: bytes, **fields: str) -> None:
        given = {"discord": seat[0], "channel": seat[1], "maxJobs": "50", **fields}
        texts = "".join(
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in given.items()
        )
        file = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="blob"\r\n\r\n'
        self.body = texts.encode() + file.encode() + image + f"\r\n--{BOUNDARY}--\r\n".encode()
        head = (
            f"POST /v1/pika/animate HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.api_token}\r\n"
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {len(self.body)}\r\n"
            "Connection: close\r\n\r\n"
        )
        self.head = head.encode()
        parts = urlsplit(server.url)
        self._address = (str(parts.hostname), int(parts.port or 0))

    def connect(self) -> socket.socket:
        return socket.create_connection(self._address, timeout=PATIENCE)

    def send(self) -> bytes:
        """Send all of it and return all of the answer."""
        with self.connect() as connection:
            connection.sendall(self.head)
            connection.sendall(self.body)
            return b"".join(iter(lambda: connection.recv(65536), b""))


def answered(answer: bytes) -> str:
    """Return the jobid of a 200."""
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    found = re.search(rb'"jobid":"(\w+)"', answer)
    assert found is not None
    return found[1].decode()


def files(server: Relay) -> list[str]:
    return sorted(path.name for path in (server.data_folder / "uploads").iterdir())


def peak(pid: int) -> int:
    """Return the most memory that the process had resident since `forget_peak`, in bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def descriptors(pid: int) -> list[str]:
    """Return what of the uploads' folder a process holds open, names or none."""
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(entry.readlink())
        except FileNotFoundError:
            continue
        if "/uploads/" in target:
            found.append(target)
    return found
