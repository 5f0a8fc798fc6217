"""`python -m pikarelay`."""

from pikarelay.cli import main

main()
