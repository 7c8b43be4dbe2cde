import cronParser from 'cron-parser';
import type { Cron } from './rules';

const DAY = 24 * 3600;

// The days that are searched. They are fixed, so that the result does not depend on today's date, and they include
// two leap days, so that the gaps of a schedule on 29 February are found.
const FIRST_DAY = Date.UTC(2024, 0, 1) / 1000;
const LAST_DAY = Date.UTC(2028, 1, 29) / 1000;

const gaps = new Map<Cron, number>();

/** The longest time between two runs of a schedule, in seconds. */
export function longestGapSeconds(cron: Cron): number {
  const gap = gaps.get(cron) ?? longestGap(cron);
  gaps.set(cron, gap);
  return gap;
}

/** Searches days and not single runs, because the runs of a day are at the same times on every day that has any. */
function longestGap(cron: Cron): number {
  const schedule = cronParser.parse(cron, { tz: 'UTC' });
  const { hour, minute } = schedule.fields;
  const times = hour.values.flatMap((h) => minute.values.map((m) => h * 3600 + m * 60));
  const [first, last] = [times[0]!, times.at(-1)!];
  let longest = Math.max(0, ...times.slice(1).map((time, i) => time - times[i]!));
  let before: number | undefined;
  for (let day = FIRST_DAY; day <= LAST_DAY; day += DAY) {
    if (!schedule.includesDate(new Date((day + first) * 1000))) continue;
    if (before !== undefined) longest = Math.max(longest, day + first - (before + last));
    before = day;
  }
  return longest;
}
