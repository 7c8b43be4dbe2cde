"""The steps of a model's lifecycle, data sources and Triton's sidecar; docs/lifecycle.md is the contract."""
