"""The steps of a model's life, a module each, and what they alone need."""
