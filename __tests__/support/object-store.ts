import { images } from '../../lib/kubernetes/images';

/** The object store that the platform runs itself, MinIO, as the tests find it. Another server changes this file. */
export const OBJECT_STORE = {
  /** Of its pods' system, its StatefulSet, its Service, and its page. */
  name: 'minio',
  claim: 'minio-data',
  images: [images.minio, images.minioClient],
  /** Where S3 is spoken. */
  port: 9000,
  page: {
    port: 9001,
    login: '/api/v1/login',
    credentials: (password: string) => ({ accessKey: 'root', secretKey: password }),
    accepted: 204,
    refused: 401,
    /** Answers 200 to whoever is logged in, and else 403. */
    session: '/api/v1/session',
    /** A web socket of the page. */
    socket: '/ws/objectManager',
    /** Name and key of the Secret. */
    password: ['minio-root', 'password'],
  },
  /** A command of its pod's shell, which prints a bucket's lifecycle rules as S3 spells them. */
  lifecycleRules: (bucket: string) =>
    'MC_HOST_store=http://$MINIO_ROOT_USER:$MINIO_ROOT_PASSWORD@localhost:9000 ' +
    `mc --config-dir /tmp/.mc ilm rule export store/${bucket}`,
} as const;
