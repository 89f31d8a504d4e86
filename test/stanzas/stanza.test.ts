import { expect } from 'chai';

import { Stanza } from '../../stanzas/stanza.ts';
import { scanDocument } from '../../stanzas/scanner.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';
import { frameOf, LIMITS } from './scanner-events.ts';

describe('stanzas/stanza', () => {
  it('gives an IQ’s payload back with the prefixes it needs, and takes no value for one (RFC 6120 8.3.1)', () => {
    const frame = frameOf(`<iq id='x' type='get' a=" xmlns:p='urn:fake'" xmlns:p="urn:true"><p:query/></iq>`);
    const { id, type } = frame;
    const stanza = Stanza.fromFrame('iq', frame, { id, type });
    expect(stanza.child('query', 'urn:true')).to.include({ name: 'query', namespace: 'urn:true' });
    const answer = scanDocument(
      Buffer.from(stanza.errorReply(new StanzaError('bad-request')).toDocument(), 'latin1'),
      LIMITS,
    );
    expect(answer.others).to.equal(` xmlns:p="urn:true"`);
    expect(answer.children.map(({ name, namespace }) => `${name} ${namespace}`)).to.deep.equal([
      'query urn:true',
      'error jabber:client',
    ]);
  });
});
