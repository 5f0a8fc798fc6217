"""What Discord enforces on its clients, and the count of how often a client broke it."""
