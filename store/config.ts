import { type Static, Type } from '@sinclair/typebox'
import type { ObjectsConfig } from './objects.ts'

/** The variables of the object store; part of the schema of each process that uses it. */
export const ObjectsEnv = {
  RGRID_S3_URL: Type.String({ description: 'address of the S3 server, such as http://127.0.0.1:8473' }),
  RGRID_S3_PRESIGN_URL: Type.Optional(Type.String({ description: 'its address in presigned URLs, where clients and nodes reach it by another one' })),
  RGRID_S3_REGION: Type.String({ default: 'us-east-1', description: 'region' }),
  RGRID_S3_BUCKET: Type.String({ default: 'rgrid', description: 'bucket' }),
  RGRID_S3_ACCESS_KEY: Type.String({ description: 'access key' }),
  RGRID_S3_SECRET_KEY: Type.String({ description: 'secret key' }),
}

const ObjectsEnvObject = Type.Object(ObjectsEnv)

/** The object store's configuration out of a process's environment. */
export function objectsConfig(env: Static<typeof ObjectsEnvObject>): ObjectsConfig {
  return {
    url: env.RGRID_S3_URL,
    presignUrl: env.RGRID_S3_PRESIGN_URL ?? env.RGRID_S3_URL,
    region: env.RGRID_S3_REGION,
    bucket: env.RGRID_S3_BUCKET,
    accessKey: env.RGRID_S3_ACCESS_KEY,
    secretKey: env.RGRID_S3_SECRET_KEY,
  }
}
