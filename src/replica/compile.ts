/**
 * The agent as plain JavaScript, in `dist`: taking the types off costs as much as all else that it does to start, and would be
 * done in every domain. Run directly it compiles; `npm ci` runs it through the `prepare` script.
 *
 * J1. What was compiled of other sources than those that are there is not used: agents then run as source.
 * J2. `dist` appears whole or not at all.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** What starts the agent, and what its service starts with. */
const ENTRIES = ['replica/agent.ts', 'replica/determinism/node.mjs'];
const IMPORTED = /\b(?:from |import[ (])'(\.[^']+)'/g;

/** By path below `src`, digests of what was compiled. */
type Stamp = Record<string, string>;

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** Where the compiled agent starts; null where there is none of the present sources. `root`: the folder of Spare itself. */
export function compiledAgent(root: string = ROOT): string | null {
  try {
    const stamp = JSON.parse(readFileSync(join(root, 'dist/sources.json'), 'utf8')) as Stamp;
    const isPresent = Object.entries(stamp).every(
      ([file, digest]) => digestOf(readFileSync(join(root, 'src', file), 'utf8')) === digest,
    );
    return isPresent ? join(root, 'dist/replica/agent.js') : null;
  } catch {
    return null;
  }
}

/** The agent, and all that it and its service's first module import. */
export function compileAgent(root: string = ROOT): void {
  const target = join(root, 'dist');
  const draft = `${target}.${process.pid}`;
  const stamp: Stamp = {};
  const compile = (file: string): void => {
    if (stamp[file] !== undefined) return;
    const text = readFileSync(join(root, 'src', file), 'utf8');
    stamp[file] = digestOf(text);
    const script = file.endsWith('.ts') ? stripTypeScriptTypes(text) : text;
    for (const [, imported = ''] of script.matchAll(IMPORTED)) compile(join(dirname(file), imported));
    const compiled = join(draft, file.replace(/\.ts$/, '.js'));
    mkdirSync(dirname(compiled), { recursive: true });
    writeFileSync(
      compiled,
      script.replace(IMPORTED, (whole) => whole.replace(/\.ts'$/, ".js'")),
    );
  };
  try {
    for (const entry of ENTRIES) compile(entry);
    writeFileSync(join(draft, 'sources.json'), `${JSON.stringify(stamp, null, 2)}\n`);
    rmSync(target, { recursive: true, force: true });
    renameSync(draft, target);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  compileAgent();
  console.log('spare: the agent compiled to dist');
}
