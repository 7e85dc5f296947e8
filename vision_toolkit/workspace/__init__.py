"""What lives and changes: buckets, so far."""
