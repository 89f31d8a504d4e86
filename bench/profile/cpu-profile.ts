import { readFileSync } from 'node:fs';
import { relative } from 'node:path';

/** A `.cpuprofile` as V8 writes it; only what is read here. */
interface CpuProfile {
  /** Microseconds on the system's monotonic clock. */
  readonly startTime: number;
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
    readonly children?: readonly number[];
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** A function in one place of the call tree. */
export interface CallNode {
  readonly name: string;
  /** Microseconds in it, and in what it called. */
  totalUs: number;
  selfUs: number;
  readonly children: Map<string, CallNode>;
}

/** A function, wherever it was called. */
export interface FunctionTime {
  readonly name: string;
  readonly selfUs: number;
}

const IDLE = '(idle)';

/** A stretch of time, in microseconds on the system's monotonic clock. */
export interface Stretch {
  readonly fromUs: number;
  readonly toUs: number;
}

/** The call tree of a stretch of a profile, without idle time. */
export function readCallTree(file: string, root: string, { fromUs, toUs }: Stretch): CallNode {
  const profile = JSON.parse(readFileSync(file, 'utf8')) as CpuProfile;
  const paths = pathsOf(profile, root);
  const tree = new CallTree();
  let atUs = profile.startTime;
  profile.samples.forEach((sample, index) => {
    const deltaUs = profile.timeDeltas[index] ?? 0;
    atUs += deltaUs;
    const path = paths.get(sample) ?? [];
    if (atUs >= fromUs && atUs <= toUs && !path.includes(IDLE)) tree.add(path, deltaUs);
  });
  return tree.root;
}

/** A call tree that is being gathered. */
export class CallTree {
  readonly root = newNode('all');

  /** Adds time spent in the last of these calls, the outermost first. */
  add(path: readonly string[], spentUs: number): void {
    let node = this.root;
    node.totalUs += spentUs;
    for (const name of path) {
      let child = node.children.get(name);
      if (child === undefined) node.children.set(name, (child = newNode(name)));
      child.totalUs += spentUs;
      node = child;
    }
    node.selfUs += spentUs;
  }
}

/** Functions by the time spent in themselves, most first. */
export function selfTimes(tree: CallNode): readonly FunctionTime[] {
  const times = new Map<string, number>();
  const visit = (node: CallNode): void => {
    times.set(node.name, (times.get(node.name) ?? 0) + node.selfUs);
    node.children.forEach(visit);
  };
  visit(tree);
  return [...times].map(([name, selfUs]) => ({ name, selfUs })).sort((one, other) => other.selfUs - one.selfUs);
}

function newNode(name: string): CallNode {
  return { name, totalUs: 0, selfUs: 0, children: new Map() };
}

/** For each node the names from the outermost call to it. */
function pathsOf({ nodes }: CpuProfile, root: string): ReadonlyMap<number, readonly string[]> {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const paths = new Map<number, readonly string[]>();
  const visit = (id: number, path: readonly string[]): void => {
    const node = byId.get(id);
    if (node === undefined) return;
    const { functionName, url, lineNumber } = node.callFrame;
    const name = functionName === '' ? '(anonymous)' : functionName;
    const own = name === '(root)' ? path : [...path, `${name}${placeOf(url, lineNumber, root)}`];
    paths.set(id, own);
    for (const child of node.children ?? []) visit(child, own);
  };
  const [first] = nodes;
  if (first !== undefined) visit(first.id, []);
  return paths;
}

function placeOf(url: string, lineNumber: number, root: string): string {
  if (url === '') return '';
  const file = url.startsWith('file://') ? relative(root, new URL(url).pathname) : url;
  return ` ${file.replace(/^dist\//, '')}:${lineNumber + 1}`;
}
