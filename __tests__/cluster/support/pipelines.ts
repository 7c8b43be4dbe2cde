import { cpSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadAll } from 'js-yaml';
import { laptop } from '../../../environments/laptop';
import {
  definePipeline,
  type Environment,
  loadPipelines,
  type PipelineProps,
  synthesize,
} from '../../../lib';
import { FILES as FILE_NAMES } from '../../../lib/definitions/names';
import type { LoadedPipeline } from '../../../lib/pipeline/pipeline';
import type { PipelineSpec } from '../../../lib/pipeline/spec';
import type { Manifest } from '../../../lib/validation/manifests';
import { cluster } from './platform';

const ROOT = join(__dirname, '../../..');

/** The node's own address, which its pods reach as they would an address on the internet. */
export const NODE = '10.89.0.1';

/** The folder that the node's file server serves over HTTP. */
export const FILES = mkdtempSync(join(tmpdir(), 'taxi-'));

/** Starts the file server of the taxis' months; it ends with the node. */
export function serveFiles(): void {
  cpSync(join(ROOT, '__tests__/data'), FILES, { recursive: true });
  const server = `setsid python3 -m http.server 80 --bind ${NODE} --directory ${FILES} >/dev/null 2>&1 &`;
  cluster.enter('sh', '-c', server);
}

/** The source of the taxi pipeline, as if its publisher had no month after `month`: `2024-01`. */
export function published(month: string) {
  const url = `http://${NODE}/green_tripdata_{{ month }}.parquet`;
  return { type: 'http', url, monthsUntilPublished: 2, until: month } as const;
}

/** The pipeline of this repository, with its data on the node and with shorter waits. */
export function taxi(change: Partial<PipelineProps> = {}): LoadedPipeline {
  const [{ definition, model }] = loadPipelines(join(ROOT, 'pipelines')) as [LoadedPipeline];
  return {
    model,
    definition: definePipeline({
      ...definition,
      source: published('2022-01'),
      drift: { ...definition.drift, window: '2m' },
      retraining: { every: '1m', cooldown: '2h' },
      ...change,
    }),
  };
}

/** Synthesizes the laptop with these pipelines. @returns the new dist/, with the folder `laptop` in it */
export function synthesizeLaptop(...pipelines: LoadedPipeline[]): string {
  return synthesizeAs(laptop, ...pipelines);
}

/** Synthesizes an environment in the laptop's place. */
export function synthesizeAs(environment: Environment, ...pipelines: LoadedPipeline[]): string {
  const outdir = mkdtempSync(join(tmpdir(), 'dist-'));
  synthesize({ environments: { laptop: environment }, pipelines, outdir: join(outdir, 'dist') });
  return join(outdir, 'dist');
}

/** Applies the file of one pipeline. */
export function applyPipeline(pipeline: LoadedPipeline, environment = laptop): void {
  cluster.kubectl('apply', '--filename', fileOf(pipeline, environment));
}

/** Deletes the objects of one pipeline's file. Its data and its versions stay in the object store and in MLflow. */
export function removePipeline(pipeline: LoadedPipeline): void {
  cluster.kubectl('delete', '--ignore-not-found', '--filename', fileOf(pipeline));
}

/** A pipeline's spec, as `synth` writes it for Airflow. */
export function specOf(pipeline: LoadedPipeline): PipelineSpec {
  const objects = loadAll(readFileSync(fileOf(pipeline), 'utf8')) as Manifest[];
  const data = objects.find(({ kind }) => kind === 'ConfigMap')!.data as Record<string, string>;
  return JSON.parse(data[FILE_NAMES.spec]!) as PipelineSpec;
}

function fileOf(pipeline: LoadedPipeline, environment = laptop): string {
  return join(synthesizeAs(environment, pipeline), 'laptop', `60-pipeline-${pipeline.definition.name}.yaml`);
}
