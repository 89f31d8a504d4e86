import { expect } from 'chai';
import { pbkdf2Sync } from 'node:crypto';

import { PasswordWork, PasswordWorkRefused } from '../../../server/sasl/password-work.ts';

const SALT = Buffer.from('salt');

describe('PasswordWork', () => {
  it('derives PBKDF2', async () => {
    expect(await new PasswordWork().derive('password', SALT, 2, 20, 'sha1')).to.deep.equal(
      pbkdf2Sync('password', SALT, 2, 20, 'sha1'),
    );
  });

  it('runs so many, lets so many wait, and refuses one more', async () => {
    const work = new PasswordWork({ maxRunning: 1, maxWaiting: 2 });
    const accepted = [1, 2, 3].map((iterations) => work.derive('password', SALT, iterations, 20, 'sha1'));
    expect(work.waiting).to.equal(2);
    let refusal: unknown;
    await work.derive('password', SALT, 4, 20, 'sha1').catch((error: unknown) => (refusal = error));
    expect(refusal).to.be.instanceOf(PasswordWorkRefused);
    expect(await Promise.all(accepted)).to.deep.equal(
      [1, 2, 3].map((iterations) => pbkdf2Sync('password', SALT, iterations, 20, 'sha1')),
    );
    expect(work.waiting).to.equal(0);
  });

  it('goes on after a derivation that fails', async () => {
    const work = new PasswordWork({ maxRunning: 1 });
    const failing = work.derive('password', SALT, 1, 20, 'no such digest');
    const next = work.derive('password', SALT, 1, 20, 'sha1');
    let failure: unknown;
    await failing.catch((error: unknown) => (failure = error));
    expect(failure).to.be.instanceOf(Error);
    expect(await next).to.have.length(20);
    expect(await work.derive('password', SALT, 1, 20, 'sha1')).to.have.length(20);
  });
});
