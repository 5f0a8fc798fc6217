"""`python -m localdiscord`."""

from localdiscord.cli import main

main()
