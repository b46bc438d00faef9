"""Floor 2: the port. What can be asked (requests), how asking is written (programs), and the laws both must obey."""
