/** A platform of its own, beside which another suite's may run. */
process.env.CLUSTER_NAME ??= 'existing-monitoring';
