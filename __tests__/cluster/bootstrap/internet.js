const { appendFileSync, existsSync, readFileSync } = require('node:fs');
const { createServer } = require('node:https');
const { createServer: createProxy } = require('node:http');
const { connect } = require('node:net');
const { join } = require('node:path');

/**
 * The internet of a made-up machine: the hosts that bootstrap.sh asks, with their redirects, over TLS on
 * port 443, and a proxy on port 3128. Runs in a network namespace of its own.
 * usage: node internet.js FOLDER; FOLDER holds tls.key, tls.crt, web/HOST/PATH, and gets the file `requests`.
 * While FOLDER/stalled names an address, its answer does not end.
 */
const folder = process.argv[2];
const note = (line) => appendFileSync(join(folder, 'requests'), `${line}\n`);

/** The hosts to which these redirect a download. */
const STORES = { 'github.com': 'release-assets.githubusercontent.com', 'dl.k8s.io': 'cdn.dl.k8s.io' };

const stalled = () => existsSync(join(folder, 'stalled')) && readFileSync(join(folder, 'stalled'), 'utf8');

const tls = { key: readFileSync(join(folder, 'tls.key')), cert: readFileSync(join(folder, 'tls.crt')) };
createServer(tls, (request, response) => {
  const { host } = request.headers;
  const file = join(folder, 'web', host, request.url);
  const status = STORES[host] ? 302 : existsSync(file) ? 200 : 404;
  note(`${status} https://${host}${request.url}`);
  if (status === 302) response.writeHead(302, { location: `https://${STORES[host]}${request.url}` }).end();
  else if (status === 200 && stalled() === `https://${host}${request.url}`)
    response.writeHead(200, { 'content-length': 1e9 }).write('the first bytes');
  else if (status === 200) response.writeHead(200).end(readFileSync(file));
  else response.writeHead(404, { 'content-type': 'text/html' }).end('<html>Not Found</html>\n');
}).listen(443, '0.0.0.0', () => note('ready'));

createProxy()
  .on('connect', ({ url }, client) => {
    note(`CONNECT ${url}`);
    const upstream = connect(443, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      upstream.pipe(client).pipe(upstream);
    });
    for (const end of [client, upstream])
      end.on('error', () => [client, upstream].forEach((s) => s.destroy()));
  })
  .listen(3128, '0.0.0.0');
