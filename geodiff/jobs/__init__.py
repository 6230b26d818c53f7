"""Long work: processes, shards, resume, failures, progress."""
