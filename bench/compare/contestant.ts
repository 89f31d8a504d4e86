import { rmSync } from 'node:fs';
import { LoadGenerator } from '../load/load-generator.ts';
import type { Peer, Place, RunningServer, Setting } from '../peers/peer.ts';
import type { ProcessGuard } from '../peers/server-process.ts';
import type { Row, Values } from './row.ts';
import type { Scale } from './scale.ts';

/** What all turns of a server have in common. */
export interface Contest {
  readonly setting: Setting;
  readonly scale: Scale;
  readonly loadCore: number;
  readonly guard: ProcessGuard;
  /** An empty place for a server that is about to be started. */
  makePlace(): Place;
}

interface Started {
  readonly place: Place;
  readonly server: RunningServer;
  readonly load: LoadGenerator;
}

/**
 * One server of a comparison from its first turn to its last, with a load generator of its own. Between its turns its process
 * is stopped, so that nothing it does when it is left alone costs the one whose turn it is.
 */
export class Contestant {
  readonly peer: Peer;
  readonly #contest: Contest;
  #started: Started | undefined;

  constructor(peer: Peer, contest: Contest) {
    this.peer = peer;
    this.#contest = contest;
  }

  /** Gives it its turn. What goes wrong is returned; the next turn has a new server then, as one of a fresh row always has. */
  async measure(row: Row): Promise<Values | Error> {
    const { scale: whole } = this.#contest;
    // A compiler at run time is at work in two of the three: what one that has just started costs is not what it costs.
    const scale = this.#started === undefined ? { ...whole, warmUpSeconds: whole.coldWarmUpSeconds } : whole;
    try {
      const { server, load } = await this.#awake();
      const values = await row.measure({ server, load, scale });
      if (row.isFresh) await this.end();
      else process.kill(server.pid, 'SIGSTOP');
      return values;
    } catch (error) {
      await this.end();
      return error instanceof Error ? error : new Error(String(error));
    }
  }

  /** Ends the server and its load generator, and removes what they have left. */
  async end(): Promise<void> {
    const started = this.#started;
    this.#started = undefined;
    if (started === undefined) return;
    await started.load.stop();
    wake(started.server);
    await started.server.stop();
    rmSync(started.place.directory, { recursive: true, force: true });
  }

  async #awake(): Promise<Started> {
    if (this.#started === undefined) return (this.#started = await this.#start());
    wake(this.#started.server);
    return this.#started;
  }

  async #start(): Promise<Started> {
    const { setting, loadCore, guard } = this.#contest;
    const place = this.#contest.makePlace();
    try {
      const server = await this.peer.start(setting, place);
      return { place, server, load: new LoadGenerator(loadCore, guard) };
    } catch (error) {
      rmSync(place.directory, { recursive: true, force: true });
      throw error;
    }
  }
}

function wake({ pid }: RunningServer): void {
  try {
    process.kill(pid, 'SIGCONT');
  } catch {
    // It has ended, which is said where something is asked of it.
  }
}
