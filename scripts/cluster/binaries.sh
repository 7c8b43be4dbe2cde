# shellcheck shell=bash disable=SC2154
# Programs built from Go modules. Sourced after lib.sh.

kubernetes=v1.34.4

# from_module FOLDER MODULE PACKAGE LDFLAGS: PACKAGE, at the versions that MODULE's go.mod and go.sum pin.
from_module() {
  (cd "$here/$2" && CGO_ENABLED=0 GOFLAGS=-mod=readonly \
    go build -trimpath -buildvcs=false -ldflags "-s -w $4" -o "$1/" "$3")
}

# from_proxy FOLDER PACKAGE@VERSION LDFLAGS
from_proxy() {
  CGO_ENABLED=0 GOFLAGS='' GOBIN=$1 go install -trimpath -buildvcs=false -ldflags "-s -w $3" "$2"
}

# kube PROGRAM: the path of a program that kube/go.mod pins.
kube() {
  local package sources=() ldflags='' pkg=k8s.io/component-base/version
  case $1 in
    hyperkube)
      package=./cmd/hyperkube sources=(kube/cmd/hyperkube)
      ldflags="-X $pkg.gitVersion=$kubernetes -X $pkg.gitMajor=1 -X $pkg.gitMinor=34 -X $pkg.gitTreeState=clean"
      ldflags+=" -X k8s.io/client-go/pkg/version.gitVersion=$kubernetes"
      ;;
    local-path-provisioner) package=github.com/rancher/local-path-provisioner ;;
    *) package=./cmd/$1 sources=("kube/cmd/$1") ;;
  esac
  local key folder
  key=$(hash "$(go version)" "$(declare -f from_module)" "$(contents kube/go.mod kube/go.sum "${sources[@]}")" "$package" "$ldflags")
  folder=$(artifact "bin/$1" "$key" from_module kube "$package" "$ldflags")
  echo "$folder/$1"
}

# gobin PROGRAM PACKAGE@VERSION [LDFLAGS]: the path of a program that `go install` builds.
gobin() {
  local key folder
  key=$(hash "$(go version)" "$(declare -f from_proxy)" "$@")
  folder=$(artifact "bin/$1" "$key" from_proxy "$2" "${3:-}")
  echo "$folder/$1"
}

# gotool FOLDER PACKAGE [LDFLAGS]: the path of a program that FOLDER/go.mod names as a tool.
gotool() {
  local key folder
  key=$(hash "$(go version)" "$(declare -f from_module)" "$(contents "$1")" "${@:2}")
  folder=$(artifact "bin/${2##*/}" "$key" from_module "$1" "$2" "${3:-}")
  echo "$folder/${2##*/}"
}

# from_source FOLDER MODULE@VERSION PACKAGE LDFLAGS TAGS PREPARE: builds in a copy of the module's source, in which the
# command PREPARE runs first.
from_source() {
  local source work
  source=$(cd / && go mod download -json "$2" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
  work=$(mktemp -d)
  cp -r --no-preserve=mode "$source/." "$work"
  (cd "$work" && eval "$6" && CGO_ENABLED=0 GOFLAGS=-mod=readonly GOWORK=off \
    go build -trimpath -buildvcs=false -tags "$5" -ldflags "-s -w $4" -o "$1/" "$3")
  rm -rf "$work"
}

# gosource PROGRAM MODULE@VERSION PACKAGE [LDFLAGS [TAGS [PREPARE]]]: the path of a program that `go install` refuses.
gosource() {
  local key folder
  key=$(hash "$(go version)" "$(declare -f from_source)" "$@")
  folder=$(artifact "bin/$1" "$key" from_source "$2" "$3" "${4:-}" "${5:-}" "${6:-}")
  echo "$folder/$1"
}

# helm: the path of the helm that bootstrap.sh installs.
helm() {
  local version
  version=$(sed -n 's/^HELM_VERSION="\(.*\)"$/\1/p' "$here/../bootstrap.sh")
  gobin helm "helm.sh/helm/v3/cmd/helm@$version" "-X helm.sh/helm/v3/internal/version.version=$version"
}
