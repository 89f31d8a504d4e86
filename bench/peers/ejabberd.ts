import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ITERATIONS, sharedKeys } from './accounts.ts';
import { versionOf } from './debian-package.ts';
import { ejabberdConfiguration, erlangLibraries } from './ejabberd-configuration.ts';
import { DOMAIN, type Peer, type RunningServer, type Tuning } from './peer.ts';
import { copyKeyPair, freePorts, giveTo, identityOf, ServerProcess, type ProcessGuard } from './server-process.ts';

/** Its own guide for busy servers; without busy waiting, which only shows as processor time. */
const TUNED_EMULATOR = ['+sbwt', 'none', '+sbwtdcpu', 'none', '+sbwtdio', 'none'];

/** Debian's ejabberd: its release started by `erl` as ejabberdctl does, in the foreground and without distribution. */
export function ejabberdPeer(guard: ProcessGuard, tuning: Tuning): Peer {
  const isTuned = tuning === 'tuned';
  return {
    name: 'ejabberd',
    tuning,
    configuration: isTuned
      ? 'the modules that Posthorn has too; no busy waiting of schedulers; shapers off; Mnesia'
      : "Debian's modules and emulator flags; shapers off; Mnesia",
    version: () => versionOf('ejabberd'),
    durabilityOf: () => "Mnesia's log, written late and without fsync: a message may not survive kill -9",
    start: async (setting, place): Promise<RunningServer> => {
      const [port, directTlsPort] = (await freePorts(2)) as [number, number];
      const identity = identityOf('ejabberd');
      const { certificate, key } = copyKeyPair(place, identity);
      const spool = join(place.directory, 'spool');
      mkdirSync(spool, { recursive: true });
      const config = join(place.directory, 'ejabberd.yml');
      const ports = { port, directTlsPort, certificateFiles: [certificate, key] };
      writeFileSync(config, ejabberdConfiguration(setting, tuning, ports));
      giveTo(identity, place.directory);
      const emulator = ['+K', 'true', '+P', '250000', ...(isTuned ? TUNED_EMULATOR : [])];
      const application = ['-noinput', '-mnesia', 'dir', `"${spool}"`, '-s', 'ejabberd'];
      const command = ['erl', ...emulator, ...application] as const;
      const environment = {
        HOME: place.directory,
        ERL_LIBS: erlangLibraries(),
        ERL_MAX_PORTS: '32000',
        ERL_MAX_ETS_TABLES: '1400',
        ERL_CRASH_DUMP_BYTES: '0',
        EJABBERD_CONFIG_PATH: config,
        EJABBERD_LOG_PATH: join(place.directory, 'ejabberd.log'),
      };
      const launch = { name: 'ejabberd', environment, identity, port };
      // Accounts go in by a run of their own, so that the start that is measured is a plain one.
      const provisioner = await ServerProcess.start(
        { ...launch, command: [...command, '-eval', provisioning(place.users)] },
        place,
        guard,
      );
      const provisioned = join(place.directory, 'provisioned');
      for (let waitedMs = 0; !existsSync(provisioned); waitedMs += POLL_MS) {
        if (waitedMs > PROVISION_TIMEOUT_MS) throw new Error('ejabberd does not take the accounts');
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
      await provisioner.stop();
      const server = await ServerProcess.start({ ...launch, command }, place, guard);
      return { pid: server.pid, port, directTlsPort, startUpMs: server.startUpMs, stop: () => server.stop() };
    },
  };
}

const POLL_MS = 20;
const PROVISION_TIMEOUT_MS = 120_000;

/** Writes the accounts as ejabberd_auth_mnesia keeps them: {passwd, {User, Server}, {scram, Stored, Server, Salt, Hash, Rounds}}. */
function provisioning(users: number): string {
  const { salt, storedKey, serverKey } = sharedKeys();
  const binary = (bytes: Buffer): string => `<<"${bytes.toString('base64')}">>`;
  const keys = `{scram,${binary(storedKey)},${binary(serverKey)},${binary(salt)},sha,${ITERATIONS}}`;
  return `
{atomic,_} = mnesia:transaction(fun() ->
  [mnesia:write({passwd, {<<"u", (integer_to_binary(N))/binary>>, <<"${DOMAIN}">>}, ${keys}})
   || N <- lists:seq(0, ${users - 1})], ok end),
mnesia:dump_log(), ok = file:write_file("provisioned", <<>>).`;
}
