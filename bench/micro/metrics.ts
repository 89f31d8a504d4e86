/*
 * What counting costs: everything that Counters and MessageStages do for one message from a client to another, and what a
 * scrape of the histograms' size costs. Run: npx tsx bench/micro/metrics.ts
 */
import { systemClock } from '../../server/clock.ts';
import { expose, metric } from '../../server/http/metrics/exposition.ts';
import { Counters } from '../../server/metrics/counters.ts';
import type { StanzaKind } from '../../stanzas/stanza.ts';

const MESSAGES = 5_000_000;
const SCRAPES = 1000;

const counters = new Counters(systemClock);
const kinds: readonly StanzaKind[] = [
  'message',
  'message',
  'presence',
  'message',
  'iq',
  'message',
  'message',
  'message',
];

function count(kind: StanzaKind, bytes: number, nowMs: number): void {
  counters.clientBytesReceived += bytes;
  counters.clientStanzasReceived[kind]++;
  const measured = kind === 'message' ? counters.stages.begin(nowMs) : undefined;
  measured?.reached('routed');
  measured?.reached('committed');
  counters.archived++;
  measured?.reached('handled');
  counters.messages.delivered++;
  counters.clientStanzasSent[kind]++;
  measured?.leaves();
}

function run(messages: number): number {
  const before = process.hrtime.bigint();
  for (let index = 0; index < messages; index++) {
    count(kinds[index & 7]!, 330, 1);
    if ((index & 63) === 63) counters.stages.flushed();
  }
  return Number(process.hrtime.bigint() - before) / messages;
}

run(MESSAGES / 5);
const rounds = [1, 2, 3, 4, 5].map(() => run(MESSAGES)).sort((one, other) => one - other);
process.stdout.write(`counting: ${rounds[2]?.toFixed(1)} ns a stanza (median of ${rounds.length})\n`);

const stages = [
  metric('histogram', 'stages', 'Stages.', () => Object.entries(counters.stages.seconds).map(([s, h]) => [[s], h]), [
    's',
  ]),
];
const before = process.hrtime.bigint();
let length = 0;
for (let index = 0; index < SCRAPES; index++) length += expose(stages).length;
const eachUs = Number(process.hrtime.bigint() - before) / 1000 / SCRAPES;
process.stdout.write(`exposing four histograms: ${eachUs.toFixed(0)} us (${length / SCRAPES} bytes)\n`);
