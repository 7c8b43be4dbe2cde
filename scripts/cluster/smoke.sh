#!/bin/bash
# Tests the running cluster: probes, DNS, Services, volumes, Jobs, NetworkPolicies and Pod Security.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
k() { "$here/cluster.sh" kubectl -n smoke "$@"; }

k apply -f "$here/smoke.yaml"
k rollout status deployment/web --timeout=60s
k wait --for=condition=Complete job/client --timeout=30s
[ "$(k logs job/client | grep -c hello)" = 3 ]
"$here/cluster.sh" enter curl -fsS -m 5 "http://$(k get service web -o jsonpath='{.spec.clusterIP}')"
k exec deployment/web -- wget -qO- http://localhost:8081 # The port that the policy denies to the client.
[[ $(k run refused --image=localhost/busybox:1 2>&1) == *'violates PodSecurity'* ]]
k delete namespace smoke
echo 'the cluster works'
