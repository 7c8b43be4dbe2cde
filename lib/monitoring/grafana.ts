import { Construct } from 'constructs';
import { images } from '../kubernetes/images';
import { Ingress, type IngressSettings, ingressUrl } from '../kubernetes/ingress';
import { httpProbe } from '../kubernetes/probe';
import type { Bytes } from '../definitions/quantity';
import { PersistentVolumeClaim, ConfigFiles, type Mount, emptyDir } from '../kubernetes/volume';
import { Workload } from '../kubernetes/workload';
import type { Secrets } from '../foundation/secrets';
import { type Dashboard, dashboardJson } from '../observability/dashboard';
import type { Observability } from '../observability/observability';
import { platformDashboard } from '../observability/platform-series';
import { dashboardName } from './dashboard-name';
import { grafanaDashboard, grafanaObservability } from './grafana-observability';
import { OVERVIEW_UID, showableOverview } from './overview-dashboard';

export interface GrafanaProps {
  readonly secrets: Secrets;
  readonly observability: Observability;
  readonly ingress: IngressSettings;
  /** @default 1Gi */
  readonly storage?: Bytes;
  /** @default - the cluster's default storage class */
  readonly storageClass?: string;
}

const DASHBOARDS = '/etc/grafana/dashboards';

/** Shows a person what Prometheus knows; opens on the lifecycle overview. */
export class Grafana extends Construct {
  readonly server: Workload;

  constructor(
    scope: Construct,
    id: string,
    private readonly props: GrafanaProps,
  ) {
    super(scope, id);
    const login = props.secrets.generate('grafana-admin', { password: 'password' });
    const claim = new PersistentVolumeClaim(this, 'data', {
      name: 'grafana-data',
      size: props.storage ?? '1Gi',
      storageClass: props.storageClass,
    });
    const { observability } = props;
    const dashboards = [showableOverview(observability), ...observability.dashboards, grafanaDashboard];
    this.server = new Workload(this, 'server', {
      name: 'grafana',
      system: 'grafana',
      component: 'server',
      image: images.grafana,
      // The image's user; its SQLite file takes one writer.
      user: { uid: 472, gid: 472 },
      strategy: 'Recreate',
      ports: { http: 3000 },
      env: {
        GF_SECURITY_ADMIN_PASSWORD: login.key('password'),
        // For links. Pages and logins use the host and port of the browser.
        GF_SERVER_ROOT_URL: ingressUrl('grafana', props.ingress),
        GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH: `${DASHBOARDS}/${OVERVIEW_UID}/${OVERVIEW_UID}.json`,
        GF_ANALYTICS_REPORTING_ENABLED: 'false',
        GF_ANALYTICS_CHECK_FOR_UPDATES: 'false',
        GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES: 'false',
        GF_NEWS_NEWS_FEED_ENABLED: 'false',
        GF_PLUGINS_PREINSTALL_DISABLED: 'true',
        GF_USERS_ALLOW_SIGN_UP: 'false',
      },
      cpu: { request: '50m' },
      memory: { request: '128Mi', limit: '512Mi' },
      mounts: [
        claim.mountAt('/var/lib/grafana'),
        emptyDir('tmp', '/tmp', '128Mi'),
        this.file('grafana-datasources', 'datasources.yaml', dataSources(observability)).mountAt(
          '/etc/grafana/provisioning/datasources',
        ),
        this.file('grafana-providers', 'providers.yaml', PROVIDERS).mountAt(
          '/etc/grafana/provisioning/dashboards',
        ),
        ...dashboards.map((dashboard) => this.dashboard(dashboard)),
      ],
      startupProbe: httpProbe('/api/health', 'http', { periodSeconds: 2, failureThreshold: 90 }),
      readinessProbe: httpProbe('/api/health', 'http', { periodSeconds: 10 }),
      livenessProbe: httpProbe('/api/health', 'http', { periodSeconds: 20, failureThreshold: 5 }),
    });
    observability.reaches(this.server.networkPolicy);
    new Ingress(this, 'ingress', {
      ingress: props.ingress,
      workload: this.server,
      port: 'http',
      login: { user: 'admin', password: login.key('password') },
    });
    grafanaObservability(this, { observability, server: this.server });
  }

  private file(name: string, file: string, content: string): ConfigFiles {
    return new ConfigFiles(this, name, { name, files: { [file]: content } });
  }

  /** One ConfigMap for each dashboard, because one holds at most 1 MiB. Grafana reads a change without a restart. */
  private dashboard(dashboard: Dashboard): Mount {
    const name = dashboardName(dashboard);
    const files = this.file(
      name,
      `${dashboard.uid}.json`,
      dashboardJson(platformDashboard(dashboard, this.props.observability.prometheus)),
    );
    return { ...files.mountAt(`${DASHBOARDS}/${dashboard.uid}`), contentHash: undefined };
  }
}

function dataSources(observability: Observability): string {
  return `apiVersion: 1
prune: true
datasources:
  - name: Prometheus
    uid: prometheus
    type: prometheus
    access: proxy
    url: ${observability.prometheus.url}
    isDefault: true
    jsonData:
      httpMethod: POST
      timeInterval: 30s
`;
}

const PROVIDERS = `apiVersion: 1
providers:
  - name: mlops-platform
    folder: MLOps platform
    type: file
    disableDeletion: true
    options:
      path: ${DASHBOARDS}
`;
