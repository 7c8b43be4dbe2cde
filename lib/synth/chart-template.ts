import type { Manifest } from '../contract/manifests';
import { yaml } from './custom-resources';

/** Below this a text is not worth a name of its own. */
const SHARED_FROM_CHARACTERS = 1000;

/** File name below `templates/`, without its ending, to the objects in it. */
export type TemplateObjects = ReadonlyMap<string, readonly Manifest[]>;

/** Text that Helm renders to itself. A closing pair means nothing without an opening one. */
export function escapeTemplate(text: string): string {
  return text.replaceAll('{{', '{{ "{{" }}');
}

/**
 * Files that Helm renders to these objects, letter by letter. Helm keeps templates and
 * what they render to in one Secret of limited size, so data that stands in two
 * ConfigMaps is written once, in `_shared.tpl`.
 */
export function templates(files: TemplateObjects): Map<string, string> {
  const shared = sharedData([...files.values()].flat());
  const written = new Map<string, string>();
  if (shared.size > 0) {
    const defined = [...shared].map(
      ([data, name]) => `{{ define "${name}" }}${escapeTemplate(data)}{{ end }}\n`,
    );
    written.set('_shared.tpl', defined.join(''));
  }
  for (const [file, objects] of files) {
    written.set(`${file}.yaml`, objects.map((object) => document(object, shared)).join('---\n'));
  }
  return written;
}

/** The YAML of data that more than one ConfigMap has, to its name in the chart. */
function sharedData(objects: readonly Manifest[]): Map<string, string> {
  const first = new Map<string, string>();
  const shared = new Map<string, string>();
  for (const manifest of objects.filter(({ kind }) => kind === 'ConfigMap')) {
    const data = dataOf(manifest);
    if (data.length < SHARED_FROM_CHARACTERS) continue;
    const name = first.get(data);
    if (name) shared.set(data, name);
    else first.set(data, `mlops-platform.${manifest.metadata.name}`);
  }
  return shared;
}

function document(manifest: Manifest, shared: ReadonlyMap<string, string>): string {
  const name = manifest.kind === 'ConfigMap' ? shared.get(dataOf(manifest)) : undefined;
  if (!name) return escapeTemplate(yaml(manifest));
  const { data: _, ...rest } = manifest;
  return `${escapeTemplate(yaml(rest))}{{ template "${name}" }}`;
}

function dataOf({ data }: Manifest): string {
  // The type says that a manifest has a name and a kind; `data` alone is printed like any other.
  return yaml({ data } as unknown as Manifest);
}
