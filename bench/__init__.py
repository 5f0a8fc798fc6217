"""
Measures pikarelay on this machine, against a local Discord and against a bare server, in one run.

Every figure is a ratio to something measured in the same minute, so that it can be compared between machines; the
absolute values stand beside it. Nothing leaves the loopback interface.
"""
