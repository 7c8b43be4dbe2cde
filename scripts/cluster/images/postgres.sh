# shellcheck shell=bash disable=SC2034,SC2154
# PostgreSQL 15, which Debian has, for the published 17.

names=("$(published postgres)")
from=debian
config='{"Entrypoint": ["docker-entrypoint.sh"], "Cmd": ["postgres"], "StopSignal": "SIGINT",
         "Volumes": {"/var/lib/postgresql/data": {}}, "ExposedPorts": {"5432/tcp": {}},
         "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/15/bin",
                 "LANG=en_US.utf8", "PG_MAJOR=15", "PGDATA=/var/lib/postgresql/data"]}'

fill() {
  need locales
  debs "$1" postgresql-15
  rm -rf "$1"/usr/{bin,lib/x86_64-linux-gnu,share}/perl*
  # Debian's are wrappers, in Perl, that choose between versions.
  ln -sf -t "$1/usr/bin" ../lib/postgresql/15/bin/{psql,pg_isready,pg_dump,pg_restore,createdb,dropdb,createuser}
  # Debian's psql and its siblings are Perl programs that look for the right version; here there is one.
  local program
  for program in "$1"/usr/lib/postgresql/15/bin/*; do
    ln -sf "../lib/postgresql/15/bin/${program##*/}" "$1/usr/bin/"
  done
  mkdir -p "$1"/{docker-entrypoint-initdb.d,etc,usr/lib/locale}
  localedef --inputfile en_US --charmap UTF-8 --no-archive "$1/usr/lib/locale/en_US.utf8"
  below etc/passwd > "$1/etc/passwd"
  below etc/group > "$1/etc/group"
  # initdb refuses a user that has no name.
  echo 'postgres:x:999:999::/var/lib/postgresql:/bin/bash' >> "$1/etc/passwd"
  echo 'postgres:x:999:' >> "$1/etc/group"
  # The server listens on every address, as the published image's does.
  sed -i "s/^#listen_addresses = 'localhost'/listen_addresses = '*'/" "$1/usr/share/postgresql/15/postgresql.conf.sample"
  install -D "$here/images/postgres.entrypoint" "$1/usr/local/bin/docker-entrypoint.sh"
  install -d -m 1777 -o 999 -g 999 "$1"/var/lib/postgresql{,/data}
  install -d -m 3777 -o 999 -g 999 "$1/run" "$1/run/postgresql"
  chown 0:0 "$1/run"
  chmod 755 "$1/run"
}
