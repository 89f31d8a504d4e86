import { expect } from 'chai';
import { DialbackKeys } from '../../../server/federation/dialback-key.ts';

describe('dialback keys', () => {
  const keys = new DialbackKeys(Buffer.from('s3cr3tf0rd14lb4ck'));

  it('XEP-0185, "Example": the key for example.org', () => {
    expect(keys.key('xmpp.example.com', 'example.org', 'D60000229F')).to.equal(
      '37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643',
    );
  });

  it('XEP-0220 2.1.1: the key of capulet.example for montague.example', () => {
    expect(keys.key('montague.example', 'capulet.example', 'D60000229F')).to.equal(
      'b4835385f37fe2895af6c196b59097b16862406db80559900d96bf6fa7d23df3',
    );
  });

  it('is good for its own pair and stream only', () => {
    const key = keys.key('montague.example', 'capulet.example', 'D60000229F');
    expect(keys.isValid(`\n  ${key}\n`, 'montague.example', 'capulet.example', 'D60000229F')).to.equal(true);
    expect(keys.isValid(key, 'montague.example', 'capulet.example', 'D60000229E')).to.equal(false);
    expect(keys.isValid(key, 'verona.example', 'capulet.example', 'D60000229F')).to.equal(false);
    expect(keys.isValid(key, 'montague.example', 'rooms.capulet.example', 'D60000229F')).to.equal(false);
    expect(keys.isValid('', 'montague.example', 'capulet.example', 'D60000229F')).to.equal(false);
    expect(keys.isValid('\u{1f339}'.repeat(16), 'montague.example', 'capulet.example', 'D60000229F')).to.equal(false);
  });
});
