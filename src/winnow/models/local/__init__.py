"""Causal models on this machine, through transformers. Importing this package imports neither torch nor transformers."""
