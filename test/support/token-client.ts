import { createHmac } from 'node:crypto';

/** What a client with a token says and hears (draft-schmaus-kitten-sasl-ht-09, 3), sharing no code with the server. */
export function tokenMessages(username: string, token: string, bindingData: Buffer = Buffer.alloc(0)) {
  const hashed = (side: string): Buffer =>
    createHmac('sha256', Buffer.from(token, 'utf8'))
      .update(Buffer.concat([Buffer.from(side), bindingData]))
      .digest();
  return {
    /** The initial response in base 64. */
    initial: Buffer.concat([Buffer.from(`${username}\0`), hashed('Initiator')]).toString('base64'),
    /** The additional data that the server has to send. */
    expected: hashed('Responder').toString('base64'),
  };
}
