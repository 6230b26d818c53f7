"""Training by Lightning, and trained models on disk."""
