import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { setStage } from '../../support/module-harness.ts';

describe('server/modules/version (XEP-0092)', () => {
  it('Example 2: tells name and version, and no operating system', async () => {
    const stage = await setStage();
    const romeo = await stage.enter('romeo@montague.example/orchard');
    const file = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
    const { version } = JSON.parse(file) as { version: string };
    const answer = await romeo.answerTo(
      `<iq type='get' to='capulet.example' id='version_1'><query xmlns='jabber:iq:version'/></iq>`,
    );
    expect(answer.toBytes()).to.equal(
      `<query xmlns='jabber:iq:version'><name>Posthorn</name><version>${version}</version></query>`,
    );
    await stage.strike();
  });
});
