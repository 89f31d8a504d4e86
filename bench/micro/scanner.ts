/*
 * How long the scanner takes, beside other parsers:
 *
 *   node --import tsx bench/micro/scanner.ts
 *
 * Prints nanoseconds for one chat message (median of several rounds), and whether time grows with size and depth as it
 * should: a ratio near 1 is linear.
 */
import sax from 'sax';
import { SaxesParser } from 'saxes';
import { Scanner, scanDocument } from '../../stanzas/scanner.ts';

const ROUNDS = 9;
const LIMITS = { maxBytes: 1_000_000, maxDepth: 2000, maxAttributes: 100 };
const HEADER =
  "<stream:stream to='montague.example' version='1.0' xmlns='jabber:client' " +
  "xmlns:stream='http://etherx.jabber.org/streams'>";
const MESSAGE =
  "<message to='romeo@montague.example/orchard' id='7c1b0a52-0d6f' type='chat'>" +
  '<body>O Romeo, Romeo! wherefore art thou Romeo? Deny thy father and refuse thy name</body>' +
  "<active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/>" +
  "<origin-id xmlns='urn:xmpp:sid:0' id='7c1b0a52-0d6f'/></message>";

/** Median nanoseconds of one call. */
function nanosecondsOf(calls: number, call: () => void): number {
  const rounds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint();
    for (let index = 0; index < calls; index++) call();
    rounds.push(Number(process.hrtime.bigint() - start) / calls);
  }
  return rounds.sort((one, other) => one - other)[ROUNDS >> 1] ?? NaN;
}

const sink = { streamOpened: () => true, elementScanned: () => true, streamClosed: () => true };

function openedScanner(): Scanner {
  const scanner = new Scanner(LIMITS);
  scanner.scan(Buffer.from(HEADER), sink);
  return scanner;
}

function report(what: string, figure: number, unit = 'ns'): void {
  console.log(`${what.padEnd(52)} ${figure.toFixed(figure < 100 ? 2 : 0).padStart(10)} ${unit}`);
}

const message = Buffer.from(MESSAGE);
const burst = Buffer.from(MESSAGE.repeat(40));
console.log(`One message of ${message.length} bytes`);

const alone = openedScanner();
report(
  'scanner, one message in a chunk',
  nanosecondsOf(50_000, () => alone.scan(message, sink)),
);
const together = openedScanner();
report('scanner, 40 messages in a chunk', nanosecondsOf(1500, () => together.scan(burst, sink)) / 40);
report(
  'scanDocument',
  nanosecondsOf(50_000, () => scanDocument(message, LIMITS)),
);

const saxes = new SaxesParser({ xmlns: true });
saxes.write(HEADER);
report(
  'saxes',
  nanosecondsOf(8000, () => saxes.write(message.toString())),
);
const saxParser = sax.parser(true, { xmlns: true });
saxParser.write(HEADER);
report(
  'sax',
  nanosecondsOf(8000, () => saxParser.write(message.toString())),
);

// comes with @xmpp/client and has no types: by a name that is not looked up
const ltx = (await import(['ltx'].join('')).catch(() => undefined)) as
  { Parser: new () => { write(data: string): void } } | undefined;
if (ltx !== undefined) {
  const parser = new ltx.Parser();
  parser.write(HEADER);
  report(
    'ltx',
    nanosecondsOf(8000, () => parser.write(message.toString())),
  );
}

/** Milliseconds to scan an element of `length` bytes, one byte in each chunk. */
function byteByByte(length: number): number {
  const element = Buffer.from(`<message><body>${'x'.repeat(length)}</body></message>`);
  const bytes = Array.from(element, (_, index) => element.subarray(index, index + 1));
  const scanner = openedScanner();
  return (
    nanosecondsOf(1, () => {
      for (const byte of bytes) scanner.scan(byte, sink);
    }) / 1e6
  );
}

console.log('\nGrowth');
const small = byteByByte(50_000);
const large = byteByByte(200_000);
report('200 kB byte by byte', large, 'ms');
report('  of four times 50 kB', large / (4 * small), 'times');

/** Nanoseconds an element costs in a nest of `depth`. */
function nest(depth: number): number {
  const document = Buffer.from('<a>'.repeat(depth) + '</a>'.repeat(depth));
  return nanosecondsOf(Math.ceil(20_000 / depth), () => scanDocument(document, LIMITS)) / depth;
}

const shallow = nest(LIMITS.maxDepth / 4);
const deep = nest(LIMITS.maxDepth);
report(`${LIMITS.maxDepth} elements deep, an element`, deep);
report('  of one at a quarter of the depth', deep / shallow, 'times');
