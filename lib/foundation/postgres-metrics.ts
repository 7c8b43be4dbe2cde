/** Metrics of postgres_exporter 0.20, with its default collectors, that the platform uses. */
export const POSTGRES_METRICS = [
  'pg_database_size_bytes',
  'pg_settings_max_connections',
  'pg_stat_activity_count',
  'pg_stat_activity_max_tx_duration',
  'pg_stat_database_blks_hit',
  'pg_stat_database_blks_read',
  'pg_stat_database_deadlocks',
  'pg_stat_database_numbackends',
  'pg_stat_database_temp_bytes',
  'pg_stat_database_xact_commit',
  'pg_stat_database_xact_rollback',
  'pg_up',
  'pg_wal_size_bytes',
] as const;
