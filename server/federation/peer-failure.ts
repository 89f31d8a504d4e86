import { StanzaError, type StanzaErrorCondition } from '../../stanzas/stanza-error.ts';

/** Why another server cannot be spoken to. The message is for the operator and for whoever wrote to that server. */
export class PeerFailure extends Error {
  override readonly name = 'PeerFailure';
  readonly condition: StanzaErrorCondition;
  /** Whether trying again would be in vain. */
  readonly isFinal: boolean;
  /** Whether another machine of the domain may do better. */
  readonly mayTryNext: boolean;

  constructor(
    condition: StanzaErrorCondition,
    message: string,
    { isFinal = false, mayTryNext = false }: { readonly isFinal?: boolean; readonly mayTryNext?: boolean } = {},
  ) {
    super(message);
    this.condition = condition;
    this.isFinal = isFinal;
    this.mayTryNext = mayTryNext;
  }

  /** The answer to a stanza that cannot be sent because of this. */
  toStanzaError(): StanzaError {
    return new StanzaError(this.condition, this.message);
  }
}
