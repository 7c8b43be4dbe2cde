"""Where sampled requests lie in the bucket `data`: written by the sidecar, read and deleted by `monitor`."""

FOLDER = "payloads/"
"""Below the pipeline's prefix; in it a folder for each version."""

WRITTEN = "%Y%m%dT%H%M%S%fZ"
"""The beginning of an object's name: when it was written, in UTC. It sorts by time."""
