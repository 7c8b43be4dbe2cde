"""Where batches come from, a module for each type of source."""
