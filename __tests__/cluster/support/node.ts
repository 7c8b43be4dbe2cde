import { report, timed } from './cluster';
import { serveFiles } from './pipelines';
import { cluster } from './platform';

/** Starts the node and its file server, and reports which of Triton's backends its image has. */
export function startNode(): void {
  report(`a node is up in ${timed(() => cluster.up()).seconds} s`);
  report(`Triton's ONNX Runtime backend: ${process.env.ONNXRUNTIME_BACKEND ?? 'the stand-in in Python'}`);
  serveFiles();
}
