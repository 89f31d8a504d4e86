import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { probeRoom } from '../../../storage/backends/disk-room.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

describe('the probe for room', () => {
  it('finds room, and leaves nothing behind', async () => {
    const directory = await temporaryDirectory();
    await probeRoom(directory.path, 1_000_000);
    expect(await readdir(directory.path)).to.be.empty;
    await directory.remove();
  });

  it('does not find room for more than there is, nor where it cannot write', async () => {
    const directory = await temporaryDirectory();
    const error = await probeRoom(directory.path, Number.MAX_SAFE_INTEGER).catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(Error);
    expect((error as Error).message).to.include('no space left on device');
    const nowhere = await probeRoom(join(directory.path, 'missing'), 1).catch((reason: unknown) => reason);
    expect(nowhere).to.be.instanceOf(Error);
    await directory.remove();
  });
});
