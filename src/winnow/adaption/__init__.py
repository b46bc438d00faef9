"""Floor 5: adapt. A model answers, evaluates itself, keeps what passes, puts it into its context, and repeats."""
