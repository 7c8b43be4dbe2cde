import type { Dashboard } from '../observability/dashboard';

/** Name of a dashboard's ConfigMap. */
export function dashboardName({ uid }: Dashboard): string {
  return `dashboard-${uid}`;
}
