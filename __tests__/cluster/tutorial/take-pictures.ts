import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type BrowserContext, chromium, type Page } from 'playwright-core';

/**
 * usage: ts-node take-pictures.ts CHAPTER FOLDER. Takes the pictures of a chapter, after its commands have run. It must
 * run inside the node, where the addresses of Services can be reached. CHROMIUM names the browser (/usr/bin/chromium).
 */
const PICTURES: Readonly<Record<string, readonly Picture[]>> = {
  '1-data': [['airflow-bad-month', airflowRuns]],
  '2-training': [['mlflow-version', mlflowVersion]],
  '3-registry': [['mlflow-versions', mlflowVersions]],
  '5-monitoring': [['airflow-retraining', airflowRuns]],
};

const PIPELINE = 'trip-duration';
const SIZE = { width: 1280, height: 760 };

type Picture = readonly [name: string, open: (page: Page) => Promise<void>];

async function main(chapter: string, folder: string): Promise<void> {
  const pictures = PICTURES[chapter] ?? [];
  if (pictures.length === 0) return;
  mkdirSync(folder, { recursive: true });
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    // Chromium refuses a sandbox to root, and only our own pages are opened.
    args: ['--no-sandbox', `--host-resolver-rules=${hosts()}`],
  });
  try {
    for (const [name, open] of pictures) {
      const context = await browser.newContext({
        viewport: SIZE,
        httpCredentials: {
          username: 'admin',
          password: secret('mlflow-login', 'password'),
          origin: 'http://mlflow.mlops.localhost',
        },
      });
      await picture(context, join(folder, `${name}.png`), open);
      await context.close();
    }
  } finally {
    await browser.close();
  }
}

async function picture(context: BrowserContext, path: string, open: Picture[1]): Promise<void> {
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  await open(page);
  // Milliseconds until the page's animations are over.
  await page.waitForTimeout(3000);
  await page.screenshot({ path });
}

/** The pipeline's runs, as Airflow's page of the DAG shows them. */
async function airflowRuns(page: Page): Promise<void> {
  await page.goto('http://airflow.mlops.localhost/auth/login/');
  await page.fill('#username', 'admin');
  await page.fill('#password', secret('airflow', 'admin-password'));
  await Promise.all([page.waitForLoadState('networkidle'), page.press('#password', 'Enter')]);
  await page.goto(`http://airflow.mlops.localhost/dags/${PIPELINE}`);
  await page.waitForLoadState('networkidle');
}

/** The first version, with the tags that lead back to what it was made from. */
async function mlflowVersion(page: Page): Promise<void> {
  await page.goto(`http://mlflow.mlops.localhost/#/models/${PIPELINE}/versions/1`);
  await page.getByText('lifecycle.batch_sha256').waitFor();
}

/** The versions and their aliases. */
async function mlflowVersions(page: Page): Promise<void> {
  await page.goto(`http://mlflow.mlops.localhost/#/models/${PIPELINE}`);
  await page.getByText('champion').first().waitFor();
}

/** Rules that lead each host to its Service, as an ingress controller would: this cluster has none. */
function hosts(): string {
  const services = [
    ['airflow.mlops.localhost', 'airflow-api-server', '8080'],
    ['mlflow.mlops.localhost', 'mlflow', '5000'],
  ];
  return services
    .map(
      ([host, service, port]) =>
        `MAP ${host}:80 ${kubectl('service', service!, '{.spec.clusterIP}')}:${port}`,
    )
    .join(', ');
}

function secret(name: string, key: string): string {
  return Buffer.from(kubectl('secret', name, `{.data.${key}}`), 'base64').toString();
}

function kubectl(kind: string, name: string, path: string): string {
  const query = ['--namespace=mlops-platform', 'get', kind, name, `--output=jsonpath=${path}`];
  return execFileSync('kubectl', query, { encoding: 'utf8' });
}

const [chapter, folder] = process.argv.slice(2);
if (chapter === undefined || folder === undefined)
  throw new Error('usage: ts-node take-pictures.ts CHAPTER FOLDER');
void main(chapter, folder);
