#!/usr/bin/env python3
"""Writes images as one OCI archive to standard output, for `ctr images import -`.

usage: oci.py [CONTAINERD_ROOT] < IMAGES

Standard input has a line of JSON for each image: its names, its layers (folders
with a layer.tar and its digest, the lowest first) and its config. A layer that
several images share is written once, and one that the containerd of
CONTAINERD_ROOT holds already is left out.
"""

import hashlib
import io
import json
import os
import sys
import tarfile

OCI = "application/vnd.oci.image."
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def main():
    archive = tarfile.open(fileobj=sys.stdout.buffer, mode="w|")
    written = set()
    if len(sys.argv) > 1:
        blobs = sys.argv[1] + "/io.containerd.content.v1.content/blobs/sha256"
        written.update("blobs/sha256/" + digest for digest in os.listdir(blobs))
    manifests = []

    def add(name, stream, size):
        if name not in written:
            written.add(name)
            member = tarfile.TarInfo(name)
            member.size = size
            archive.addfile(member, stream)

    def add_json(value):
        # Always written: the importer starts from the manifests that it reads.
        data = json.dumps(value, sort_keys=True).encode()
        digest = hashlib.sha256(data).hexdigest()
        written.discard("blobs/sha256/" + digest)
        add("blobs/sha256/" + digest, io.BytesIO(data), len(data))
        return {"digest": "sha256:" + digest, "size": len(data)}

    for line in filter(str.strip, sys.stdin):
        image = json.loads(line)
        layers = []
        for folder in image["layers"]:
            with open(folder + "/digest") as file:
                digest = file.read().strip()
            tar = folder + "/layer.tar"
            with open(tar, "rb") as file:
                add("blobs/sha256/" + digest, file, os.path.getsize(tar))
            layers.append({"mediaType": OCI + "layer.v1.tar", "digest": "sha256:" + digest, "size": os.path.getsize(tar)})

        config = add_json({
            "architecture": "amd64",
            "os": "linux",
            "config": {"Env": [PATH], **image["config"]},
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
        })
        manifest = add_json({
            "schemaVersion": 2,
            "mediaType": OCI + "manifest.v1+json",
            "config": {"mediaType": OCI + "config.v1+json", **config},
            "layers": layers,
        })
        for name in image["names"]:
            for known_as in as_the_kubelet_asks(name):
                manifests.append({
                    "mediaType": OCI + "manifest.v1+json",
                    **manifest,
                    "annotations": {"io.containerd.image.name": known_as},
                })

    index = json.dumps({"schemaVersion": 2, "manifests": manifests}).encode()
    add("index.json", io.BytesIO(index), len(index))
    layout = b'{"imageLayoutVersion": "1.0.0"}'
    add("oci-layout", io.BytesIO(layout), len(layout))
    archive.close()


def as_the_kubelet_asks(name):
    """With a digest the tag is dropped: `repository:tag@digest` is looked up as `repository@digest`."""
    tagged, _, digest = name.partition("@")
    if not digest:
        return [tagged]
    repository = tagged[: tagged.rindex(":")] if ":" in tagged.rsplit("/", 1)[-1] else tagged
    return [tagged, repository + "@" + digest]


main()
