import type { Config } from '../../config/options.ts';
import type { GroupCommit } from '../../storage/group-commit.ts';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { FailureThrottle } from '../sasl/failure-throttle.ts';
import type { ComponentStanzaContext } from './component-stanza.ts';
import type { ComponentStream } from './component-stream.ts';

/** What the streams of all components share. */
export interface ComponentStreamContext extends ComponentStanzaContext {
  readonly config: Config;
  /** By the domain of the component. */
  readonly secrets: ReadonlyMap<string, string>;
  /** Slows down who guesses secrets. */
  readonly throttle: Pick<FailureThrottle, 'admit' | 'failed' | 'succeeded'>;
  readonly commit: Pick<GroupCommit, 'isFull' | 'whenRoom'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly randomId: () => string;
  readonly streams: Set<ComponentStream>;
}
