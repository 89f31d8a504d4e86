import type { ServiceRecord } from './dns-client.ts';

/**
 * Puts SRV records into the order in which they are to be tried (RFC 2782, "Usage rules"): by priority, and within one
 * priority at random by weight. Returns one list for each priority, lowest first.
 * @param random from 0 (inclusive) to 1 (exclusive)
 */
export function inServiceOrder<Record extends Pick<ServiceRecord, 'priority' | 'weight'>>(
  records: readonly Record[],
  random: () => number,
): Record[][] {
  const priorities = [...new Set(records.map(({ priority }) => priority))].sort((one, other) => one - other);
  return priorities.map((wanted) =>
    byWeight(
      records.filter(({ priority }) => priority === wanted),
      random,
    ),
  );
}

function byWeight<Record extends Pick<ServiceRecord, 'weight'>>(
  records: readonly Record[],
  random: () => number,
): Record[] {
  // Those of weight 0 first: they then have a small chance of being chosen
  const left = [...records].sort((one, other) => Number(one.weight > 0) - Number(other.weight > 0));
  const ordered: Record[] = [];
  while (left.length > 0) {
    const sum = left.reduce((total, { weight }) => total + weight, 0);
    const mark = Math.floor(random() * (sum + 1));
    let running = 0;
    const chosen = left.findIndex(({ weight }) => (running += weight) >= mark);
    ordered.push(...left.splice(Math.max(0, chosen), 1));
  }
  return ordered;
}
