import type { Manifest } from '../validation/manifests';
import { yaml } from './custom-resources';

/** File name below `templates/`, without its ending, to the objects in it. */
export type TemplateObjects = ReadonlyMap<string, readonly Manifest[]>;

/** Text that Helm renders to itself. A closing pair means nothing without an opening one. */
export function escapeTemplate(text: string): string {
  return text.replaceAll('{{', '{{ "{{" }}');
}

/** Files that Helm renders to these objects, letter by letter. */
export function templates(files: TemplateObjects): Map<string, string> {
  return new Map(
    [...files].map(([file, objects]) => [`${file}.yaml`, escapeTemplate(objects.map(yaml).join('---\n'))]),
  );
}
