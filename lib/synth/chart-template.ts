import type { Manifest } from '../validation/manifests';
import { yaml } from './yaml';

/** File name below `templates/`, without its ending, to the objects in it. */
export type TemplateObjects = ReadonlyMap<string, readonly Manifest[]>;

/** Escapes a text so that Helm renders it unchanged. `}}` needs no escape where no `{{` comes before it. */
export function escapeTemplate(text: string): string {
  return text.replaceAll('{{', '{{ "{{" }}');
}

/** Template files that Helm renders to exactly these objects. */
export function templates(files: TemplateObjects): Map<string, string> {
  return new Map(
    [...files].map(([file, objects]) => [`${file}.yaml`, escapeTemplate(objects.map(yaml).join('---\n'))]),
  );
}
