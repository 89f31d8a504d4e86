import { expect } from 'chai';

import { linesForPeople } from '../../server/log-lines.ts';
import { openLog } from '../../server/log.ts';

describe('server/log-lines', () => {
  let lines: string[];

  beforeEach(() => (lines = []));

  const destination = linesForPeople((text) => void lines.push(text));

  it('puts the time, the level and the text in front, and fields behind', () => {
    destination.write('{"level":"warn","time":"1597-01-29T18:00:00.000Z","n":3,"who":"romeo","msg":"a storm"}\n');
    expect(lines).to.deep.equal(['18:00:00 warn  a storm  n=3  who=romeo\n']);
  });

  it('is what the log can write through', () => {
    openLog({ level: 'info', destination }).error({ list: ['a'], nested: { b: 1 } }, 'alas');
    expect(lines[0]).to.match(/^\d\d:\d\d:\d\d error alas {2}list=\[ 'a' \] {2}nested=\{ b: 1 \}\n$/);
  });

  it('lets nothing through that steers the terminal or begins another line', () => {
    destination.write(JSON.stringify({ time: '', level: 'info', msg: 'a\u001b[2Jb\nc\u009bd\u007f' }));
    expect(lines[0]).to.include('a\\x1b[2Jb\\nc\\x9bd\\x7f');
    expect(lines[0]?.match(/\n/g)).to.have.length(1);
  });

  it('passes on what is no entry of the log', () => {
    for (const text of ['no JSON\n', 'null\n', '5\n']) destination.write(text);
    expect(lines).to.deep.equal(['no JSON\n', 'null\n', '5\n']);
  });
});
