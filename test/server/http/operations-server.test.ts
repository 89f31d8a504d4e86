import { expect } from 'chai';

import { startOperations, type Health } from '../../../server/http/operations-server.ts';
import { silentLog } from '../../support/silent-log.ts';

describe('server/http/operations-server', () => {
  let close: () => Promise<void>;

  afterEach(() => close());

  async function start(health: () => Health): Promise<string> {
    const config = { operations: { port: 0, address: '127.0.0.1', metrics: true } };
    const running = await startOperations({ config, log: silentLog, health });
    close = () => running.close();
    return `http://127.0.0.1:${running.listening[0]?.port ?? 0}`;
  }

  it('answers /health with 200 while the server is well', async () => {
    const response = await fetch(`${await start(() => ({ status: 'ok', sessions: 2 }))}/health`);
    expect(response.status).to.equal(200);
    expect(await response.json()).to.deep.equal({ status: 'ok', sessions: 2 });
  });

  it('answers with 503 while it is not, or does not know', async () => {
    let health: () => Health = () => ({ status: 'failing', storage: 'read-only' });
    const url = await start(() => health());
    const failing = await fetch(`${url}/health`);
    expect(failing.status).to.equal(503);
    expect(await failing.json()).to.deep.equal({ status: 'failing', storage: 'read-only' });
    health = () => {
      throw new Error('the store is closed');
    };
    const unknown = await fetch(`${url}/health`);
    expect(unknown.status).to.equal(503);
    expect(await unknown.text()).not.to.include('the store');
  });

  it('has nothing else', async () => {
    const url = await start(() => ({ status: 'ok' }));
    expect((await fetch(`${url}/`)).status).to.equal(404);
    expect((await fetch(`${url}/health`, { method: 'POST' })).status).to.equal(405);
  });
});
