# shellcheck shell=sh
# Creates each missing role and database. There is a variable ROLE_PASSWORD_<role> for
# each role. Every role but `monitoring` owns a database of its own name.
set -eu
for variable in $(env | sed -n 's/^\(ROLE_PASSWORD_[a-z]*\)=.*/\1/p' | sort); do
  role=${variable#ROLE_PASSWORD_}
  psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --set role="$role" <<SQL
\getenv password $variable
SELECT format('CREATE ROLE %I', :'role')
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec
ALTER ROLE :"role" LOGIN PASSWORD :'password';
SQL
  if [ "$role" = monitoring ]; then
    psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --command 'GRANT pg_monitor TO monitoring'
  else
    psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --set role="$role" <<'SQL'
SELECT format('CREATE DATABASE %I OWNER %I', :'role', :'role')
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'role') \gexec
REVOKE ALL ON DATABASE :"role" FROM PUBLIC;
SQL
  fi
  echo "role $role is there"
done
