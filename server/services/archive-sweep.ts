import type { Config } from '../../config/options.ts';
import type { Storage } from '../../storage/storage.ts';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';

export interface ArchiveSweepOptions {
  readonly config: Config;
  readonly storage: Storage;
  readonly clock: Clock;
  readonly log: Log;
}

/** What an archive may hold; 0 for no limit. */
export interface EffectiveLimits {
  readonly maxAgeMs: number;
  readonly maxBytes: number;
}

const DAY_MS = 24 * 3600 * 1000;
const PAGE_ACCOUNTS = 100;
/** Between two accounts: whoever has work to do goes first. */
const PAUSE_MS = 5;

/** The limits of an account's archive: its own, else its domain's, else those of everybody. */
export async function limitsOf(owner: string, { archive }: Config, storage: Storage): Promise<EffectiveLimits> {
  const own = await storage.retention.limits(owner);
  const domain = archive.domains.find((entry) => entry.domain === owner.slice(owner.indexOf('@') + 1));
  return {
    maxAgeMs: own.maxAgeMs ?? (domain?.max_age_days ?? archive.maxAgeDays) * DAY_MS,
    maxBytes: own.maxBytes ?? domain?.max_bytes ?? archive.maxBytes,
  };
}

/** Takes from one archive what its limits do not allow; resolves to the messages removed. */
async function trimArchive(
  owner: string,
  { maxAgeMs, maxBytes }: EffectiveLimits,
  storage: Storage,
  now: number,
): Promise<number> {
  let removed = 0;
  if (maxAgeMs > 0) {
    const before = Math.max(0, (now - maxAgeMs) * 1000);
    const rule = { reason: 'age', before, maxBytes: Infinity } as const;
    removed += (await storage.retention.trim(owner, rule, now))?.count ?? 0;
  }
  if (maxBytes > 0) {
    removed += (await storage.retention.trim(owner, { reason: 'size', before: 0, maxBytes }, now))?.count ?? 0;
  }
  return removed;
}

/** Goes through all archives from time to time, brings their indexes up to date and takes what their limits do not allow. */
export class ArchiveSweep {
  readonly #options: ArchiveSweepOptions;
  #cancel: (() => void) | undefined;
  #isStopped = false;
  #sweeping: Promise<void> = Promise.resolve();

  constructor(options: ArchiveSweepOptions) {
    this.#options = options;
  }

  start(): void {
    const { clock, config } = this.#options;
    this.#cancel = clock.schedule(config.archive.sweepMinutes * 60_000, () => {
      this.#sweeping = this.sweep().finally(() => {
        if (!this.#isStopped) this.start();
      });
    });
  }

  /** Resolves when nothing of it is under way. */
  async close(): Promise<void> {
    this.#isStopped = true;
    this.#cancel?.();
    await this.#sweeping;
  }

  /** One time through all accounts. Never rejects: what fails is logged and tried the next time. */
  async sweep(): Promise<void> {
    const { config, storage, clock, log } = this.#options;
    let removed = 0;
    try {
      for (let after: string | undefined; this.#mayGoOn();) {
        const accounts = await storage.accounts.list({ after, limit: PAGE_ACCOUNTS });
        for (const { jid } of accounts) {
          const limits = await limitsOf(jid, config, storage);
          if (limits.maxAgeMs > 0 || limits.maxBytes > 0)
            removed += await trimArchive(jid, limits, storage, clock.now());
          // So that who asks for a contact waits only for what came since.
          else await storage.retention.usage(jid);
          if (!this.#mayGoOn()) return;
          await new Promise<void>((resolve) => void clock.schedule(PAUSE_MS, resolve));
        }
        if (accounts.length < PAGE_ACCOUNTS) break;
        after = accounts.at(-1)?.jid;
      }
    } catch (error) {
      log.error({ error: String(error) }, 'archives cannot be trimmed at the moment');
    }
    if (removed > 0) log.info({ messages: removed }, 'archives were trimmed');
  }

  #mayGoOn(): boolean {
    return !this.#isStopped;
  }
}
