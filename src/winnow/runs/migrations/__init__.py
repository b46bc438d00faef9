"""Migrations of the store: append-only, run by ``winnow.runs.store`` when a store is opened."""
