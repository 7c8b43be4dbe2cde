import { laptop } from './laptop';
import { production } from './production';
import { workstation } from './workstation';

/** Every environment, by its folder below `dist/`. The folder `.` is `dist/` itself. */
export const environments = { '.': workstation, laptop, production };
