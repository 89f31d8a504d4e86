import { MemoryStore } from '../../../storage/backends/memory.ts';
import { orderedStoreSuite } from '../ordered-store.suite.ts';

orderedStoreSuite('memory', () => {
  const store = new MemoryStore();
  return Promise.resolve({ store, dispose: () => store.close() });
});
