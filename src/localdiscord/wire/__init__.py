"""Discord's documented objects as JSON values: pure functions from the world's records to what clients read."""
