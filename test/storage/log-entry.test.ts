import { expect } from 'chai';
import fc from 'fast-check';
import { EntryWrite } from '../../storage/log-entry.ts';

describe('the entry of a message, lent', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary-ascii', minLength: 1 }),
    fc.string({ unit: 'grapheme', minLength: 1 }),
  );
  const name = text.filter((value) => !/[\0/]/.test(value));
  const place = fc.record({
    position: fc.maxSafeNat(),
    flags: fc.record({ archived: fc.boolean(), pending: fc.boolean(), sent: fc.boolean() }),
    peer: fc.oneof(name, fc.constantFrom('p'.repeat(1000), 'p'.repeat(1100))),
    sequence: fc.option(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), { nil: undefined }),
  });
  const side = fc.record({ owner: fc.oneof(name, fc.constant('o'.repeat(300))), place, resource: fc.string() });
  const stanza = fc.oneof(
    fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)) }),
    fc.constantFrom('x'.repeat(16 * 1024), 'x'.repeat(16 * 1024 + 1)),
  );

  it('is the entry that is made, byte for byte, for both sides of one message after the other', () => {
    const messages = fc.array(fc.record({ stanza, sides: fc.array(side, { maxLength: 2 }) }), { maxLength: 5 });
    fc.assert(
      fc.property(messages, (all) => {
        const writes = all.flatMap(({ stanza: bytes, sides }) => {
          const written = { bytes };
          return sides.map(({ owner, place, resource }) => new EntryWrite(owner, place, written, `x@y/${resource}`));
        });
        for (const write of writes) {
          const [key, value] = write.lend();
          expect(Buffer.compare(key, write.key), 'key').to.equal(0);
          expect(Buffer.compare(value, write.value), 'value').to.equal(0);
          expect(key.length + value.length).to.equal(write.byteLength);
        }
      }),
    );
  });
});
