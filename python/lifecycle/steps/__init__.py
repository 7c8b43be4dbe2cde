"""The steps of the lifecycle, one module each with a function `run`, and the modules that only steps use."""
