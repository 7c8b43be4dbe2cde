# shellcheck shell=sh
# Creates each missing bucket, and for each client a key and the policy in
# /provision/<client>.json. There is a variable SECRET_KEY_<client> for each client.
set -eu
until mc --quiet ready store >/dev/null 2>&1; do
  echo 'waiting for MinIO'
  sleep 2
done
# Deleted and replaced objects can be restored for seven days. Then they are removed, which frees their space.
# The import replaces all rules that a bucket had.
old_versions='{"Rules": [{
  "ID": "old-versions", "Status": "Enabled",
  "NoncurrentVersionExpiration": {"NoncurrentDays": 7}, "Expiration": {"ExpiredObjectDeleteMarker": true}
}]}'
for bucket in $BUCKETS; do
  mc --quiet mb --ignore-existing "store/$bucket"
  mc --quiet version enable "store/$bucket"
  echo "$old_versions" | mc --quiet ilm rule import "store/$bucket"
done
for variable in $(env | sed -n 's/^\(SECRET_KEY_[a-z]*\)=.*/\1/p' | sort); do
  client=${variable#SECRET_KEY_}
  eval "secret=\$$variable"
  mc --quiet admin user add store "$client" "$secret" >/dev/null
  mc --quiet admin policy create store "$client" "/provision/$client.json" >/dev/null
  # mc fails where the policy is attached already. The second command then checks that it is.
  mc --quiet admin policy attach store "$client" --user "$client" >/dev/null 2>&1 ||
    mc --quiet admin policy entities store --user "$client" | grep -qw "$client"
  echo "client $client is there"
done
