import { expect } from 'chai';
import { TextWatch } from '../../bench/load/text-watch.ts';

const STANZAS = `<presence from='juliet@capulet.example'/><presence><show>away</show></presence><presences/>`;

describe('the load generator’s watch of what comes', () => {
  it('counts each once, wherever the stream is cut', () => {
    for (let cut = 0; cut <= STANZAS.length; cut++) {
      const watch = new TextWatch(/<presence[ >]/g, 10);
      watch.scan(STANZAS.slice(0, cut));
      watch.scan(STANZAS.slice(cut));
      expect(watch.count, `cut at ${cut}`).to.equal(2);
    }
  });

  it('counts what comes a character at a time', () => {
    const watch = new TextWatch(/<presence[ >]/g, 10);
    for (const character of STANZAS) watch.scan(character);
    expect(watch.count).to.equal(2);
  });

  it('tells when enough have come, also when they had come before', async () => {
    const watch = new TextWatch(/\btype='subscribe'/g, 16);
    const both = watch.until(2, 'two requests');
    watch.scan(`<presence type='subscribe'/><presence type='subscribed'/>`);
    expect(watch.count).to.equal(1);
    watch.scan(`<presence type='subscribe'/>`);
    await both;
    await watch.until(1, 'one request');
  });
});
