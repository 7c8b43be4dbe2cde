/** What was deployed is what the suites of the platform take for dist/; other projects read the committed one. */
if (process.env.PLATFORM_DIST) process.env.CDK8S_OUTDIR = process.env.PLATFORM_DIST;
