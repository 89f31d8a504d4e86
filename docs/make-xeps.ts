import type { Implements } from '../server/module.ts';
import { MODULES } from '../server/module-list.ts';

/** What streams implement, which are no modules. */
const STREAMS: readonly Implements[] = [
  { rfc: 6120, section: 'all' },
  { rfc: 6121, section: '8' },
  { rfc: 7395, section: 'all' },
  { rfc: 7590, section: '3' },
  { rfc: 7622, section: 'all' },
  { xep: 156, version: '1.4.0' },
  { xep: 178, version: '1.2', note: 'between servers' },
  { xep: 185, version: '1.0' },
  { xep: 198, version: '1.6.3' },
  { xep: 220, version: '1.1.1' },
  { xep: 288, version: '1.0.1' },
  { xep: 386, version: '1.1.0' },
  { xep: 388, version: '1.0.4' },
  { xep: 368, version: '1.1.0', note: 'clients find it by the operator’s DNS records' },
  { xep: 440, version: '1.0.0' },
  { xep: 474, version: '0.5.0' },
  { xep: 480, version: '0.2.0', note: 'SCRAM' },
  { xep: 484, version: '0.2.0', note: 'no early data' },
  { xep: 509, version: '0.2.0' },
  { xep: 478, version: '0.2.0' },
  { xep: 495, version: '0.1.0' },
];

/** The page docs/xeps.md, made of the modules' own declarations. */
export function renderXeps(): string {
  const all = [...STREAMS, ...MODULES.flatMap((module) => module.implements)];
  const rfcs = all.filter((one) => 'rfc' in one).map(({ rfc, section }) => `| RFC ${rfc} | ${section} |`);
  const xeps = all
    .filter((one) => 'xep' in one)
    .sort((one, other) => one.xep - other.xep)
    .map(({ xep, version, note = '' }) => `| XEP-${String(xep).padStart(4, '0')} | ${version} | ${note} |`);
  return [
    '# What Posthorn implements',
    '',
    'Made by `npx tsx docs/make-xeps.ts > docs/xeps.md` from the declarations of the modules.',
    '',
    '| RFC | section |',
    '| --- | --- |',
    ...[...new Set(rfcs)].sort(),
    '',
    '| XEP | version | |',
    '| --- | --- | --- |',
    ...xeps,
    '',
  ].join('\n');
}

if (process.argv[1]?.endsWith('make-xeps.ts') === true) process.stdout.write(renderXeps());
