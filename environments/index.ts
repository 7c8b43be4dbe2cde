import { laptop } from './laptop';
import { production } from './production';
import { workstation } from './workstation';

/** Every cluster, by its folder below `dist/`; the workstation's is `dist/` itself. */
export const environments = { '.': workstation, laptop, production };
