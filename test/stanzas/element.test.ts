import { expect } from 'chai';
import fc from 'fast-check';

import { fromByteString } from '../../stanzas/byte-string.ts';
import { element, parseElement, type Element } from '../../stanzas/element.ts';
import { generatedElement, mutatedElement } from './scanner-documents.ts';
import { documentCondition } from './scanner-events.ts';
import { readWithSaxes } from './scanner-oracles.ts';
import { Scope } from '../../stanzas/scope.ts';

const parse = (document: string): Element => parseElement(Buffer.from(document).toString('latin1'));
const written = (one: Element): string => fromByteString(one.toBytes());

describe('stanzas/element', () => {
  describe('parses what the scanner accepts as saxes does', () => {
    for (const [what, documents] of [
      ['generated', generatedElement],
      ['mutated', mutatedElement],
    ] as const) {
      it(`${what} documents, which written anew mean the same`, () => {
        fc.assert(
          fc.property(documents, (bytes) => {
            if (documentCondition(bytes) !== undefined) return;
            const read = readWithSaxes(bytes.toString());
            // What saxes refuses and the scanner does not is told in scanner-oracles.ts.
            if (read.refusal !== undefined) return;
            const parsed = parseElement(bytes.toString('latin1'));
            expect(readWithSaxes(written(parsed)).events.map(withoutDeclarations)).to.deep.equal(
              read.events.map(withoutDeclarations),
            );
          }),
          { numRuns: 800 },
        );
      });
    }
  });

  it('takes nothing inside an attribute for a declaration', () => {
    for (const document of [
      `<a b=" xmlns='urn:fake'" xmlns='urn:true'/>`,
      `<a xmlns='urn:true' b=" xmlns='urn:fake'"/>`,
      `<p:a xmlns:p='urn:true' b=" xmlns:p='urn:fake'"/>`,
      `<p:a b=" xmlns:p='urn:fake'" xmlns:p='urn:true'/>`,
    ]) {
      expect(parse(document).namespace, document).to.equal('urn:true');
    }
  });

  it('takes any name for no more than a name', () => {
    const parsed = parse(
      `<__proto__:a xmlns:__proto__='urn:p' __proto__='1' __proto__:b='2'><constructor/></__proto__:a>`,
    );
    expect([parsed.name, parsed.namespace]).to.deep.equal(['a', 'urn:p']);
    expect(parsed.attribute('__proto__')).to.equal('1');
    expect(parsed.attribute('{urn:p}b')).to.equal('2');
    expect(parsed.attribute('toString')).to.equal(undefined);
    expect(written(parsed)).to.equal(
      `<a xmlns='urn:p' __proto__='1' xmlns:ns0='urn:p' ns0:b='2'><constructor xmlns=''/></a>`,
    );
  });

  it('resolves prefixes by the nearest declaration, also those around it', () => {
    const scope = Scope.of('urn:default').within(` xmlns:p='urn:p' xmlns:q="urn:q"`);
    const parsed = parseElement(`<p:a xmlns:p='urn:inner'><p:b/><q:c xmlns:p='x'/><d xmlns=''/><p:e/></p:a>`, scope);
    expect(parsed.namespace).to.equal('urn:inner');
    expect(parsed.children.map(({ name, namespace }) => `${name} ${namespace}`)).to.deep.equal([
      'b urn:inner',
      'c urn:q',
      'd ',
      'e urn:inner',
    ]);
  });

  it('takes thousands of declarations within thousands of prefixes', () => {
    const [depth, prefixes] = [60, 60];
    const tag = (level: number): string =>
      `<a${Array.from({ length: prefixes }, (_, index) => ` xmlns:p${level}-${index}='urn:p'`).join('')}>`;
    const begin = Array.from({ length: depth }, (_, level) => tag(level)).join('');
    const end = '</a>'.repeat(depth);
    // As much as one stanza may hold. Where each of these copied what is around it, they would take half a minute.
    const middle = "<b xmlns=''/>".repeat(Math.floor((262_144 - begin.length - end.length) / 13));
    expect(parse(`${begin}${middle}${end}`).name).to.equal('a');
  }).timeout(10_000);

  it('writes text that comes back as it was, line ends among it', () => {
    const text = `<&>'"]]> \r\n \r \n \t é`;
    const bytes = element('a', 'urn:a', { b: text }, text).toBytes();
    const again = parseElement(bytes);
    expect([again.text, again.attribute('b')]).to.deep.equal([text, text]);
  });
});

/** Prefixes are not kept, so neither are their declarations. */
function withoutDeclarations(event: string): string {
  return event.replace(/ \{http:\/\/www\.w3\.org\/2000\/xmlns\/\}[^ =]+="(?:[^"\\]|\\.)*"/g, '').trimEnd();
}
