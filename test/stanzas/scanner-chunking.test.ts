import { expect } from 'chai';
import fc from 'fast-check';
import { anyElement } from './scanner-documents.ts';
import { HEADER, hear, hearAll } from './scanner-events.ts';

/** Cuts `bytes` at the given places, which may be any numbers. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((one, other) => one - other);
  return [0, ...at].map((start, index) => bytes.subarray(start, at[index] ?? bytes.length));
}

const STREAM =
  `<?xml version='1.0' encoding="UTF-8"?>\n${HEADER.slice(0, -1)} xmlns:db='jabber:server:dialback'>\n` +
  "<message to='romeo@montague.example' xml:lang='en' x='&lt;&#x1F339;'><body>🌹 é &amp; &#xE9;</body>" +
  "<![CDATA[a]]b]]]]><p:роза xmlns:p='urn:ß' p:q='' p:r = \"'\"><p:роза ></p:роза\n></p:роза></message>\n " +
  '<db:verify/><stream:error/><a><b><c/></b >]]&gt;</a>\n</stream:stream>\n';

describe('Any chunking of a stream', () => {
  it('gives the same at every place of one cut', () => {
    const bytes = Buffer.from(STREAM);
    const whole = hearAll(bytes);
    expect(whole.condition).to.equal(undefined);
    expect(whole.frames).to.have.length(4);
    for (let at = 0; at <= bytes.length; at++) {
      expect(hear([bytes.subarray(0, at), bytes.subarray(at)]), `cut at ${at}`).to.deep.equal(whole);
    }
  });

  it('gives the same byte by byte, and in pieces of two to seven', () => {
    const bytes = Buffer.from(STREAM);
    for (let size = 1; size <= 7; size++) {
      const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
        bytes.subarray(index * size, (index + 1) * size),
      );
      expect(hear(pieces), `pieces of ${size}`).to.deep.equal(hearAll(bytes));
    }
  });

  it('gives the same for generated elements, well-formed or not', () => {
    const places = fc.array(fc.nat(), { maxLength: 12 });
    fc.assert(
      fc.property(fc.array(anyElement, { maxLength: 4 }), places, (elements, cuts) => {
        const bytes = Buffer.concat([Buffer.from(HEADER), ...elements]);
        expect(hear(cut(bytes, cuts))).to.deep.equal(hearAll(bytes));
      }),
      { numRuns: 1000 },
    );
  });

  it('gives the same for elements longer than a piece that is copied at once', () => {
    const long = `<message><body>${'x'.repeat(9000)}</body><a/></message>`;
    const bytes = Buffer.from(HEADER + long.repeat(2) + '<b/>');
    const whole = hearAll(bytes);
    expect(whole.frames.map(({ name }) => name)).to.deep.equal(['message', 'message', 'b']);
    for (const at of [HEADER.length + 1, HEADER.length + 4097, HEADER.length + long.length + 5]) {
      expect(hear([bytes.subarray(0, at), bytes.subarray(at)]), `cut at ${at}`).to.deep.equal(whole);
    }
  });
});
