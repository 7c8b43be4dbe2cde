import cronParser from 'cron-parser';
import type { Cron } from './rules';

/** The longest time between two of a schedule's turns within a year, in seconds. */
export function longestGapSeconds(cron: Cron): number {
  // A fixed year, for the same input gives the same bytes.
  const turns = cronParser.parse(cron, {
    currentDate: '2024-01-01T00:00:00Z',
    endDate: '2025-02-01T00:00:00Z',
    tz: 'UTC',
  });
  let longest = 0;
  for (let before: number | undefined; ;) {
    if (!turns.hasNext()) return longest;
    const turn = turns.next().getTime() / 1000;
    if (before !== undefined) longest = Math.max(longest, turn - before);
    before = turn;
    // A year of minutes tells no more than a week of them.
    if (longest > 0 && longest < 3600) return longest;
  }
}
