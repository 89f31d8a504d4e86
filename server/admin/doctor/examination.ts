import type { Check, CheckContext, Observation, Severity } from './check.ts';

/** An observation and the check that made it. */
export interface Finding extends Observation {
  readonly check: string;
}

/** Carries out every check; one that fails is itself a finding and keeps no other from being made. */
export async function examine(checks: readonly Check[], context: CheckContext): Promise<readonly Finding[]> {
  const findings = checks.map(async ({ name, examine: look }) => {
    try {
      return (await look(context)).map((observation) => ({ check: name, ...observation }));
    } catch (error) {
      const what = `could not be examined: ${error instanceof Error ? error.message : String(error)}`;
      return [{ check: name, severity: 'error' as const, where: name, what, advice: 'see to what the message names' }];
    }
  });
  return (await Promise.all(findings)).flat();
}

/** How many findings are of this severity. */
export function countOf(findings: readonly Finding[], severity: Severity): number {
  return findings.filter((finding) => finding.severity === severity).length;
}

/** The findings for a person: a line each, what to do below it. */
export function renderFindings(findings: readonly Finding[]): string {
  const lines = findings.flatMap(({ severity, check, where, what, advice }) => [
    `${severity.padEnd(8)}${check}: ${where === check ? '' : `${where}: `}${what}`,
    ...(advice === '' ? [] : [`        -> ${advice}`]),
  ]);
  return [...lines, summaryOf(findings)].join('\n');
}

/** `2 errors, 1 warning`, or that all is well. */
function summaryOf(findings: readonly Finding[]): string {
  const parts = (['error', 'warning', 'note'] as const).flatMap((severity) => {
    const count = countOf(findings, severity);
    return count === 0 ? [] : [`${count} ${severity}${count === 1 ? '' : 's'}`];
  });
  return parts.length === 0 ? 'all is well' : parts.join(', ');
}
