#!/bin/bash
# A certificate authority, certificates and kubeconfigs that last two months.
# usage: pki.sh FOLDER NODE_NAME NODE_IP API_SERVICE_IP
set -euo pipefail
node=$2 node_ip=$3 service_ip=$4
cd "$1"

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }

# certificate NAME SUBJECT USAGE [ALTERNATIVE_NAMES]
certificate() {
  key "$1"
  openssl req -new -key "$1.key" -subj "$2" |
    openssl x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial -days 60 -out "$1.crt" \
      -extfile <(echo "extendedKeyUsage=$3" && echo "${4:+subjectAltName=$4}") 2> /dev/null
}

# kubeconfig NAME SUBJECT: the node mounts this folder at /run/cluster/pki.
kubeconfig() {
  certificate "$1" "$2" clientAuth
  cat > "$1.kubeconfig" << END
apiVersion: v1
kind: Config
current-context: default
contexts: [{name: default, context: {cluster: default, user: default}}]
clusters: [{name: default, cluster: {server: "https://127.0.0.1:6443", certificate-authority: /run/cluster/pki/ca.crt}}]
users: [{name: default, user: {client-certificate: /run/cluster/pki/$1.crt, client-key: /run/cluster/pki/$1.key}}]
END
}

key ca
openssl req -x509 -new -key ca.key -subj /CN=test-cluster -days 60 -out ca.crt
service=kubernetes.default.svc.cluster.local
certificate apiserver /CN=kube-apiserver serverAuth \
  "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:$service,DNS:localhost,IP:127.0.0.1,IP:$node_ip,IP:$service_ip"
certificate kubelet-server "/CN=$node" serverAuth "DNS:$node,IP:$node_ip,IP:127.0.0.1"
certificate apiserver-to-kubelet /O=system:masters/CN=apiserver clientAuth
certificate front-proxy /CN=front-proxy clientAuth
openssl ecparam -name prime256v1 -genkey -noout -out service-accounts.key
openssl ec -in service-accounts.key -pubout -out service-accounts.pub 2> /dev/null
kubeconfig admin /O=system:masters/CN=admin
kubeconfig controller-manager /CN=system:kube-controller-manager
kubeconfig scheduler /CN=system:kube-scheduler
kubeconfig kubelet "/O=system:nodes/CN=system:node:$node"
kubeconfig proxy /CN=system:kube-proxy
