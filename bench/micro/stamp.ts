/*
 * What a stamp costs, without the store: `npx tsx bench/micro/stamp.ts`.
 *
 * A message is scanned once; then it is looked through for forged numbers and ids, gets its number and its archive id, and is
 * written for its client as bytes. Prints nanoseconds of each step (median of several rounds); the delivery through the
 * routing core, with history and without, is measured by archive.ts.
 */
import { ArchiveIds } from '../../server/routing/archive-ids.ts';
import type { Frame } from '../../stanzas/frame.ts';
import { Jid } from '../../stanzas/jid.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { Scanner } from '../../stanzas/scanner.ts';
import { sequenceBytes, withoutForgedSequence } from '../../stanzas/sequence.ts';
import { stanzaIdBytes, withoutForgedIds } from '../../stanzas/stable-id.ts';
import { Stanza } from '../../stanzas/stanza.ts';

const ROUNDS = 9;
const CALLS = 100_000;
const JULIET = Jid.parse('juliet@capulet.lit/balcony');
const ROMEO = Jid.parse('romeo@montague.lit');
const HEADER = `<stream:stream version='1.0' xmlns='${NS.CLIENT}' xmlns:stream='${NS.STREAMS}'>`;
const BODY = '<body>O Romeo, Romeo! wherefore art thou Romeo? Deny thy father and refuse thy name</body>';
const ORIGIN = `<origin-id xmlns='${NS.STANZA_ID}' id='7c1b0a52-0d6f'/>`;
const FORGED =
  `<sequence xmlns='${NS.SEQUENCE}' by='montague.lit' chat='juliet@capulet.lit' n='1'/>` +
  `<stanza-id xmlns='${NS.STANZA_ID}' by='romeo@montague.lit' id='1'/>`;

/** The message as a client of Juliet's sends it, with further children. */
function scanned(children: string): Stanza {
  const frames: Frame[] = [];
  const scanner = new Scanner({ maxBytes: 10_000, maxDepth: 10, maxAttributes: 10 });
  const sink = {
    streamOpened: () => true,
    elementScanned: (frame: Frame) => frames.push(frame) > 0,
    streamClosed: () => true,
  };
  const message = `<message to='romeo@montague.lit' id='7c1b0a52' type='chat'>${BODY}${ORIGIN}${children}</message>`;
  scanner.scan(Buffer.from(HEADER + message), sink);
  const [frame] = frames;
  if (frame === undefined) throw new Error('the message was not scanned');
  const { id, type, lang } = frame;
  return Stanza.fromFrame('message', frame, { to: ROMEO, from: JULIET, id, type, lang });
}

let length = 0;

function report(what: string, call: (n: number) => string | Stanza): void {
  const rounds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint();
    // What comes of it is used, or it would not be done.
    for (let n = 1; n <= CALLS; n++) {
      const made = call(n);
      length += typeof made === 'string' ? made.length : made.content.length;
    }
    rounds.push(Number(process.hrtime.bigint() - start) / CALLS);
  }
  const median = rounds.sort((one, other) => one - other)[ROUNDS >> 1] ?? NaN;
  console.log(`${what.padEnd(52)} ${median.toFixed(0).padStart(8)} ns`);
}

const isOurs = (domain: string): boolean => domain === 'montague.lit';
const isRomeo = (jid: string): boolean => jid === ROMEO.bare;
const unforged = (message: Stanza): Stanza => withoutForgedIds(withoutForgedSequence(message, isOurs), isRomeo);
const ids = new ArchiveIds(new Uint8Array(16));
const honest = scanned('');
const forged = scanned(FORGED);
const START_US = 1_700_000_000_000_000;

const stampOf = (n: number): string =>
  sequenceBytes('montague.lit', JULIET.bare, n) + stanzaIdBytes(ROMEO.bare, ids.idOf(ROMEO.bare, START_US + n));

if (unforged(forged).content !== honest.content) throw new Error('a forged stamp was left');
report('looking for forged stamps', () => unforged(honest));
report('removing two', () => unforged(forged));
report('the archive id', (n) => ids.idOf(ROMEO.bare, START_US + n));
report('number and archive id', stampOf);
report('both, into the message', (n) => honest.withContent(honest.content + stampOf(n)));
report('all of it, written as bytes', (n) => {
  const message = unforged(honest);
  return Buffer.from(message.withContent(message.content + stampOf(n)).toBytes(), 'latin1').toString('latin1', 0, 1);
});
if (length === 0) throw new Error('nothing was made');
