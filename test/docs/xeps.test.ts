import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { renderXeps } from '../../docs/make-xeps.ts';
import { MODULES } from '../../server/module-list.ts';

describe('docs/xeps.md', () => {
  it('says what the modules declare; if not: npx tsx docs/make-xeps.ts > docs/xeps.md', () => {
    expect(readFileSync(new URL('../../docs/xeps.md', import.meta.url), 'utf8')).to.equal(renderXeps());
  });

  it('has one line for each XEP, in the order of their numbers, and leaves none out', () => {
    const numbers = [...renderXeps().matchAll(/^\| XEP-(\d{4}) \| \d/gm)].map(([, number]) => Number(number));
    expect(numbers).to.deep.equal([...new Set(numbers)].sort((one, other) => one - other));
    const declared = MODULES.flatMap((module) => module.implements.map((one) => ('xep' in one ? one.xep : undefined)));
    expect(numbers).to.include.members(declared.filter((xep) => xep !== undefined));
  });
});
