import { stat } from 'node:fs/promises';

import { isLoopback } from '../../http/reverse-proxy.ts';
import { fine, found, type Check, type CheckContext, type Observation } from './check.ts';

/** Threads that libuv has unless UV_THREADPOOL_SIZE says otherwise. */
const DEFAULT_THREADS = 4;

/** Options that are allowed and yet hardly meant. Mistakes are found before any check is made. */
export const configuration: Check = {
  name: 'configuration',
  examine: async (context) => {
    const { config } = context;
    const observations = [
      fine('configuration', config.file === undefined ? 'no file: the defaults hold' : `${config.file}: no mistakes`),
      ...(await changedSince(context)),
    ];
    const public_ = (addresses: readonly string[]): boolean => addresses.some((address) => !isLoopback(address));
    if (config.c2s.allowPlaintextAuthentication && public_(config.c2s.addresses)) {
      const what = 'passwords may cross the network in clear';
      observations.push(
        found('error', 'c2s.allow_plaintext_authentication', what, 'set it to false, or c2s.addresses to loopback'),
      );
    }
    if (config.storage.backend === 'memory') {
      const what = 'nothing survives a restart';
      observations.push(found('warning', 'storage.backend', what, 'set it to "level" for anything but tests'));
    }
    if (config.http.port !== false && !config.http.tls && public_(config.http.addresses)) {
      const advice = 'set http.addresses to loopback where the proxy runs, or http.tls to true';
      observations.push(found('warning', 'http.tls', 'WebSockets without TLS can be reached from outside', advice));
    }
    if (config.operations.port !== false && public_([config.operations.address])) {
      const advice = 'set it to "127.0.0.1", or let a firewall keep strangers out';
      observations.push(found('warning', 'operations.address', 'health and metrics are open to the network', advice));
    }
    const threads = Number(process.env['UV_THREADPOOL_SIZE'] ?? DEFAULT_THREADS);
    if (config.sasl.passwordWorkRunning >= threads) {
      const what = `${config.sasl.passwordWorkRunning} logins at once can keep the disk waiting: there are ${threads} threads`;
      const advice = 'set it lower, or UV_THREADPOOL_SIZE in the environment of the server higher';
      observations.push(found('warning', 'sasl.password_work_running', what, advice));
    }
    return observations;
  },
};

/** The server reads its configuration when it starts and at no other time. */
async function changedSince({ config, running }: CheckContext): Promise<Observation[]> {
  if (running === undefined) return [];
  if (running.configurationFile !== config.file) {
    const what = `the server was started with ${running.configurationFile ?? 'no file'}, this command with ${config.file ?? 'none'}`;
    return [found('warning', 'configuration', what, 'give both the same --config, or run both in the same directory')];
  }
  if (config.file === undefined) return [];
  const { mtimeMs } = await stat(config.file);
  if (mtimeMs <= running.startedAt) return [];
  const what = 'has changed since the server started';
  return [found('warning', config.file, what, 'restart the server for the changes to take effect')];
}
