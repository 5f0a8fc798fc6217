"""Users, channels, messages, interactions and sessions: the state and its rules, with no sockets and no clock of its own."""
