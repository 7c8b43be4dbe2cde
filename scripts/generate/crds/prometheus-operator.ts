import { type GoModule } from './go-module';

/**
 * The release of the operator that the platform runs. The image in lib/kubernetes/images.ts must have the same version.
 * AlertmanagerConfig and Probe are not used here, but without their CRDs the operator waits for ever at its start.
 */
export const prometheusOperator: GoModule = {
  path: 'github.com/prometheus-operator/prometheus-operator',
  version: 'v0.85.0',
  files: {
    'example/prometheus-operator-crd/monitoring.coreos.com_alertmanagerconfigs.yaml':
      '7e34fd1f9abf3a2756eb53895f1ca6b291ce3cac929152c9e3919d8d7fb85ccf',
    'example/prometheus-operator-crd/monitoring.coreos.com_alertmanagers.yaml':
      '5a7bdf7900fd58053f3403abc9daaa301a90cd8dd1bbdf1362788704a87d04a4',
    'example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml':
      '8ce88c52c51209993511cae093089c9525f5552def88119e3f559123ee9d454b',
    'example/prometheus-operator-crd/monitoring.coreos.com_probes.yaml':
      '97e6e59020feb71055628ac40b14f817662bb98ca720f19a45e85ac009081cc8',
    'example/prometheus-operator-crd/monitoring.coreos.com_prometheuses.yaml':
      'fac555882d18023e1fb5c318ecab8f6bbcc158c9fed6abef7800da84049cd221',
    'example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml':
      '98fd16c9ab79fba8dcd6ef62c957c98cd6546ab74ce0a4ecf09ddf2fda03020e',
    'example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml':
      '1dae27b7189b5ce7b9ab764656c18b4c75a45cde1e6f3af6a5e84c4317628919',
  },
};
