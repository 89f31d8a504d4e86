import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { renderXeps } from '../../docs/make-xeps.ts';

describe('docs/xeps.md', () => {
  it('says what the modules declare', () => {
    expect(readFileSync(new URL('../../docs/xeps.md', import.meta.url), 'utf8')).to.equal(renderXeps());
  });
});
