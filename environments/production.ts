import { Accelerator, Database, defineEnvironment, Monitoring, ObjectStore, SecretRef } from '../lib';

const login = (name: string) => SecretRef.external(name, ['database', 'username', 'password']);
const key = (name: string) => SecretRef.external(name, ['access-key', 'secret-key']);

/** Several nodes, a pool of GPU nodes, and a Postgres and an S3 that somebody else runs. */
export const production = defineEnvironment({
  database: Database.external({
    host: 'postgres.example.com',
    credentials: { airflow: login('postgres-airflow'), mlflow: login('postgres-mlflow') },
  }),
  objectStore: ObjectStore.external({
    endpoint: 'https://s3.eu-central-1.amazonaws.com',
    region: 'eu-central-1',
    bucketPrefix: 'example-mlops-',
    credentials: {
      airflow: key('s3-airflow'),
      mlflow: key('s3-mlflow'),
      steps: key('s3-steps'),
      triton: key('s3-triton'),
    },
  }),
  accelerator: Accelerator.nvidia({ count: 1, nodeSelector: { 'nvidia.com/gpu.present': 'true' } }),
  gpus: 4,
  tritonReplicas: 2,
  mlflowReplicas: 2,
  airflowApiServerReplicas: 2,
  parallelism: 32,
  domain: 'mlops.example.com',
  ingressNamespace: 'ingress-nginx',
  ingressClass: 'nginx',
  tlsSecretName: 'mlops-tls',
  monitoring: Monitoring.own({ retention: '30d', storage: '100Gi' }),
});
