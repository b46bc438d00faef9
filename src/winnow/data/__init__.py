"""The bundled models, their items and their card, as files. Nothing here is code; `world` (in the repository) made it."""
