"""Triton's sidecar: it makes Triton serve the wanted versions, and exports metrics of sampled requests."""
