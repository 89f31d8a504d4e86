import type { Clock } from '../server/clock.ts';
import type { Log } from '../server/log.ts';
import { ensureCertificates, type CertificateRequest } from './make-certs.ts';

/** Twice a day: a certificate is renewed 30 days before it expires, so a machine may sleep for weeks in between. */
const CHECK_INTERVAL_MS = 12 * 3_600_000;
const RETRY_INTERVAL_MS = 3_600_000;

/** Options of CertificateRenewal. */
export interface RenewalOptions extends CertificateRequest {
  readonly clock: Pick<Clock, 'schedule'>;
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>;
  /** Files have been written anew; must not throw. */
  readonly renewed: () => void;
}

/** Renews the certificates that Posthorn made while the server runs, well before they expire. */
export class CertificateRenewal {
  readonly #options: RenewalOptions;
  #cancel: (() => void) | undefined;
  #isClosed = false;

  constructor(options: RenewalOptions) {
    this.#options = options;
  }

  /** Begins to look; the certificates are fit now. */
  start(): void {
    this.#wait(CHECK_INTERVAL_MS);
  }

  /** Ends looking. */
  close(): void {
    this.#isClosed = true;
    this.#cancel?.();
  }

  #wait(delayMs: number): void {
    if (!this.#isClosed) this.#cancel = this.#options.clock.schedule(delayMs, () => void this.#look());
  }

  async #look(): Promise<void> {
    const { log, renewed, directory } = this.#options;
    try {
      const { created } = await ensureCertificates(this.#options);
      if (created.length > 0 && !this.#isClosed) renewed();
      this.#wait(CHECK_INTERVAL_MS);
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      log.error({ directory, error: problem }, 'certificates could not be renewed; it is tried again in an hour');
      this.#wait(RETRY_INTERVAL_MS);
    }
  }
}
