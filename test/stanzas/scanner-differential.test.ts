import { expect } from 'chai';
import fc from 'fast-check';
import { generatedElement, mutatedElement } from './scanner-documents.ts';
import { documentCondition } from './scanner-events.ts';
import { readWithSax, readWithSaxes, unexplainedDifference } from './scanner-oracles.ts';

describe('The scanner beside saxes and sax', () => {
  it('judges and reads generated documents as they do', () => {
    fc.assert(
      fc.property(generatedElement, (document) => {
        expect(unexplainedDifference(document)).to.equal(undefined);
      }),
      { numRuns: 800 },
    );
  });

  it('judges and reads mutated documents as they do', () => {
    fc.assert(
      fc.property(mutatedElement, (document) => {
        expect(unexplainedDifference(document)).to.equal(undefined);
      }),
      { numRuns: 1500 },
    );
  });

  it('is given documents of both kinds', () => {
    const documents = fc.sample(generatedElement, { numRuns: 500, seed: 1 });
    const accepted = documents.filter((document) => documentCondition(document) === undefined).length;
    expect(accepted).to.be.within(200, 490);
  });

  describe('differs from saxes, which', () => {
    for (const [what, document, condition] of [
      ['knows no restrictions of RFC 6120 11.1', '<a><!-- --><?b?></a>', 'restricted-xml'],
      ['knows no content namespaces', "<c:a xmlns:c='jabber:client'/>", 'bad-namespace-prefix'],
      [
        'reads text, so that any encoding may be declared',
        "<?xml version='1.0' encoding='UTF-16'?><a/>",
        'unsupported-encoding',
      ],
      ['drops U+FEFF at the beginning', '\ufeff<a/>', 'not-well-formed'],
      ['lets a local part begin with a digit', "<p:1 xmlns:p='urn:p'/>", 'not-well-formed'],
    ] as const) {
      it(what, () => {
        expect(readWithSaxes(document).refusal).to.equal(undefined);
        expect(documentCondition(document)).to.equal(condition);
        expect(unexplainedDifference(Buffer.from(document))).to.equal(undefined);
      });
    }

    it('trims namespace names', () => {
      const document = "<a xmlns:p='\t'/>";
      expect(readWithSaxes(document).refusal).to.be.a('string');
      expect(documentCondition(document)).to.equal(undefined);
      expect(unexplainedDifference(Buffer.from(document))).to.equal(undefined);
    });
  });

  describe('differs from sax, which accepts', () => {
    for (const [what, document] of [
      ['control characters', '<a>\u0001</a>'],
      ['U+FFFF', '<a>\uffff</a>'],
      [']]> in text', '<a>]]></a>'],
      ['< in attributes', "<a b='<'/>"],
      ['an attribute twice', "<a b='' b=''/>"],
      ['an attribute twice by two prefixes', "<a xmlns:p='urn:a' xmlns:q='urn:a' p:b='' q:b=''/>"],
      ['a prefix bound to no namespace', "<a xmlns:p=''/>"],
      ['two colons', "<p:a:b xmlns:p='urn:p'/>"],
    ] as const) {
      it(what, () => {
        expect(readWithSax(document).refusal).to.equal(undefined);
        expect(documentCondition(document)).to.equal('not-well-formed');
      });
    }
  });
});
