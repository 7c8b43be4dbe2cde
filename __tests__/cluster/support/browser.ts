import { cluster, PLATFORM, serviceUrl } from './platform';

/** A page: its Service, its name in the domain, and the local port of a port-forward. */
export interface Page {
  readonly service: string;
  readonly port: number;
  /** @default - it has no Ingress */
  readonly host?: string;
  readonly local: number;
}

/** One way to open a page. */
export interface Way {
  readonly way: string;
  /** What stands in the browser's address bar before the path. */
  readonly origin: string;
  /** Returns the address inside the node at which the request arrives. */
  readonly server: () => string;
  /** Headers that an ingress controller adds. */
  readonly headers: readonly string[];
}

interface Answer {
  readonly status: number;
  /** Where the redirects ended. */
  readonly url: URL;
  readonly body: string;
  readonly header: (name: string) => string | undefined;
}

/**
 * Opens the pages of one server as a browser does: it sends Host, Origin and Referer, keeps cookies, and follows
 * redirects.
 */
export class Browser {
  private readonly cookies = new Map<string, { value: string; secure: boolean }>();

  constructor(private readonly way: Way) {}

  /**
   * Opens a page.
   * @param options further options of curl
   * @throws where a redirect leads to another origin, which need not exist
   */
  get(path: string, ...options: string[]): Answer {
    return this.ask(new URL(path, this.way.origin), options);
  }

  /** Sends JSON, as a script of the page does. */
  post(path: string, body: object, ...options: string[]): Answer {
    const data = ['--header', 'Content-Type: application/json', '--data', JSON.stringify(body)];
    return this.ask(new URL(path, this.way.origin), [...this.fromPage(), ...data, ...options]);
  }

  /** Fills in the form of a page, with its hidden token. */
  submit(page: Answer, fields: Record<string, string>): Answer {
    const [, token] = /name="csrf_token"[^>]*value="([^"]+)"/.exec(page.body) ?? [];
    if (token === undefined) throw new Error(`${page.url.href} has no form:\n${page.body.slice(0, 2000)}`);
    const data = Object.entries({ ...fields, csrf_token: token }).flatMap(([name, value]) => [
      '--data-urlencode',
      `${name}=${value}`,
    ]);
    return this.ask(page.url, [...this.fromPage(page.url.href), ...data]);
  }

  /** Whether a cookie is sent with https only; undefined where there is no such cookie. */
  secure(cookie: string): boolean | undefined {
    return this.cookies.get(cookie)?.secure;
  }

  private fromPage(referer = `${this.way.origin}/`): string[] {
    return ['--header', `Origin: ${this.way.origin}`, '--header', `Referer: ${referer}`];
  }

  private ask(url: URL, options: readonly string[]): Answer {
    if (url.origin !== new URL(this.way.origin).origin) {
      throw new Error(`the page was opened at ${this.way.origin}, and leads to ${url.href}`);
    }
    const headers = [`Host: ${url.host}`, ...this.way.headers, ...this.cookieHeader()];
    const [head, body] = answered(
      cluster.enter(
        ...['curl', '--silent', '--show-error', '--include', '--http1.1', '--max-time', '30'],
        ...headers.flatMap((header) => ['--header', header]),
        ...options,
        `${this.way.server()}${url.pathname}${url.search}`,
      ),
    );
    const all = (name: string) => head.filter(([each]) => each === name).map(([, value]) => value!);
    all('set-cookie').forEach((cookie) => this.keep(cookie));
    const [location] = all('location');
    if (location !== undefined) return this.ask(new URL(location, url), []);
    return { status: Number(head[0]![1]), url, body, header: (name) => all(name)[0] };
  }

  private cookieHeader(): string[] {
    if (this.cookies.size === 0) return [];
    return [`Cookie: ${[...this.cookies].map(([name, { value }]) => `${name}=${value}`).join('; ')}`];
  }

  private keep(cookie: string): void {
    const [pair, ...attributes] = cookie.split('; ');
    const [name, ...value] = pair!.split('=');
    const has = (attribute: RegExp) => attributes.some((each) => attribute.test(each));
    if (has(/^max-age=(0|-)/i)) this.cookies.delete(name!);
    else this.cookies.set(name!, { value: value.join('='), secure: has(/^secure$/i) });
  }
}

/** The first line's version and status and all headers, names in lower case; and the body. */
function answered(output: string): [head: string[][], body: string] {
  const end = output.indexOf('\r\n\r\n');
  const [first, ...lines] = output.slice(0, end).split('\r\n');
  const head = lines.map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  });
  return [[first!.split(' '), ...head], output.slice(end + 4)];
}

/** Every way to open a page. */
export function waysTo(page: Page): Way[] {
  return [...ingressWays(page), ...forwardedWays(page)];
}

/**
 * The tests' cluster has no ingress controller, so the requests go to the Service with the headers that one adds. As
 * with ingress-nginx, the port in them is the controller's own, not the browser's.
 */
function ingressWays({ service, port, host }: Page): Way[] {
  if (host === undefined) return [];
  let address: string | undefined;
  const server = () => (address ??= serviceUrl(service, port));
  return [
    { way: 'the Ingress', origin: `http://${host}` },
    { way: 'the Ingress on port 8080', origin: `http://${host}:8080` },
    { way: 'https that ends before the cluster', origin: `https://${host}` },
    { way: 'https on port 8443 that ends before the cluster', origin: `https://${host}:8443` },
  ].map(({ way, origin }, index) => ({
    way,
    origin,
    server,
    headers: [
      // Airflow counts a client's logins, and refuses the sixth in 40 seconds.
      `X-Forwarded-For: 198.51.100.${index}`,
      `X-Forwarded-Host: ${new URL(origin).host}`,
      'X-Forwarded-Port: 80',
      `X-Forwarded-Proto: ${new URL(origin).protocol.slice(0, -1)}`,
    ],
  }));
}

/** `portForward` must run. */
function forwardedWays({ local }: Page): Way[] {
  return ['localhost', '127.0.0.1'].map((host) => ({
    way: `a port-forward, at ${host}`,
    origin: `http://${host}:${local}`,
    server: () => `http://127.0.0.1:${local}`,
    headers: [],
  }));
}

/** Runs `kubectl port-forward` in the node until the returned function is called. */
export function portForward({ service, local, port }: Page): () => void {
  const line =
    `kubectl ${PLATFORM} port-forward service/${service} ${local}:${port} > /dev/null 2>&1 & echo $!; ` +
    `for try in $(seq 60); do (exec 3<> /dev/tcp/127.0.0.1/${local}) 2> /dev/null && exit; sleep 0.5; done; exit 1`;
  const [pid] = cluster.enter('bash', '-c', line).split('\n');
  return () => cluster.enter('kill', pid!);
}
