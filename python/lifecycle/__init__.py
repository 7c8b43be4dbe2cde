"""A model's life, one step a module. The contract between the steps is docs/lifecycle.md."""
