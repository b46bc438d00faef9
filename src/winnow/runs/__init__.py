"""Floor 6: runs. A run is its journal: every reply durable before the program sees it, and replayed on a second run."""
