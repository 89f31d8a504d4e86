/*
 * The process that crash.test.ts kills: commits numbered messages as fast as the store takes them and prints the number
 * of each one that was acknowledged, one per line. Arguments: directory, durability.
 */
import { writeSync } from 'node:fs';
import { openStorage } from '../../storage/storage.ts';

const [directory = '', durability] = process.argv.slice(2);
const storage = await openStorage({
  backend: 'level',
  directory,
  durability: durability === 'sync' ? 'sync' : 'process',
});
const flags = { archived: false, pending: true, sent: false };
let next = 1;

function send(): void {
  const n = next++;
  const stanza = `<message xmlns='jabber:client' id='${n}'><body>${'wherefore '.repeat(20)}</body></message>`;
  const entry = { position: n, flags, peer: 'romeo@montague.example', sequence: n, stanza };
  const writes = [
    ...storage.log.appendWrites('juliet@capulet.example', entry),
    ...storage.sequences.putWrites('romeo@montague.example juliet@capulet.example', n),
  ];
  storage.commit.add(writes, {
    committed: () => {
      // Synchronously: what is printed was acknowledged, and what was acknowledged is out before the kill.
      print(`${n}\n`);
      send();
    },
    refused: (error) => {
      throw error;
    },
  });
}

for (let index = 0; index < 40; index++) send();

/** The pipe may be full for a moment, and not wait for its reader. */
function print(line: string): void {
  for (;;) {
    try {
      writeSync(1, line);
      return;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error;
    }
  }
}
