"""Files behind signed links that expire, and the bucket that takes uploads."""
