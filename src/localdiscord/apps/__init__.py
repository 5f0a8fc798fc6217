"""The applications that live inside the local Discord. They know the Responder they are given, and nothing of sockets."""
