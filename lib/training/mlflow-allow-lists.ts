import { type IngressSettings, opensWithHttps } from '../kubernetes/ingress';
import { PLATFORM_NAMESPACE } from '../kubernetes/namespaces';

/** The Service's names with the namespace, under which a program or a browser may ask for it. */
const QUALIFIED = ['', '.svc', '.svc.cluster.local'].map((end) => `mlflow.${PLATFORM_NAMESPACE}${end}`);

/**
 * The Host headers that MLflow accepts; it answers 403 to any other, against DNS rebinding. The list replaces MLflow's
 * defaults, so that it must repeat those that are needed: localhost, for a port-forward, and private addresses, for
 * clients that use an address of a Service or a node. Exception: `10.*` also matches the name 10.example.com, because
 * MLflow knows no pattern for digits. What protects MLflow there is its login, which a browser does not send to a name
 * that it was not entered for.
 *
 * @param pod the pod's own address, at which Prometheus asks for metrics: not every pod network is a private one
 */
export function allowedHosts(ingress: IngressSettings, port: number, pod: string): string[] {
  const page = pageHost(ingress);
  const privateNetworks = ['10.*', '192.168.*', ...Array.from({ length: 16 }, (_, i) => `172.${16 + i}.*`)];
  return [
    ...['mlflow', ...QUALIFIED].flatMap((name) => [name, `${name}:${port}`]),
    ...[page, 'localhost', '127.0.0.1'].flatMap((name) => [name, `${name}:*`]),
    // `[[]` is a bracket, in fnmatch's patterns.
    ...['[::1]', '[[]::1]:*'],
    ...[`${pod}:${port}`, `[${pod}]:${port}`],
    ...privateNetworks,
  ];
}

/**
 * The origins whose requests MLflow lets change something: its own page, at any port. It always accepts localhost, for a
 * port-forward. Where TLS may end before the cluster, the page has an http and an https origin.
 *
 * A pattern is read twice: by fnmatch, which decides about the request, and as a regular expression that need not match
 * to the end, by which Flask-CORS permits other sites to read answers. `[.]` and `:[0-9]*` mean the same to both; with
 * `:*` alone, mlflow.example.com.evil.example could read every answer.
 */
export function allowedOrigins(ingress: IngressSettings): string[] {
  const page = pageHost(ingress);
  const schemes = opensWithHttps(ingress) ? ['https'] : ['http', 'https'];
  return schemes.flatMap((scheme) => [
    `${scheme}://${page}`,
    ...[page, ...QUALIFIED].map((host) => `${scheme}://${host.replaceAll('.', '[.]')}:[0-9]*`),
  ]);
}

function pageHost({ domain }: IngressSettings): string {
  return `mlflow.${domain}`;
}
