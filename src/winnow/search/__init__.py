"""Floor 4: searches. One algorithm a file, each a program: it asks, it notes, it returns what it found."""
