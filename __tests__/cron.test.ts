import cronParser from 'cron-parser';
import { longestGapSeconds } from '../lib/definitions/cron';

const HOUR = 3600;
const DAY = 24 * HOUR;

test.each([
  ['* * * * *', 60],
  ['@hourly', HOUR],
  ['*/25 * * * *', 25 * 60],
  ['@daily', DAY],
  ['@weekly', 7 * DAY],
  ['@monthly', 31 * DAY],
  ['0 0 29 * *', 59 * DAY],
  ['@yearly', 366 * DAY],
  ['0 0 29 2 *', 4 * 365 * DAY + DAY],
  ['*/5 9-17 * * mon-fri', 3 * DAY - (8 * HOUR + 55 * 60)],
])('the longest gap between two runs of %s is %i s', (cron, seconds) => {
  expect(longestGapSeconds(cron)).toBe(seconds);
});

test.each([
  '0 6 1 * *',
  '30 6 1,15 * *',
  '0 0 31 * *',
  '0 0 30 1-3 *',
  '15 3 */10 5-12 *',
  '0 12 * 5-7 sun',
  '0 12 * * 7',
  '0 0,12 * 2,9 1,4',
  '5 4 * 3 2-6',
  '0 0 1 */3 *',
  '0 0 28-31 2 *',
  '0 0 13 * 5',
  '59 23 1 * 0',
  '0 1 10-20/5 6,12 1',
  '*/30 22-23 24 12 *',
  '0-10/5 0 1 1,7 *',
  '10 1,22 * feb,mar sat',
  '0 8 2-31/7 * *',
  '45 6-18/6 7 4-9 *',
  '0 0 30 4,6,9,11 *',
])('the longest gap of %s is what a walk from run to run finds', (cron) => {
  expect(longestGapSeconds(cron)).toBe(longestOfWalk(cron));
});

/** The longest gap in seconds that a walk from run to run finds in 2024 to February 2028, four years with a leap day. */
function longestOfWalk(cron: string): number {
  const runs = cronParser.parse(cron, { currentDate: '2023-12-31T23:59:59Z', tz: 'UTC' });
  const end = Date.parse('2028-03-01T00:00:00Z');
  let longest = 0;
  let before = runs.next().getTime();
  for (let run = runs.next().getTime(); run < end; run = runs.next().getTime()) {
    longest = Math.max(longest, run - before);
    before = run;
  }
  return longest / 1000;
}
