"""Waits until this pod's key can list each of the buckets: `wait_for_buckets.py BUCKET...`.

boto3 reads address and key from the environment: AWS_ENDPOINT_URL_S3, AWS_ACCESS_KEY_ID and so on.
"""

import os
import sys
import time
from collections.abc import Sequence

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError


def main(buckets: Sequence[str], pause: float = 2) -> None:
    """Return when every bucket can be listed; until then print every `pause` seconds what is missing."""
    once = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 1})
    store = boto3.client("s3", config=once)
    waiting = list(buckets)
    # A loop of its own: MLflow's image, in which this program runs too, does not have tenacity.
    while waiting:
        try:
            store.list_objects_v2(Bucket=waiting[0], MaxKeys=1)
            waiting.pop(0)
        except (BotoCoreError, ClientError) as error:
            address = os.environ.get("AWS_ENDPOINT_URL_S3")
            print(f"waiting for buckets {', '.join(waiting)} at {address}: {error}", flush=True)
            time.sleep(pause)


if __name__ == "__main__":
    main(sys.argv[1:])
