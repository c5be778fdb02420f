/** The servers that integration tests use, as test/run.ts started them. */
export interface TestServices {
  postgresAdminUrl: string
  gatewayDatabaseUrl: string
  schedulerDatabaseUrl: string
  natsUrl: string
  natsTrustDir: string
  s3: { url: string; region: string; bucket: string; accessKey: string; secretKey: string }
}

/** Reads where the test servers are. Throws, so that a test fails and is not passed over, when they are not up. */
export function testServices(): TestServices {
  const read = (name: string) => {
    const value = process.env[`RGRID_TEST_${name}`]
    if (!value) throw new Error(`RGRID_TEST_${name} is not set: integration tests are run by "npm test"`)
    return value
  }
  return {
    postgresAdminUrl: read('POSTGRES_ADMIN_URL'),
    gatewayDatabaseUrl: read('GATEWAY_DATABASE_URL'),
    schedulerDatabaseUrl: read('SCHEDULER_DATABASE_URL'),
    natsUrl: read('NATS_URL'),
    natsTrustDir: read('NATS_TRUST_DIR'),
    s3: { url: read('S3_URL'), region: read('S3_REGION'), bucket: read('S3_BUCKET'), accessKey: read('S3_ACCESS_KEY'), secretKey: read('S3_SECRET_KEY') },
  }
}
