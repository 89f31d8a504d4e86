import type { Config } from '../config/options.ts';
import { JidCache } from '../stanzas/jid.ts';
import type { Storage } from '../storage/storage.ts';
import type { Clock } from './clock.ts';
import type { Core } from './core.ts';
import type { Log } from './log.ts';
import type { RandomSource } from './random-source.ts';
import { KeyShapes } from './sasl/key-shapes.ts';
import { isSameLogin } from './sasl/login.ts';
import { MechanismOffers } from './sasl/mechanisms.ts';
import { FailureThrottle } from './sasl/failure-throttle.ts';
import { PasswordWork } from './sasl/password-work.ts';
import { Tokens } from './sasl/tokens.ts';
import type { ClientStream } from './streams/client-stream.ts';
import { LoginQueue } from './streams/login-queue.ts';
import type { StreamContext } from './streams/stream-context.ts';

/** What the parts of a server are made of. */
export interface ServerParts {
  readonly config: Config;
  readonly storage: Storage;
  readonly clock: Clock;
  readonly log: Log;
  readonly core: Core;
  readonly random: RandomSource;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** What the streams of a server share. */
export async function streamContext(
  { config, storage, clock, log, core, random }: ServerParts,
  streams: Set<ClientStream>,
): Promise<StreamContext> {
  const { sasl } = config;
  const { maxDepth, maxAttributes } = config.c2s;
  const throttle = new FailureThrottle(clock, {
    freeFailures: {
      pair: sasl.freeFailures,
      address: sasl.freeFailuresPerAddress,
      account: sasl.freeFailuresPerAccount,
    },
    maxDelayMs: sasl.maxFailureDelaySeconds * 1000,
    forgetAfterMs: sasl.forgetFailuresSeconds * 1000,
  });
  const policy = { allowPlaintext: config.c2s.allowPlaintextAuthentication, mechanisms: sasl.mechanisms };
  const keyShapes = new KeyShapes(storage.accounts, () => clock.monotonic());
  try {
    const corrupt = await keyShapes.survey();
    if (corrupt > 0) log.warn({ corrupt }, 'records of accounts are corrupt: nobody can log in to those accounts');
  } catch (error) {
    log.warn({ error: String(error) }, 'accounts cannot be read: who does not exist may look unlike them at login');
  }
  return {
    config,
    domains: new Set(config.domains),
    scannerLimits: {
      unauthenticated: { maxBytes: config.c2s.maxStanzaBytesUnauthenticated, maxDepth, maxAttributes },
      authenticated: { maxBytes: config.c2s.maxStanzaBytes, maxDepth, maxAttributes },
    },
    router: core.router,
    acceptance: core.acceptance,
    archiveMark: core.archiveMark,
    table: core.table,
    pipeline: core.pipeline,
    resumable: core.resumable,
    commit: storage.commit,
    clock,
    log,
    counters: core.counters,
    jids: new JidCache(20_000),
    streamFeatures: core.streamFeatures,
    bindFeatures: core.bindFeatures,
    sessionClient: core.sessionClient,
    resourceSecret: await storage.serverKeys.secret('resources', 32),
    logins: new LoginQueue({ limits: config.c2s, clock, log, random: random.fraction }),
    sasl: {
      accounts: {
        credentials: (bare, isStranger) => {
          if (isStranger) return storage.accounts.getUnhurried(bare);
          const known = storage.accounts.known(bare);
          return known === undefined ? storage.accounts.get(bare) : known.record;
        },
      },
      throttle,
      work: new PasswordWork({ maxRunning: sasl.passwordWorkRunning, maxWaiting: sasl.passwordWorkWaiting }),
      secret: await storage.serverKeys.secret('unknown-user-salt', 32),
      iterations: sasl.scramIterations,
      ...policy,
      offers: new MechanismOffers(policy),
      keyShapes,
      random: (length) => random.bytes(length),
      retries: sasl.maxRetries,
      tokens: await tokensOf({ config, storage, clock, random }),
      keyStore: {
        add: async (bare, earlier, hash, keys) => {
          const has = await storage.accounts.addKeys(bare, hash, keys, (now) => isSameLogin(earlier, now));
          if (has) log.info({ account: bare, mechanism: `SCRAM-${hash}` }, 'a client has brought keys for a mechanism');
          return has;
        },
      },
    },
    randomId: random.id,
    streams,
  };
}

/** Undefined where tokens are not wanted. */
async function tokensOf({
  config: { sasl },
  storage,
  clock,
  random,
}: Pick<ServerParts, 'config' | 'storage' | 'clock' | 'random'>): Promise<Tokens | undefined> {
  if (sasl.tokenDays === 0) return undefined;
  return new Tokens({
    store: storage.clientTokens,
    secret: await storage.serverKeys.secret('tokens', 32),
    now: () => clock.now(),
    random: (length) => random.bytes(length),
    lifetimeMs: sasl.tokenDays * DAY_MS,
    rotationMs: sasl.tokenRotationHours * HOUR_MS,
    maxClients: sasl.maxTokenClients,
  });
}
