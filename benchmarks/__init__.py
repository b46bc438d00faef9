"""Speed as a ratio against a rival in the same run, quality against cost over seeds with intervals; one command a file."""
