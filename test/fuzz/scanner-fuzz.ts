/*
 * Tries the scanner with generated and mutated elements until it is stopped or fails:
 *
 *   node --import tsx test/fuzz/scanner-fuzz.ts [seconds [seed]]
 *
 * Each element has to be judged as saxes and sax judge it (test/stanzas/scanner-oracles.ts), to give the same in any
 * chunks, and to raise nothing but stream errors. Prints what failed and the seed that leads there; exits 1.
 */
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { anyElement } from '../stanzas/scanner-documents.ts';
import { HEADER, hear, hearAll } from '../stanzas/scanner-events.ts';
import { unexplainedDifference } from '../stanzas/scanner-oracles.ts';

const ELEMENTS_A_ROUND = 2000;

const [seconds = Infinity, firstSeed = Date.now() % 2 ** 31] = process.argv.slice(2).map(Number);
const header = Buffer.from(HEADER);

/** What is wrong with how the scanner takes an element; undefined when nothing is. */
function complaintAbout(element: Buffer, cuts: readonly number[]): string | undefined {
  const stream = Buffer.concat([header, element]);
  const places = cuts.map((cut) => cut % (stream.length + 1)).sort((one, other) => one - other);
  const pieces = [0, ...places].map((start, index) => stream.subarray(start, places[index] ?? stream.length));
  if (!isDeepStrictEqual(hear(pieces), hearAll(stream))) return `cuts at ${places.join(', ')} make a difference`;
  return unexplainedDifference(element);
}

/** The complaint, with what the scanner threw where that is no stream error. */
function tryElement(element: Buffer, cuts: readonly number[]): string | undefined {
  try {
    return complaintAbout(element, cuts);
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
}

const until = Date.now() + seconds * 1000;
let tried = 0;
for (let seed = firstSeed; Date.now() < until && process.exitCode === undefined; seed++) {
  for (const [element, cuts] of fc.sample(fc.tuple(anyElement, fc.array(fc.nat(), { maxLength: 6 })), {
    numRuns: ELEMENTS_A_ROUND,
    seed,
  })) {
    const complaint = tryElement(element, cuts);
    tried++;
    if (complaint === undefined) continue;
    console.error(`seed ${seed}: ${complaint}\n${JSON.stringify(element.toString('latin1'))}`);
    process.exitCode = 1;
    break;
  }
  if (process.stdout.isTTY) process.stdout.write(`\r${tried} elements, seed ${seed} `);
}
console.log(`\n${tried} elements tried`);
