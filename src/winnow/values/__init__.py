"""Floor 0: values. Arrays, edges, keys and records; nothing here knows a model, a file format of ours, or a clock."""
