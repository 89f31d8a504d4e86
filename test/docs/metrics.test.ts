import { readFileSync } from 'node:fs';
import { expect } from 'chai';

import { labelsOf, readExposition, type ScrapedMetric } from '../support/exposition.ts';
import { serverForTests } from '../support/running-server.ts';

const operations = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8');

/** Labels whose values are other than the same few on every machine. */
const OPEN_LABELS = ['version', 'node_version'];

function rowOf(name: string, metric: ScrapedMetric): string {
  const labels = [...labelsOf(metric)].map(([label, values]) => {
    const listed = OPEN_LABELS.includes(label) || values.size > 8 ? '' : `: ${[...values].join(', ')}`;
    return `\`${label}\`${listed}`;
  });
  return `| \`${name}\` | ${metric.type} | ${labels.join('; ')} | ${metric.help} |`;
}

describe('docs/operations.md', () => {
  it('lists every metric that a server gives, and no other, as the server explains it', async () => {
    const environment = { POSTHORN_OPERATIONS_PORT: '0', POSTHORN_DOMAINS: 'localhost,capulet.example' };
    const server = await serverForTests({
      environment: {
        ...environment,
        POSTHORN_S2S_PORT: '0',
        POSTHORN_S2S_TLS_PORT: 'false',
        POSTHORN_S2S_ADDRESSES: '127.0.0.1',
      },
    });
    try {
      const { port } = server.server.listening.find(({ name }) => name === 'operations')!;
      const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
      const expected = [...readExposition(text)].map(([name, metric]) => rowOf(name, metric));
      const listed = operations.split('\n').filter((line) => /^\| `(posthorn|process|nodejs)_/.test(line));
      expect(listed.join('\n')).to.equal(expected.join('\n'));
    } finally {
      await server.stop();
    }
  });

  it('alerts on metrics that are there', () => {
    const listed = new Set(
      [...operations.matchAll(/^\| `([a-z_]+)` \| (counter|gauge|histogram)/gm)].map(([, name]) => name),
    );
    const rules = /```yaml\ngroups:[^`]*```/.exec(operations)?.[0] ?? '';
    const used = [...rules.matchAll(/\b(?:posthorn|process|nodejs)_[a-z_]+/g)].map(([name]) =>
      name.replace(/_bucket$/, ''),
    );
    expect(used.length).to.be.at.least(3);
    for (const name of used) expect(listed.has(name), name).to.equal(true);
  });
});
