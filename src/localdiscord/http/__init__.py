"""The REST edge and the admin routes: they read requests, ask the world, and write answers."""
