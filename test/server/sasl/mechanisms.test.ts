import { expect } from 'chai';

import { MechanismOffer, NO_SECURITY, type MechanismPolicy } from '../../../server/sasl/mechanisms.ts';
import { SaslError } from '../../../server/sasl/sasl-error.ts';

const STRICT: MechanismPolicy = { allowPlaintext: false };
const ENCRYPTED = { ...NO_SECURITY, encrypted: true };
const END_POINT = { ...ENCRYPTED, tlsServerEndPoint: Buffer.from('certificate') };
const BOTH = { ...END_POINT, tlsExporter: Buffer.from('keying material') };

function names(offer: MechanismOffer): string[] {
  return offer.mechanisms.map(({ name }) => name);
}

function bytesOf(offer: MechanismOffer): string {
  return offer.mechanismBytes() + offer.bindingBytes();
}

function refusal(offer: MechanismOffer, name: string | undefined): string {
  try {
    offer.choose(name);
  } catch (error) {
    if (error instanceof SaslError) return error.condition;
    throw error;
  }
  return 'none';
}

describe('MechanismOffer', () => {
  it('offers nothing before TLS (RFC 6120 6.3.4)', () => {
    const offer = new MechanismOffer(NO_SECURITY, STRICT);
    expect(names(offer)).to.deep.equal([]);
    expect(bytesOf(offer)).to.equal('');
  });

  it('offers SCRAM and PLAIN in clear where the operator says so', () => {
    const offer = new MechanismOffer(NO_SECURITY, { allowPlaintext: true });
    expect(names(offer)).to.deep.equal(['SCRAM-SHA-512', 'SCRAM-SHA-256', 'SCRAM-SHA-1', 'PLAIN']);
  });

  it('offers no -PLUS without a channel to bind to', () => {
    const offer = new MechanismOffer(ENCRYPTED, STRICT);
    expect(names(offer)).to.deep.equal(['SCRAM-SHA-512', 'SCRAM-SHA-256', 'SCRAM-SHA-1', 'PLAIN']);
    expect(offer.bindsChannels).to.equal(false);
    expect(bytesOf(offer)).not.to.contain('sasl-channel-binding');
  });

  it('announces mechanisms and channel bindings, strongest first (RFC 6120 6.4.1, XEP-0440 3)', () => {
    expect(bytesOf(new MechanismOffer(BOTH, STRICT))).to.equal(
      '<mechanism>SCRAM-SHA-512-PLUS</mechanism><mechanism>SCRAM-SHA-256-PLUS</mechanism>' +
        '<mechanism>SCRAM-SHA-1-PLUS</mechanism><mechanism>SCRAM-SHA-512</mechanism>' +
        '<mechanism>SCRAM-SHA-256</mechanism><mechanism>SCRAM-SHA-1</mechanism><mechanism>PLAIN</mechanism>' +
        "<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'>" +
        "<channel-binding type='tls-exporter'/><channel-binding type='tls-server-end-point'/></sasl-channel-binding>",
    );
  });

  it('announces only the bindings that the connection has', () => {
    expect(bytesOf(new MechanismOffer(END_POINT, STRICT))).to.contain(
      "<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-server-end-point'/></sasl-channel-binding>",
    );
  });

  it('announces no channel binding when the operator allows no -PLUS (XEP-0440, business rule 5)', () => {
    const offer = new MechanismOffer(BOTH, { ...STRICT, mechanisms: ['SCRAM-SHA-1', 'PLAIN'] });
    expect(names(offer)).to.deep.equal(['SCRAM-SHA-1', 'PLAIN']);
    expect(bytesOf(offer)).not.to.contain('channel-binding');
    expect(offer.bindingTypes).to.deep.equal([]);
    expect(offer.bindsChannels).to.equal(false);
  });

  it('XEP-0474, "Full Example": the hash of the offer', () => {
    const offer = new MechanismOffer(BOTH, { ...STRICT, mechanisms: ['SCRAM-SHA-1', 'SCRAM-SHA-1-PLUS'] });
    // of 'SCRAM-SHA-1\x1eSCRAM-SHA-1-PLUS\x1ftls-exporter\x1etls-server-end-point'
    expect(offer.downgradeHash('SHA-1')).to.equal('G6k/rBLDqgOhRRaCuuatSDFkJ08=');
  });

  const table: readonly [string, MechanismOffer, string | undefined, string][] = [
    ['an offered one', new MechanismOffer(ENCRYPTED, STRICT), 'PLAIN', 'none'],
    ['none named (RFC 6120 6.5.7)', new MechanismOffer(ENCRYPTED, STRICT), undefined, 'invalid-mechanism'],
    ['an unknown one', new MechanismOffer(ENCRYPTED, STRICT), 'CRAM-MD5', 'invalid-mechanism'],
    ['one in lower case', new MechanismOffer(ENCRYPTED, STRICT), 'plain', 'invalid-mechanism'],
    ['PLAIN in clear (6.5.4)', new MechanismOffer(NO_SECURITY, STRICT), 'PLAIN', 'encryption-required'],
    ['SCRAM in clear', new MechanismOffer(NO_SECURITY, STRICT), 'SCRAM-SHA-256', 'encryption-required'],
    ['an unknown one in clear', new MechanismOffer(NO_SECURITY, STRICT), 'CRAM-MD5', 'invalid-mechanism'],
    ['-PLUS without a binding', new MechanismOffer(ENCRYPTED, STRICT), 'SCRAM-SHA-1-PLUS', 'invalid-mechanism'],
    [
      'one weaker than the operator allows (6.5.9)',
      new MechanismOffer(ENCRYPTED, { ...STRICT, mechanisms: ['SCRAM-SHA-512', 'SCRAM-SHA-256'] }),
      'SCRAM-SHA-1',
      'mechanism-too-weak',
    ],
    [
      'a stronger one that the operator does not allow',
      new MechanismOffer(ENCRYPTED, { ...STRICT, mechanisms: ['SCRAM-SHA-1'] }),
      'SCRAM-SHA-512',
      'invalid-mechanism',
    ],
  ];
  for (const [title, offer, name, condition] of table) {
    it(`${title}: ${condition}`, () => expect(refusal(offer, name)).to.equal(condition));
  }
});
