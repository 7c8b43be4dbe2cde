"""A model's life: steps, sources of data, the program beside Triton. docs/lifecycle.md is the contract."""
