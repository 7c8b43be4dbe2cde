#!/usr/bin/env bash
# Formatting, lint, types and tests of the Python programs, on the Python that
# $PYTHON names (python3 unless it is set; 3.11 or newer).
#
# The tools are those that python/requirements-dev.txt locks. They and every
# cache live outside the work tree, below $MLOPS_CACHE.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../python"

python=${PYTHON:-python3}
cache=${MLOPS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mlops-lifecycle}

say() { printf '==> %s\n' "$*"; }
fail() {
  printf 'test-python: %s\n' "$*" >&2
  exit 1
}

scratch=
partial=
trap 'rm -rf "$scratch" "$partial"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# One environment for each lock and interpreter. It is built under another name,
# so that what an interrupted run leaves is never taken for whole.
install_tools() {
  say "installing the locked tools"
  mkdir -p "$cache"
  partial=$(mktemp -d "$environment.partial.XXXXXX")
  "$UV" venv --quiet --allow-existing --python "$python" "$partial"
  "$UV" pip install --quiet --python "$partial/bin/python" --require-hashes -r requirements-dev.txt
  # Where another run was faster, its environment is as good.
  mv -T "$partial" "$environment" 2>/dev/null || [[ -d $environment ]]
}

# The tests start a Postgres of their own: only its programs are needed.
install_postgres() {
  say "installing Postgres's programs"
  if ! command -v apt-get >/dev/null || [[ $(id -u) != 0 ]]; then
    fail "the tests need initdb and postgres: install them, on Debian with 'apt-get install postgresql'"
  fi
  from_cluster 'apt install -y --no-install-recommends postgresql-common'
  # Debian's package would otherwise make and start a server of its own.
  sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
  from_cluster 'apt install -y --no-install-recommends postgresql'
}

has_postgres() {
  command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null
}

# from_cluster COMMAND: what a command of scripts/cluster says, which builds programs from source and keeps them.
from_cluster() {
  bash -c '. ../scripts/cluster/lib.sh; . ../scripts/cluster/binaries.sh; . ../scripts/cluster/images.sh; eval "$1"' _ "$1"
}

minio_program() {
  command -v minio && return
  command -v go >/dev/null || fail "the tests need MinIO: put 'minio' on the PATH, name it in \$MINIO, or install Go"
  # shellcheck disable=SC2016
  from_cluster 'define minio; echo "${inputs[0]}"'
}

uv_program() {
  command -v uv || from_cluster uv
}

command -v "$python" >/dev/null || fail "there is no '$python'; set PYTHON to a Python 3.11 or newer"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  fail "the programs need Python 3.11 or newer, got $("$python" --version); set PYTHON to one"
interpreter=$("$python" -c 'import platform, sys; print(sys.base_prefix, sys.version, platform.machine())')
key=$({ cat requirements-dev.txt && printf '%s' "$interpreter"; } | sha256sum | cut -c1-16)
environment=$cache/python-$key

UV=${UV:-$(uv_program)}
[[ -d $environment ]] || install_tools
has_postgres || install_postgres
MINIO=${MINIO:-$(minio_program)}
export MINIO UV

# By module: the scripts beside it still name the folder the environment was built in.
tool() { "$environment/bin/python" -m "$@"; }
scratch=$(mktemp -d)
# What is compiled once is there for each process of each run, and never in the work tree.
unset PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX=$environment/cache/bytecode
export RUFF_CACHE_DIR=$environment/cache/ruff MYPY_CACHE_DIR=$environment/cache/mypy
export COVERAGE_FILE=$scratch/coverage

# All Python that runs in a cluster: the programs, the owners' models, and what the cluster suite runs there.
readonly SOURCES=(. ../pipelines ../__tests__/cluster/support)
say "formatting"
tool ruff format --config pyproject.toml --check "${SOURCES[@]}"
say "lint"
tool ruff check --config pyproject.toml "${SOURCES[@]}"
say "types"
tool mypy
say "tests"
# Two at once: most of them wait for a server that they started.
tool pytest --cov --numprocesses 2 --dist loadgroup "$@"
say "tests of the pipelines"
for folder in ../pipelines/*/; do
  if compgen -G "$folder/test_*.py" >/dev/null; then tool pytest --no-header --quiet "$folder"; fi
done
