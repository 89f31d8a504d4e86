import { createServer, type AddressInfo, type Server } from 'node:net';
import { expect } from 'chai';
import { systemClock } from '../../../server/clock.ts';
import { Dialing, DialingError, targetName } from '../../../server/federation/dialing.ts';
import { ResolutionError, type Target } from '../../../server/federation/name-resolution.ts';

describe('dialing', () => {
  let server: Server;
  let port: number;

  beforeEach(async () => {
    server = createServer((socket) => socket.on('error', () => undefined).destroy());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as AddressInfo).port;
  });
  afterEach(() => server.close());

  const dialing = (groups: readonly (readonly Target[])[], hosts: Record<string, readonly string[]>): Dialing =>
    new Dialing({
      names: {
        targets: () => Promise.resolve(groups),
        addresses: (host) => {
          const found = hosts[host];
          return found === undefined ? Promise.reject(new ResolutionError(`no ${host}`, true)) : Promise.resolve(found);
        },
      },
      timeoutMs: 2000,
      clock: systemClock,
    });
  const target = (host: string, at = port): Target => ({ host, port: at, directTls: false });

  it('takes the first address that answers, whatever the others do', async () => {
    const { socket, address } = await dialing([[target('a')]], { a: ['::1', '127.0.0.9', '127.0.0.1'] }).dial('x');
    expect(address).to.equal('127.0.0.1');
    socket.destroy();
  });

  it('goes on to the next priority, and over hosts that do not exist', async () => {
    const groups = [[target('gone')], [target('refuses', 1)], [target('b')]];
    const dialed = await dialing(groups, { refuses: ['127.0.0.1'], b: ['127.0.0.1'] }).dial('x');
    expect(dialed.target.host).to.equal('b');
    dialed.socket.destroy();
  });

  it('leaves out what was tried before', async () => {
    const groups = [[target('a'), target('b')]];
    const dialed = await dialing(groups, { a: ['127.0.0.1'], b: ['127.0.0.1'] }).dial(
      'x',
      new Set([targetName(target('a'))]),
    );
    expect(dialed.target.host).to.equal('b');
    dialed.socket.destroy();
  });

  it('says where it would look first: hosts of the best priority, without those that DNS does not know', async () => {
    const groups = [[target('a'), target('gone')], [target('b')]];
    const places = await dialing(groups, { a: ['192.0.2.1', '2001:db8::1'], b: ['192.0.2.2'] }).firstPlaces('x');
    expect(places.map(({ target: { host }, address }) => `${host} ${address}`)).to.deep.equal([
      'a 192.0.2.1',
      'a 2001:db8::1',
    ]);
    expect(await dialing([[target('gone')]], {}).firstPlaces('x')).to.deep.equal([]);
  });

  it('tells a domain that does not exist from one that does not answer', async () => {
    const nowhere = await dialing([[target('gone')]], {})
      .dial('x')
      .catch((error: unknown) => error);
    expect(nowhere).to.be.instanceOf(ResolutionError).with.property('isCertain', true);
    const deaf = await dialing([[target('a', 1)]], { a: ['127.0.0.1'] })
      .dial('x')
      .catch((error: unknown) => error);
    expect(deaf).to.be.instanceOf(DialingError);
    expect(String(deaf)).to.include('127.0.0.1 port 1: nothing listens there (ECONNREFUSED)');
  });
});
