"""Pictures that callers send."""

from random import Random


def png(rng: Random) -> bytes:
    """Return a picture that no other job has: a valid beginning, and noise after its end."""
    head = bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010806000000 1f15c489".replace(" ", "")
        + "0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
    )
    return head + rng.randbytes(3000)
