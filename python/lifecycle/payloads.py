"""Where sampled requests lie in the bucket `data`: the sidecar writes them, the step `monitor` reads and deletes them."""

FOLDER = "payloads/"
"""Below the pipeline's prefix; in it a folder for each version."""

WRITTEN = "%Y%m%dT%H%M%S%fZ"
"""The beginning of an object's name: when it was written, in UTC. It sorts by time."""
