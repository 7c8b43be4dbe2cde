/** The suites on the platform read the folder that setup.ts deployed in the place of the committed dist/. */
if (process.env.PLATFORM_DIST) process.env.CDK8S_OUTDIR = process.env.PLATFORM_DIST;
