/**
 * Compiles the agent, what its service starts with, and all that they import, to a few files of plain JavaScript in `dist`: to find,
 * read and strip some hundred modules takes longer than all else that an agent does to start, and would be done in every domain.
 * `npm ci` runs this through the `prepare` script.
 *
 * J2. `dist` appears whole or not at all.
 * J3. Where only what runs is installed, without esbuild, nothing is compiled, which is said in one line.
 */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type * as Esbuild from 'esbuild';
import { COMPILED, digestOfFile, SOURCES } from './compiled.ts';

/** By which Node's own parts are asked for. */
const REQUIRE =
  "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";
const BUILTIN = 'builtin';
/** What takes longest, and an agent needs only when its service runs. */
const LATE = ['node:crypto'];

/**
 * To import a part of Node makes Node look at all that it has, and so make it: of `node:crypto` another cryptography, of `node:fs` all
 * with promises. It is a tenth of what an agent takes to start.
 */
const required = (late: readonly string[]): Esbuild.Plugin => ({
  name: 'required',
  setup(build) {
    build.onResolve({ filter: /^node:/ }, ({ path, namespace }) =>
      namespace === BUILTIN ? { path, external: true } : { path, namespace: BUILTIN },
    );
    build.onLoad({ filter: /^/, namespace: BUILTIN }, ({ path }) => ({
      contents: late.includes(path) ? requiredLate(path) : `module.exports = require('${path}');`,
    }));
  },
});

/** When it is first used. */
function requiredLate(path: string): string {
  const names = Object.keys(process.getBuiltinModule(path) ?? {});
  const parts = names.map((name) => `get ${name}() { return loaded().${name}; }`);
  return `
    let part;
    const loaded = () => (part ??= require('${path}'));
    module.exports = { __esModule: true, ${parts.join(', ')} };`;
}

async function compiler(): Promise<typeof Esbuild | undefined> {
  try {
    return await import('esbuild');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}

/** `root`: the folder of Spare itself. Answers whether there is a compiler. Throws an Error that says what is wrong with the sources. */
export async function compileAgent(root: string): Promise<boolean> {
  const esbuild = await compiler();
  if (esbuild === undefined) return false;
  const target = join(root, COMPILED);
  const draft = `${target}.${process.pid}`;
  const build = (options: Esbuild.BuildOptions): Promise<Esbuild.BuildResult<{ metafile: true }>> =>
    esbuild.build({
      ...options,
      absWorkingDir: root,
      banner: { js: REQUIRE },
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'esnext',
      metafile: true,
    });
  try {
    mkdirSync(draft);
    const built = await Promise.all([
      // What it imports only later stays in files of its own.
      build({
        entryPoints: ['src/replica/agent.ts'],
        outdir: join(draft, 'replica'),
        splitting: true,
        plugins: [required(LATE)],
      }),
      build({
        entryPoints: ['src/replica/determinism/node.mjs'],
        outfile: join(draft, 'replica/determinism/node.mjs'),
        // It replaces parts of what Node has, also of its cryptography: of the thing itself.
        plugins: [required([])],
      }),
    ]);
    const inputs = built.flatMap(({ metafile }) => Object.keys(metafile.inputs));
    const paths = inputs.filter((path) => !path.startsWith(`${BUILTIN}:`));
    const sources = Object.fromEntries(
      paths.sort().map((path) => [path, digestOfFile(join(root, path))] as const),
    );
    writeFileSync(join(draft, SOURCES), `${JSON.stringify(sources, null, 2)}\n`);
    rmSync(target, { recursive: true, force: true });
    renameSync(draft, target);
    return true;
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const isCompiled = await compileAgent(join(import.meta.dirname, '../..'));
  console.log(
    isCompiled
      ? `spare: the agent compiled to ${COMPILED}`
      : 'spare: without esbuild the agent is not compiled; domains start more slowly',
  );
}
