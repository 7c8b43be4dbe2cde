"""Keys of sampled requests in the bucket `data`; the sidecar writes them, `monitor` reads and deletes."""

FOLDER = "payloads/"
"""The folder below the pipeline's prefix; it has a folder for each model version."""

WRITTEN = "%Y%m%dT%H%M%S%fZ"
"""The strftime format of the UTC time of writing, with which an object's name begins; names sort by time."""
