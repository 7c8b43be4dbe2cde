"""Data sources: one module for each type of source, each with a function `fetch` that returns a RawBatch."""
