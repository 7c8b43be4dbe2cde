#!/usr/bin/env bash
# Checks formatting, lint and types of the Python programs and runs their tests,
# on the Python that $PYTHON names (python3 by default; it must be 3.11 or newer).
#
# The tools are those that python/requirements-dev.txt locks. The tools and all
# caches are outside the work tree, below $MLOPS_CACHE.
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

# There is one environment for each lock and interpreter. It is built under
# another name, so that an incomplete one of an interrupted run is never used.
install_tools() {
  say "installing the locked tools"
  mkdir -p "$cache"
  partial=$(mktemp -d "$environment.partial.XXXXXX")
  "$UV" venv --quiet --allow-existing --python "$python" "$partial"
  "$UV" pip install --quiet --python "$partial/bin/python" --require-hashes -r requirements-dev.txt
  # Another run may have made the same environment meanwhile, which then is used.
  mv -T "$partial" "$environment" 2>/dev/null || [[ -d $environment ]]
}

# The tests start their own Postgres, so only its programs are needed.
install_postgres() {
  say "installing Postgres's programs"
  if ! command -v apt-get >/dev/null || [[ $(id -u) != 0 ]]; then
    fail "the tests need initdb and postgres: install them, on Debian with 'apt-get install postgresql'"
  fi
  from_cluster 'apt install -y --no-install-recommends postgresql-common'
  # Without this, Debian's package would make and start a server.
  sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
  from_cluster 'apt install -y --no-install-recommends postgresql'
}

has_postgres() {
  command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null
}

# from_cluster COMMAND: runs a function of scripts/cluster, whose scripts build programs from source and cache them.
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

# As a module, because the scripts in the environment's bin name the folder that it was built in.
tool() { "$environment/bin/python" -m "$@"; }
scratch=$(mktemp -d)
# All runs share the compiled bytecode, outside the work tree.
unset PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX=$environment/cache/bytecode
export RUFF_CACHE_DIR=$environment/cache/ruff MYPY_CACHE_DIR=$environment/cache/mypy
export COVERAGE_FILE=$scratch/coverage

# All Python code: the platform's programs, the owners' models, and the programs of the cluster suites.
readonly SOURCES=(. ../pipelines ../__tests__/cluster/support)
say "formatting"
tool ruff format --config pyproject.toml --check "${SOURCES[@]}"
say "lint"
tool ruff check --config pyproject.toml "${SOURCES[@]}"
say "types"
tool mypy
say "tests"
# Two processes, because most tests wait for a server that they started.
tool pytest --cov --numprocesses 2 --dist loadscope --no-loadscope-reorder "$@"
say "tests of the pipelines"
for folder in ../pipelines/*/; do
  if compgen -G "$folder/test_*.py" >/dev/null; then tool pytest --no-header --quiet "$folder"; fi
done
